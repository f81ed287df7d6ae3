"""What the projector asks of a target: rows and marks written together, by one writer at a time.

Place in the flow: implemented by `projections.postgres` and `projections.redis`; nothing here
imports a driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from projections.checkpoints import Marks
from projections.following import Batch

__all__ = [
    "Inspectable",
    "Inspection",
    "Readable",
    "Sink",
    "Snapshot",
    "View",
    "ViewDigest",
    "digest",
]


class ViewDigest(NamedTuple):
    """What a view holds, in short: how many rows, and a hash of all of them in canonical order."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Marks and digests of all views, taken at one moment."""

    marks: Marks
    views: dict[str, ViewDigest]


@dataclass(frozen=True, slots=True)
class Inspection:
    """How a projection stands. version None: there is none; rows None: too many to count soon.

    build: which one of all that were made; known: the version that this build of ours makes.
    """

    build: str
    version: int | None
    known: int
    writer: bool
    marks: Marks
    rows: dict[str, int | None]


class Inspectable(Protocol):
    """A projection whose state can be shown."""

    def inspect(self) -> Inspection:
        """How it stands. Raises TargetAway."""
        ...


class Readable(Protocol):
    """A projection whose content can be taken down in short."""

    def snapshot(self) -> Snapshot:
        """Marks and digests as of one moment. Raises TargetAway, TargetChanged."""
        ...


class View(Readable, Inspectable, Protocol):
    """A projection seen from outside, by whoever does not write it."""


class Sink(Readable, Protocol):
    """One projection's target, written by whoever opened it."""

    name: str
    """"postgres" or "redis"."""

    def open(self) -> Marks:
        """Become the one writer, bring the schema up to date, and say how far it was written.

        May be called again at any time, and must be after any error. Raises TargetAway,
        TargetBusy, SchemaRefused.
        """
        ...

    def commit(self, batch: Batch) -> None:
        """Write the batch's rows and marks, all or nothing; an older row never replaces a newer.

        Raises TargetAway, TargetChanged (also when batch.before is not what stands there),
        RowRefused.
        """
        ...

    def beat(self) -> None:
        """Show that the writer lives; called at least every few seconds. Raises as commit does."""
        ...

    def caught_up(self) -> None:
        """Told when there was nothing more to read. Raises as commit does."""
        ...

    def close(self) -> None:
        """Let the next writer in. Never raises for a target that is away."""
        ...


def digest(sink: Readable) -> dict[str, ViewDigest]:
    """Rows and hash of each view: equal exactly when the views hold the same.

    Comparable between targets of one kind at the same marks.
    """
    return sink.snapshot().views
