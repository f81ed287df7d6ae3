"""Logs to project, and a target that is no server: what the projections are tested with.

Place in the flow: tests only. `busy_log` is a recording of real engines, so that outputs follow
from their journals; `FakeSink` keeps rows in a list and fails where it is told to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from coordinator.core.ports import Append, LogReader, Record
from coordinator.log.memory import MemoryLog
from projections.checkpoints import Mark, Marks, Part
from projections.errors import ProjectionError, TargetChanged
from projections.following import Batch, Follower
from projections.rows import Row
from projections.sink import Snapshot
from tests.journals import run
from tests.recorded import end_of, recorded

__all__ = ["Cut", "FakeSink", "batches", "busy_log", "copied", "everything", "never"]


@cache
def busy_log(shards: int = 2, seed: int = 1, days: int = 3) -> MemoryLog:
    """A few busy days, decided. Shared: append only to a copy."""
    inputs = recorded(seed, days)
    return run(inputs, shards=shards, end=end_of(inputs))


def copied(log: LogReader, keep: dict[Part, int] | None = None) -> MemoryLog:
    """A log of its own with the same records; keep: at most so many of a partition."""
    made = MemoryLog()
    for topic, shard in log.partitions():
        stop = None if keep is None else keep.get((topic, shard))
        records = log.read(topic, shard, 0, stop)
        made.append([Append(topic, shard, one.payload, one.journal_time) for one in records])
    return made


def never() -> bool:
    """No reason to end a batch."""
    return False


def batches(log: LogReader, *, rows_max: int = 5_000, marks: Marks | None = None) -> list[Batch]:
    """The whole log in batches of about so many rows."""
    return list(_batches(log, rows_max, marks or {}))


def _batches(log: LogReader, rows_max: int, marks: Marks) -> Iterator[Batch]:
    follower = Follower(log, "fake")
    follower.reset(marks)
    follower.find_shards()
    while (made := follower.batch(rows_max=rows_max, until=never)).after:
        yield made


def everything(made: Iterable[Batch]) -> tuple[list[Row], dict[Part, Mark]]:
    """All rows and the last marks of batches."""
    rows: list[Row] = []
    marks: dict[Part, Mark] = {}
    for batch in made:
        rows += batch.rows
        marks.update(batch.after)
    return rows, marks


@dataclass(slots=True)
class Cut:
    """A log whose beginning was truncated, as a topic's is."""

    log: LogReader
    first: int

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        return self.log.read(topic, shard, max(start, self.first), stop)

    def end(self, topic: str, shard: int) -> int:
        return self.log.end(topic, shard)

    def begin(self, topic: str, shard: int) -> int:
        return self.first

    def ends(self) -> dict[Part, int]:
        return {part: self.end(*part) for part in self.partitions()}

    def partitions(self) -> tuple[Part, ...]:
        return self.log.partitions()

    def close(self) -> None:
        self.log.close()


@dataclass(slots=True)
class FakeSink:
    """Keeps rows and marks like a database; `fails` are raised, one a call of open or commit."""

    name: str = "fake"
    rows: list[Row] = field(default_factory=list)
    marks: dict[Part, Mark] = field(default_factory=dict)
    fails: list[ProjectionError | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    after_write: bool = False
    """Whether a failing commit fails only after it was written."""

    def open(self) -> Marks:
        self._called("open")
        return dict(self.marks)

    def commit(self, batch: Batch) -> None:
        if self.after_write:
            self._write(batch)
            self._called("commit")
        else:
            self._called("commit")
            self._write(batch)

    def beat(self) -> None:
        self._called("beat")

    def caught_up(self) -> None:
        self.calls.append("caught_up")

    def snapshot(self) -> Snapshot:
        return Snapshot(dict(self.marks), {})

    def close(self) -> None:
        self.calls.append("close")

    def _called(self, what: str) -> None:
        self.calls.append(what)
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure

    def _write(self, batch: Batch) -> None:
        for part, mark in batch.before.items():
            if self.marks.get(part, Mark()) != mark:
                raise TargetChanged(self.name, "the checkpoint is not where it was")
        self.rows += batch.rows
        self.marks.update(batch.after)
