"""Which engine decided which part of a journal: verify splits a log there.

Place in the flow: read once before a log is decided again. A range begins at the EngineStarted that
names another engine than before, which follows a seal, and ends before the next one. It must never
judge an output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from coordinator.bootstrap import Identity
from coordinator.core.ports import LogReader, Record
from schemas.entries import decode_journal, opening
from schemas.journal import EngineStarted
from schemas.registry import SchemaError

__all__ = ["Range", "ranges_of", "started_in"]

_STARTED = opening(EngineStarted)


@dataclass(frozen=True, slots=True)
class Range:
    """Journal records of one shard that one engine decided on, from `first` to `last`, inclusive.

    engine: None where nothing names it. follows: position of the record before `first`, -1 at the
    journal's beginning: the state after it is what the range starts from.
    """

    shard: int
    first: int
    last: int
    follows: int
    engine: Identity | None


def ranges_of(
    reader: LogReader, shard: int, *, after: int = -1, engine: Identity | None = None
) -> Iterator[Range]:
    """The ranges of a journal as it is now, in order.

    after: position that a checkpoint covers, whose engine is given; records up to it are left out.
    """
    found: Range | None = None
    follows = after
    for record in reader.read("journal", shard, after + 1):
        started = started_in(record)
        if started is not None and started != engine:
            if found is not None:
                yield found
            found, engine = None, started
        position = record.position
        if found is None:
            found = Range(shard, position, position, follows, engine)
        found = replace(found, last=position)
        follows = position
    if found is not None:
        yield found


def started_in(record: Record) -> Identity | None:
    """The engine that a journal record says decides from there on; None for any other record."""
    if not record.payload.startswith(_STARTED):
        return None
    try:
        event = decode_journal(record.payload).event
    except SchemaError:
        return None  # the engine's to quarantine
    if not isinstance(event, EngineStarted):
        return None
    return event.build, event.dependencies, event.fingerprint
