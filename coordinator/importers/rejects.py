"""Rejects: rows that could not become events, each with its file, row number and reason.

Place in the flow: made by the sieve, buried as dead letters, counted in the report. A reject is
kept with what the row said; it is never dropped and never mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from coordinator.core.route import DeadLetter
from coordinator.importers.errors import ImportFailed, RowRefused
from coordinator.importers.tables import LINE, ROW, Table
from coordinator.importers.times import calendar

__all__ = ["RejectCount", "Rejects"]

_SCHEMA = {ROW: pl.Int64, "reason": pl.String, "shown": pl.String, "payload": pl.Binary}
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class RejectCount:
    """How many rows of a file were refused for one reason; rows: the first of them."""

    file: str
    reason: str
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rejects:
    """The refused rows of one file in its order.

    frame: "#row", reason, shown (the culprit) and payload, the row's bytes.
    """

    file: str
    topic: str
    frame: pl.DataFrame

    @classmethod
    def build(cls, table: Table, topic: str, refused: pl.DataFrame) -> Rejects:
        """From (#row, reason, shown) of refused rows and the table they stand in."""
        payloads = _spellable(table.frame.join(refused.select(ROW), on=ROW, how="semi"))
        fields = pl.struct(pl.exclude(ROW, LINE)).struct.json_encode()
        spelled = payloads.select(ROW, pl.coalesce(LINE, fields).cast(pl.Binary).alias("payload"))
        known = refused.join(spelled, on=ROW, how="left").select(*_SCHEMA)
        lost = pl.DataFrame(
            [(bad.row, bad.reason, "", bad.payload) for bad in table.unreadable],
            schema=_SCHEMA,
            orient="row",
        )
        return cls(table.name, topic, pl.concat([known, lost]).sort(ROW))

    def __len__(self) -> int:
        """How many."""
        return self.frame.height

    def counts(self) -> tuple[RejectCount, ...]:
        """By reason, the most frequent first."""
        grouped = (
            self.frame.group_by("reason", maintain_order=True)
            .agg(pl.len().alias("count"), pl.col(ROW).head(_EXAMPLES))
            .sort("count", descending=True, maintain_order=True)
        )
        return tuple(
            RejectCount(self.file, reason, count, tuple(rows))
            for reason, count, rows in grouped.iter_rows()
        )

    def letters(self) -> Iterator[DeadLetter]:
        """Each row as a dead letter of its topic."""
        for row, reason, shown, payload in self.frame.iter_rows():
            yield DeadLetter(self.topic, f"{self.file} row {row}", _told(reason, shown), payload)

    def raise_first(self) -> None:
        """Raises RowRefused for the first row, when there is one."""
        if self.frame.height:
            row, reason, shown, _ = self.frame.row(0)
            raise RowRefused(self.file, row, _told(reason, shown))

    def raise_unusable(self) -> None:
        """Raises ImportFailed for a file of which every row was refused; none: not given."""
        if self.frame.height:
            first = next(self.letters())
            what = f"no row is usable ({first.where}: {first.reason})"
            raise ImportFailed(self.file, what, remedy="mend the file")


def _spellable(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose times can be spelled: a column with one beyond the calendar stays a number."""
    typed = [name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime)]
    beyond = [name for name in typed if not bool(rows.select(calendar(name)).to_series().all())]
    return rows.with_columns(pl.col(name).to_physical() for name in beyond)


def _told(reason: str, shown: str) -> str:
    return f"{reason}: {shown!r}" if shown else reason
