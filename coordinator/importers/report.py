"""The report of an import: what was read, what became of it, and what was assumed.

Place in the flow: an import's answer, shown by the command line. Accepted and rejected add up to
the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.importers.rejects import RejectCount

__all__ = ["FileCount", "ImportReport"]


@dataclass(frozen=True, slots=True)
class FileCount:
    """Rows of one file; accepted + rejected == rows."""

    file: str
    rows: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    topic_id: of the input topics that it stands for. events: messages by type. first_at, last_at:
    times of the first and the last record, ns UTC. session, bar: as used; bar None: not known.
    notes: assumptions made.
    """

    files: tuple[FileCount, ...]
    rejects: tuple[RejectCount, ...]
    events: tuple[tuple[str, int], ...]
    topic_id: str
    shards: int
    first_at: int
    last_at: int
    session: str
    bar: str | None
    notes: tuple[str, ...]
