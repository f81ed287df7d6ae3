"""Rebuild: a projection is made anew beside the live one, compared with it, and swapped in.

Place in the flow: run by hand or by a checker, while the live projector goes on. The build follows
the log to exactly where the live one stands, both are taken down in short at these marks, then the
build catches up and takes its place in one atomic step. Whatever interrupts it, the live projection
stays as it is, and the next rebuild clears up. It must never swap in what it could not compare
without being told so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from coordinator.core.ports import LogReader
from projections.checkpoints import START, Mark, Marks, Part
from projections.errors import ProjectionError, TargetChanged
from projections.following import Follower
from projections.sink import Readable, Sink, ViewDigest

__all__ = ["Advance", "Compared", "Live", "RebuildReport", "Rebuildable", "rebuild"]

Advance: TypeAlias = Callable[[int, int, str], None]
"""Called with records read, records there are, and a word on where it stands."""
_ROWS_MAX = 20_000
_NEAR = 5_000
"""Records by which the build may be behind when the live one is taken down, or swapped."""
_ROUNDS_MAX = 100


class Live(Readable, Protocol):
    """The projection that is read now."""

    def marks(self) -> Marks:
        """How far it is written."""
        ...

    def obstacle(self) -> str:
        """Why it cannot be compared with this build's views; "": it can."""
        ...


class Rebuildable(Protocol):
    """A kind of target that can hold a build beside the live projection."""

    name: str

    def claim(self) -> None:
        """Become the one rebuild under way, and drop what others left. Raises TargetBusy."""
        ...

    def live(self) -> Live | None:
        """The projection to be replaced; None: there is none."""
        ...

    def build(self) -> Sink:
        """A new, empty one beside it, opened."""
        ...

    def swap(self, finish: Callable[[Marks], None]) -> None:
        """Put the build in the live one's place; readers see the one or the other.

        finish: called while the live one stands still, with its marks; brings the build there.
        Raises TargetBusy where readers do not let go, then nothing is changed.
        """
        ...

    def drop(self) -> None:
        """Forget the build."""
        ...

    def close(self) -> None:
        """Let the next rebuild begin."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """One view in both; live None: there was nothing to compare with."""

    view: str
    built: ViewDigest
    live: ViewDigest | None

    @property
    def equal(self) -> bool:
        """Whether they hold the same."""
        return self.live is None or self.live == self.built


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild did. obstacle: why nothing was compared; "": it was, or there was no live one.

    differences: in words, of marks and views; seconds: whole duration.
    """

    name: str
    records: int
    seconds: float
    views: tuple[Compared, ...]
    obstacle: str
    differences: tuple[str, ...]
    swapped: bool

    @property
    def ok(self) -> bool:
        """Whether the two were found equal, or there was none to compare with."""
        return not self.differences and not self.obstacle


def rebuild(
    reader: LogReader,
    target: Rebuildable,
    *,
    check: bool = False,
    accept: bool = False,
    advance: Advance | None = None,
) -> RebuildReport:
    """Make the projection anew from the log's beginning, compare, and swap it in.

    check: swap nothing, only compare. accept: swap although it differs, or cannot be compared.
    Raises TargetBusy, TargetAway, TargetChanged, ProjectionStopped, and the log's errors; the live
    projection is untouched then.
    """
    began = time.monotonic()
    swapped = False
    try:
        target.claim()
        build = _Build(reader, target.build(), advance)
        views, obstacle, differences = _compared(build, target.live())
        if not check and (accept or not (differences or obstacle)):
            build.catch_up()
            target.swap(build.finish)
            swapped = True
    finally:
        if not swapped:
            # What failed is told by its own error; a build that is left is dropped by the next.
            with suppress(ProjectionError):
                target.drop()
        target.close()
    return RebuildReport(
        name=target.name,
        records=build.records,
        seconds=time.monotonic() - began,
        views=views,
        obstacle=obstacle,
        differences=differences,
        swapped=swapped,
    )


@dataclass(slots=True)
class _Build:
    """The new projection, following the log."""

    reader: LogReader
    sink: Sink
    advance: Advance | None
    records: int = 0
    follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self.follower = Follower(self.reader, self.sink.name)
        self.follower.reset({})
        self.follower.find_shards()

    def follow(self, stops: dict[Part, int] | None) -> int:
        """Read on up to the stops, or to the log's present end; records read."""
        self.follower.stops = stops
        read = 0
        while True:
            batch = self.follower.batch(rows_max=_ROWS_MAX, until=lambda: False)
            if not batch.after:
                self.sink.beat()
                return read
            self.sink.commit(batch)
            read += batch.records
            self.records += batch.records
            if self.advance is not None:
                total = sum(self.reader.end(*part) for part in self.follower.parts)
                done = sum(mark.next for mark in self.follower.marks.values())
                self.advance(min(done, total), total, "following")

    def catch_up(self) -> None:
        """Come near the end of a log that may be growing."""
        self.follower.find_shards()
        for _ in range(_ROUNDS_MAX):
            if self.follow(None) <= _NEAR:
                return

    def finish(self, marks: Marks) -> None:
        """Be at least where these marks are. Raises TargetChanged where the log ends before."""
        self.follow(None)
        for part, mark in marks.items():
            if self.follower.marks.get(part, START).next < mark.next:
                what = f"{part[0]}/{part[1]} is projected further than the log reaches"
                raise TargetChanged(self.sink.name, f"{what}: the live one was made of another log")


_Outcome: TypeAlias = "tuple[tuple[Compared, ...], str, tuple[str, ...]]"


def _compared(build: _Build, live: Live | None) -> _Outcome:
    """Views in both at the live one's marks, what keeps them from being compared, differences."""
    if live is None:
        build.catch_up()
        return _alone(build), "", ()
    obstacle = live.obstacle()
    if obstacle:
        build.catch_up()
        return _alone(build), obstacle, ()
    for _ in range(_ROUNDS_MAX):
        if build.follow(_stops(live.marks())) <= _NEAR:
            break
    there = live.snapshot()
    build.follow(_stops(there.marks))
    here = build.sink.snapshot()
    names = dict.fromkeys((*here.views, *there.views))
    nothing = ViewDigest(0, "")
    views = tuple(
        Compared(name, here.views.get(name, nothing), there.views.get(name, nothing))
        for name in names
    )
    differences = (
        *_marks_that_differ(here.marks, there.marks),
        *(f"view {one.view}: {_told(one)}" for one in views if not one.equal),
    )
    return views, "", differences


def _alone(build: _Build) -> tuple[Compared, ...]:
    found = build.sink.snapshot().views
    return tuple(Compared(name, digest, None) for name, digest in found.items())


def _stops(marks: Marks) -> dict[Part, int]:
    return {part: mark.next for part, mark in marks.items()}


def _marks_that_differ(built: Mapping[Part, Mark], live: Mapping[Part, Mark]) -> Iterator[str]:
    for part in sorted({*built, *live}):
        mine, theirs = built.get(part, START), live.get(part, START)
        if mine != theirs:
            where = f"{part[0]}/{part[1]}"
            yield f"{where}: rebuilt up to {_place(mine)}, live up to {_place(theirs)}"


def _place(mark: Mark) -> str:
    return f"position {mark.next} seq {mark.seq} hash {mark.hash[:12]}"


def _told(one: Compared) -> str:
    live = one.live or ViewDigest(0, "")
    return (
        f"rebuilt {one.built.rows} rows {one.built.sha256[:12]}, "
        f"live {live.rows} rows {live.sha256[:12]}"
    )
