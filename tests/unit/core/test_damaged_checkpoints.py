"""Checkpoints that cannot be read: recovery takes an older one, or begins at the beginning."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from coordinator.core.fold import SKIPS_MAX, checkpoints
from coordinator.core.ports import Append, Log, Record
from coordinator.core.shard import Shard
from coordinator.log.errors import CorruptRecord, LogUnreadable
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from tests.journals import engine, lay, owners, zero_clock
from tests.recorded import end_of, recorded

INPUTS = recorded(1)


class Harmed(MemoryLog):
    """Raises at harmed checkpoints. unnamed: as a file does that cannot say where."""

    harmed: frozenset[int] = frozenset()
    unnamed = False

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        for record in super().read(topic, shard, start, stop):
            if topic == "checkpoints" and record.position in self.harmed:
                if self.unnamed:
                    raise LogUnreadable("memory", "harmed")
                raise CorruptRecord(topic, shard, record.position, where="memory", what="harmed")
            yield record


def lived(log: Log) -> Log:
    """A shard's log with a handful of checkpoints."""
    lay(INPUTS, log, shards=1, end=end_of(INPUTS))
    Shard(log, engine(0, 1), checkpoint_every=6).recover()
    return log


def bodies(log: Log) -> list[bytes]:
    """What the checkpoints say, oldest first."""
    return [r.payload.partition(b"\n")[2] for r in log.read("checkpoints", 0)]


@pytest.fixture
def harmed() -> Harmed:
    log = Harmed(clock=zero_clock, skip=lambda position: position + position % 3)
    lived(log)
    return log


def positions(log: Log) -> list[int]:
    return [record.position for record in log.read("checkpoints", 0)]


@pytest.mark.parametrize("unnamed", [False, True])
def test_what_lies_behind_a_damaged_checkpoint_is_read(harmed: Harmed, unnamed: bool) -> None:
    whole, places = bodies(harmed), positions(harmed)
    assert len(places) >= 4
    assert any(later - earlier > 1 for earlier, later in pairwise(places))
    harmed.unnamed = unnamed
    for at, place in enumerate(places):
        harmed.harmed = frozenset({place})
        left = whole[:at] + whole[at + 1 :]
        assert [body for body, _ in checkpoints(harmed, 0)] == left[:-3:-1]


def test_an_older_one_leads_to_the_same_state(harmed: Harmed) -> None:
    wanted = bodies(harmed)[-1]
    newest = positions(harmed)[-1]
    harmed.harmed = frozenset({newest})
    shard = Shard(harmed, engine(0, 1))
    found = shard.recover()
    assert found.from_position > 0
    assert (found.outputs_missing, harmed.end("checkpoints", 0)) == (0, newest + 1)
    again = Shard(harmed, engine(0, 1))
    again.begin()
    for record in harmed.read("journal", 0, again.engine.position + 1):
        if again.engine.checkpoint() == wanted:
            break
        again.step(record)
    else:
        pytest.fail("the state of the newest checkpoint was never reached")


def test_with_none_left_it_begins_at_the_beginning(harmed: Harmed) -> None:
    harmed.harmed = frozenset(positions(harmed))
    assert checkpoints(harmed, 0) == []
    found = owners(harmed, shards=1)[0].recover()
    assert (found.from_position, found.outputs_missing) == (-1, 0)


def test_a_topic_that_can_never_be_read_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def read(*args: object) -> Iterator[Record]:
        asked.append(len(args))
        raise LogUnreadable("memory", "its head is damaged", last_good=("checkpoints", 0, 5))

    log = MemoryLog(clock=zero_clock)
    log.append([Append("checkpoints", 0, b"0\n")])
    monkeypatch.setattr(log, "read", read)
    assert checkpoints(log, 0) == []
    assert len(asked) == SKIPS_MAX


CHANGED = "UPDATE records SET bytes = x'31' WHERE topic = 'checkpoints' AND position = ?"
GONE = "DELETE FROM records WHERE topic = 'checkpoints' AND position = ?"


@pytest.mark.parametrize(("harm", "lost"), [(CHANGED, 1), (GONE, 2)])
def test_a_damaged_file_recovers_from_a_checkpoint_that_is_whole(
    tmp_path: Path, harm: str, lost: int
) -> None:
    """Where a record is gone, the one behind it has nothing to be checked by: it is passed over."""
    path = tmp_path / "log.sqlite"
    with SqliteLog(path) as log:
        lived(log)
        whole = bodies(log)
    assert len(whole) >= 4
    harmed_at = len(whole) - 3
    with sqlite3.connect(path) as file:
        assert file.execute(harm, (harmed_at,)).rowcount == 1
    file.close()
    with SqliteLog(path) as log:
        with pytest.raises(CorruptRecord):
            list(log.read("checkpoints", 0))
        left = whole[:harmed_at] + whole[harmed_at + lost :]
        assert [body for body, _ in checkpoints(log, 0)] == left[:-3:-1]
        assert owners(log, shards=1)[0].recover().from_position > 0


def test_behind_a_damaged_checkpoint_the_next_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with SqliteLog(path) as log:
        lived(log)
        end = log.end("checkpoints", 0)
    with sqlite3.connect(path) as file:
        assert file.execute(CHANGED, (end - 1,)).rowcount == 1
    file.close()
    with SqliteLog(path) as log:
        (shard,) = owners(log, shards=1)
        assert shard.recover().outputs_missing == 0
        assert shard.checkpoint() == end
        assert owners(log, shards=1)[0].recover().from_position == shard.engine.position
