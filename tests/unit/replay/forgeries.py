"""What the tests of forged logs share: logs changed by somebody who remakes every hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coordinator.core.ports import Append, Record
from coordinator.log.memory import MemoryLog
from replay import verify
from replay.verify import FirstDifference
from schemas.base import Event
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import GENESIS, decode_output, encode_output
from tests.unit.replay.worlds import copied

Change = Callable[[Event], Event]


def difference(log: MemoryLog, *, tolerance: bool = False) -> FirstDifference:
    report = verify(log, tolerance=tolerance)
    assert not report.ok
    assert report.difference is not None
    return report.difference


def with_records(log: MemoryLog, *more: Append) -> MemoryLog:
    made = copied(log, lambda record: record.payload)
    made.append(more)
    return made


def without_shard(log: MemoryLog, shard: int, topics: Iterable[str] | None = None) -> MemoryLog:
    gone = topics if topics is not None else ("journal", "decisions", "checkpoints")
    return copied(
        log,
        lambda record: None if record.shard == shard and record.topic in gone else record.payload,
    )


def retold(log: MemoryLog, change: Change) -> MemoryLog:
    """The log with outputs changed and the chain through them made anew."""
    last: dict[int, str] = {}

    def again(record: Record) -> bytes:
        if record.topic != "decisions":
            return record.payload
        entry = decode_output(record.payload)
        event = change(entry.event)
        prev = last.get(record.shard, GENESIS)
        payload = encode_output(entry.position, entry.ordinal, entry.seq, prev, event)
        last[record.shard] = digest(payload)
        return payload

    return copied(log, again)


def first_decision(change: Callable[[AllocationDecided], AllocationDecided]) -> Change:
    """Change the first decision that trades."""
    waiting = [True]

    def maybe(event: Event) -> Event:
        if waiting and isinstance(event, AllocationDecided) and event.trades and event.signals:
            waiting.clear()
            return change(event)
        return event

    return maybe


def a_decision(log: MemoryLog) -> Record:
    return next(
        record
        for shard in (0, 1)
        for record in log.read("decisions", shard)
        if record.payload.startswith(b'{"type":"AllocationDecided"')
    )


def forged_decision(log: MemoryLog) -> tuple[str, bytes]:
    """The id of a recorded decision, and another decision of that name that begins a chain."""
    event = decode_output(a_decision(log).payload).event
    assert isinstance(event, AllocationDecided)
    forged = event.model_copy(update={"turnover": 0.9})
    return event.decision_id, encode_output(0, 0, 0, GENESIS, forged)
