"""Checkpoints of a live system: old ones are taken away while verify looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coordinator.core.ports import Record
from coordinator.log.errors import LogUnreadable
from coordinator.log.memory import MemoryLog
from replay import verify
from replay.states import RecordedStates
from tests.unit.replay.worlds import copied

SHARD = 1


class LiveReader:
    """A log whose checkpoints before `first` are gone. on_listed: called while they are listed."""

    def __init__(self, log: MemoryLog, *, on_listed: Callable[[LiveReader], None]) -> None:
        self._log = log
        self._on_listed = on_listed
        self.first = 0
        self.is_refusing = False

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """As the log, without what is gone; a lister sees the deletion after its first record."""
        for record in self._log.read(topic, shard, start, stop):
            if topic == "checkpoints" and record.position < self.first:
                if self.is_refusing:
                    where = "live"
                    raise LogUnreadable(where, "what was asked for was deleted")
                continue
            yield record
            if topic == "checkpoints" and stop is None:
                self._on_listed(self)

    def end(self, topic: str, shard: int) -> int:
        """As the log."""
        return self._log.end(topic, shard)

    def partitions(self) -> tuple[tuple[str, int], ...]:
        """As the log."""
        return self._log.partitions()

    def begin(self, topic: str, _shard: int) -> int:
        """The first checkpoint that is left."""
        return self.first if topic == "checkpoints" else 0

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize("is_refusing", [False, True])
def test_a_checkpoint_deleted_since_it_was_listed_is_no_difference(
    run: MemoryLog, *, is_refusing: bool
) -> None:
    def delete_all(reader: LiveReader) -> None:
        reader.first = reader.end("checkpoints", SHARD)

    assert run.end("checkpoints", SHARD) > 1
    reader = LiveReader(run, on_listed=delete_all)
    reader.is_refusing = is_refusing
    assert verify(reader).ok


def test_what_is_left_is_still_compared(run: MemoryLog) -> None:
    def richer(record: Record) -> bytes:
        if record.topic != "checkpoints":
            return record.payload
        return record.payload.replace(b'"rounds":', b'"rounds":9')

    def delete_first(reader: LiveReader) -> None:
        reader.first = 1

    report = verify(LiveReader(copied(run, richer), on_listed=delete_first))
    assert report.difference is not None
    assert report.difference.kind == "state"


def test_a_log_that_cannot_be_read_is_still_named(run: MemoryLog) -> None:
    reader = LiveReader(run, on_listed=lambda _: None)
    states = RecordedStates(reader, SHARD)
    record = next(run.read("checkpoints", SHARD))
    position = next(one for one in range(run.end("journal", SHARD) + 1) if states.claims(one))
    assert record.position == 0
    reader.begin = lambda *_: 0  # type: ignore[method-assign]  # nothing was deleted
    reader.first, reader.is_refusing = 1, True
    with pytest.raises(LogUnreadable):
        list(states.at(position))
