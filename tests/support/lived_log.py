"""A log of some days that two shards decided, for tests of the archive and of truncation.

Place in the flow: tests only; made once, copied for each test that changes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from coordinator.core.ports import Append, Log, LogReader, Record
from coordinator.log.live import begin_of
from coordinator.log.memory import MemoryLog
from tests.journals import DAY, HOUR, T0, Inputs, lay, owners, zero_clock

__all__ = ["SHARDS", "copy_of", "everything", "laid", "lived", "place_of"]

L = TypeVar("L", bound=Log)

SHARDS = 2


def skip_some(position: int) -> int:
    return position + position % 3


def laid(days: int = 3) -> MemoryLog:
    """A journal of some days with what two shards said to it, some checkpoints, a dead letter."""
    return lived(MemoryLog(clock=zero_clock, skip=skip_some), days=days)


def lived(log: L, *, days: int = 3) -> L:
    """The same in a log that is given."""
    make = Inputs()
    made = [make.listed("A"), make.registered("s"), *map(make.opened, "pqcg")]
    for day in range(days):
        start = T0 + day * DAY + HOUR
        made.append(make.close({"A": 10.0 + day}, start))
        made += [make.signal("s", "A", start + n * HOUR) for n in range(1, 6)]
    lay(made, log, shards=SHARDS, end=T0 + days * DAY)
    log.append([Append("signals.dlq", 0, b'{"topic":"signals"}', T0 + HOUR)])
    for owner in owners(log, shards=SHARDS, every=2):
        owner.recover()
        owner.checkpoint()
    return log


def copy_of(log: LogReader) -> MemoryLog:
    positions: Iterator[int] = iter(())
    copied = MemoryLog(clock=zero_clock, skip=lambda _: next(positions))
    for topic, shard in log.partitions():
        records = list(log.read(topic, shard))
        positions = iter([record.position for record in records])
        copied.append([Append(topic, shard, r.payload, r.journal_time) for r in records])
    copied._skip = skip_some
    return copied


def everything(log: LogReader, *, of: str = "") -> list[Record]:
    return [
        record
        for topic, shard in log.partitions()
        if topic != "checkpoints" and topic.startswith(of)
        for record in log.read(topic, shard, begin_of(log, topic, shard))
    ]


def place_of(record: Record) -> tuple[str, int, int]:
    return record.topic, record.shard, record.position
