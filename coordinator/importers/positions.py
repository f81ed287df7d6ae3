"""Positions: what a custodian counted becomes PositionsReported, one for a portfolio and a time.

Place in the flow: table to messages. What a report does not list counts as not held, so that a
report of which a row cannot be used is refused whole: half of it would say something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from coordinator.core.route import PAYLOAD_MAX
from coordinator.importers.decimals import QUANTITY, UNIT_PRICE
from coordinator.importers.messages import Message, Rank, message
from coordinator.importers.owners import Owners
from coordinator.importers.rows import Rows
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import Columns, Table

__all__ = ["LINES_MAX", "POSITION_COLUMNS", "Positions", "read_positions"]

POSITION_COLUMNS = Columns(("time", "portfolio", "instrument", "quantity"), ("price",))
LINES_MAX = 10_000
"""Lines of a report, as the language has it."""

_HEAD_BYTES = 1_000  # of a report besides its lines, with the longest name of a portfolio
_LINE_BYTES = 50  # of a line besides its values
_REPORT = ("portfolio", "time")


@dataclass(frozen=True, slots=True)
class Positions(Rows):
    """Accepted lines by time, portfolio and instrument, and the rejects.

    unplaced: rejected rows of which not even the report they belong to could be read.
    """

    unplaced: int = 0

    @property
    def reports(self) -> int:
        """How many messages there will be."""
        return self.frame.select(*_REPORT).n_unique()

    def messages(self) -> Iterator[Message]:
        """One message a report."""
        chosen = self.frame.select("time", "portfolio", "instrument", "quantity", "price")
        for (time, portfolio), lines in groupby(chosen.iter_rows(), key=lambda row: row[:2]):
            fields = {
                "event_id": f"report-{time}",
                "event_time": time,
                "portfolio": portfolio,
                "as_of": time,
                "positions": [_line(*values) for _, _, *values in lines],
            }
            yield message(time, Rank.REPORT, "PositionsReported", fields)


def read_positions(table: Table, *, session: Session, owners: Owners) -> Positions:
    """The accepted lines of a table and its rejects. A bare date is that session's close."""
    sieve = Sieve(table, topic="portfolios", optional=POSITION_COLUMNS.optional)
    sieve.time("time", bare=session.closes_of, required=True)
    owners.check(sieve)
    sieve.name("instrument", required=True)
    sieve.decimal("quantity", QUANTITY, required=True)
    sieve.decimal("price", UNIT_PRICE)
    torn = sieve.refused().select(*_REPORT)
    sieve.refuse_all_of(
        torn.unique(),
        "another row of its report is refused: what a report leaves out is not held",
    )
    sieve.refuse_repeats(*_REPORT, "instrument", shown="instrument")
    _refuse_large(sieve)
    standing = sieve.standing().with_columns(pl.col("time").alias("known_at"))
    unplaced = torn.filter(pl.any_horizontal(pl.col(*_REPORT).is_null())).height
    lost = unplaced + len(table.unreadable)
    return Positions(standing.sort("time", "portfolio", "instrument"), sieve.rejects(), lost)


def _refuse_large(sieve: Sieve) -> None:
    """Refuse reports that are no message: with too many lines, or too many bytes."""
    texts = (pl.col(name).str.len_bytes().fill_null(0) for name in ("quantity", "price"))
    # A name may hold nothing but quotes, each of which takes two bytes.
    line = pl.sum_horizontal(2 * pl.col("instrument").str.len_bytes(), *texts) + _LINE_BYTES
    sizes = (
        sieve.standing().group_by(*_REPORT).agg(pl.len().alias("lines"), line.sum().alias("bytes"))
    )
    for most, column in ((LINES_MAX, "lines"), (PAYLOAD_MAX - _HEAD_BYTES, "bytes")):
        large = sizes.filter(pl.col(column) > most).select(*_REPORT)
        sieve.refuse_all_of(large, f"its report has more than {most:,} {column}")


def _line(instrument: str, quantity: str, price: str | None) -> dict[str, str]:
    line = {"instrument": instrument, "quantity": quantity}
    return line if price is None else line | {"price": price}
