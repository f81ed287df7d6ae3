"""What the archive asks of a log that goes on: where it begins, and to be cut there.

Place in the flow: between `archive`, `truncate` and `combined` on one side and any log on the
other. A log without `begin` never loses its beginning. Nothing here reads a record.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from coordinator.core.ports import LogReader

__all__ = [
    "EXPIRING",
    "LiveLog",
    "TruncatableLog",
    "begin_of",
    "has_broker_times",
    "is_expiring",
]

EXPIRING = ("checkpoints",)
"""Topics of ours whose old records may vanish; those of dead letters may too."""


@runtime_checkable
class LiveLog(LogReader, Protocol):
    """A reader whose oldest records may be gone."""

    def begin(self, topic: str, shard: int) -> int:
        """The first position that is still there."""
        ...


@runtime_checkable
class TruncatableLog(LiveLog, Protocol):
    """A log whose oldest records can be deleted."""

    def truncate(self, topic: str, shard: int, before: int) -> int:
        """Delete records below a position; returns the first one that is still there."""
        ...


def begin_of(reader: LogReader, topic: str, shard: int) -> int:
    """The first position that a reader still has; 0 where nothing is ever taken from it."""
    return reader.begin(topic, shard) if isinstance(reader, LiveLog) else 0


def has_broker_times(reader: LogReader) -> bool:
    """Whether every record, outputs too, carries the time at which the log itself took it."""
    return bool(getattr(reader, "broker_times", False))


def is_expiring(topic: str) -> bool:
    """Whether what is missing at the beginning of a topic is no loss of history."""
    return topic in EXPIRING or topic.endswith(".dlq")
