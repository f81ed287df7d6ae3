"""How far each projection is, and how far behind its log.

Place in the flow: read by `coordinator projections status` and by checkers. Asks the databases and
the log, and must never change either.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.core.ports import LogReader
from projections.checkpoints import START, Mark, Part
from projections.errors import ProjectionError
from projections.sink import Inspectable

__all__ = ["PartStatus", "ProjectionStatus", "status"]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One topic and shard in one projection.

    as_of: last seq of decisions, last position of a journal; -1: nothing yet. lag_records:
    positions not read yet. lag_seconds: how much older the last record read is than the log's last
    one, by the journal's times. Both None without a log.
    """

    topic: str
    shard: int
    as_of: int
    next: int
    journal_time: int
    lag_records: int | None
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """One projection. error: why nothing is known of it; "": it answered."""

    name: str
    error: str
    build: str
    version: int | None
    known: int
    writer: bool
    rows: dict[str, int | None]
    parts: tuple[PartStatus, ...]

    @property
    def lag_records(self) -> int | None:
        """Positions not read yet, of all parts."""
        lags = [one.lag_records for one in self.parts]
        return None if None in lags else sum(lag for lag in lags if lag is not None)

    @property
    def lag_seconds(self) -> float | None:
        """The part furthest behind."""
        lags = [one.lag_seconds for one in self.parts if one.lag_seconds is not None]
        return max(lags, default=0.0 if self.lag_records is not None else None)


def status(name: str, view: Inspectable, reader: LogReader | None) -> ProjectionStatus:
    """How a projection stands, against a log where one is given. Raises the log's errors."""
    try:
        found = view.inspect()
    except ProjectionError as error:
        return ProjectionStatus(name, str(error), "", None, 0, writer=False, rows={}, parts=())
    parts = set(found.marks)
    if reader is not None:
        parts |= {one for one in reader.partitions() if one[0] in ("journal", "decisions")}
    return ProjectionStatus(
        name=name,
        error="",
        build=found.build,
        version=found.version,
        known=found.known,
        writer=found.writer,
        rows=found.rows,
        parts=tuple(
            _part(part, found.marks.get(part, START), reader)
            for part in sorted(parts, key=lambda one: (one[1], one[0]))
        ),
    )


def _part(part: Part, mark: Mark, reader: LogReader | None) -> PartStatus:
    topic, shard = part
    records: int | None = None
    seconds: float | None = None
    if reader is not None:
        end = reader.end(*part)
        records = max(0, end - mark.next)
        seconds = _behind(reader, part, mark, end) if records else 0.0
    return PartStatus(topic, shard, mark.as_of(topic), mark.next, mark.time, records, seconds)


def _behind(reader: LogReader, part: Part, mark: Mark, end: int) -> float:
    last = next(iter(reader.read(*part, end - 1)), None)
    if last is None:
        return 0.0
    since = mark.time
    if not since:
        first = next(iter(reader.read(*part, mark.next)), last)
        since = first.journal_time
    return max(0.0, (last.journal_time - since) / 1e9)
