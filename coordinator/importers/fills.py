"""Fills: executions of a real book become OrderFilled, each known at its time.

Place in the flow: table to messages. They serve no decided trade, so they name none. Two rows that
say the same are two fills, unless they bear one fill_id; whether one counts is for the engine to
judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from coordinator.importers.decimals import MONEY, QUANTITY, UNIT_PRICE
from coordinator.importers.messages import Message, Rank
from coordinator.importers.owners import Owners
from coordinator.importers.rows import Rows, Telling
from coordinator.importers.sessions import DatesKnownAt, Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table

__all__ = ["FILL_COLUMNS", "Fills", "read_fills"]

FILL_COLUMNS = Columns(
    ("time", "portfolio", "instrument", "quantity", "price"),
    ("fee", "currency", "fill_id", "settles_at"),
)
_FIELDS = ("portfolio", "instrument", "quantity", "price", "fee", "currency", "settles_at")
_TOLD = Telling(
    "OrderFilled",
    Rank.FILL,
    "fill_id",
    MappingProxyType({name: name for name in _FIELDS}),
    counted=True,
)


@dataclass(frozen=True, slots=True)
class Fills(Rows):
    """Accepted fills by time, then by row, and the rejects."""

    def traded_in(self, *, other_than: str) -> dict[str, tuple[int, str]]:
        """Instruments whose first fill states another currency: when it came, and which."""
        first = self.frame.unique("instrument", keep="first", maintain_order=True)
        other = first.filter(pl.col("currency") != other_than)
        chosen = other.select("instrument", "known_at", "currency").iter_rows()
        return {name: (at, currency) for name, at, currency in chosen}

    def messages(self) -> Iterator[Message]:
        """One message a fill."""
        return _TOLD.messages(self.frame)


def read_fills(
    table: Table, *, session: Session, dates_known_at: DatesKnownAt | None, owners: Owners
) -> Fills:
    """The accepted fills of a table and its rejects.

    dates_known_at: what a bare date in time means; None: it is refused. A bare date in settles_at
    is that session's close.
    """
    sieve = Sieve(table, topic="orders", optional=FILL_COLUMNS.optional)
    sieve.time("time", bare=session.meaning(dates_known_at), required=True)
    owners.check(sieve)
    sieve.name("instrument", required=True)
    sieve.decimal("quantity", QUANTITY, required=True)
    sieve.decimal("price", UNIT_PRICE, required=True)
    sieve.decimal("fee", MONEY)
    sieve.currency("currency")
    sieve.name("fill_id")
    sieve.time("settles_at", bare=session.closes_of)
    known = (pl.col("time").alias(name) for name in ("known_at", "event_time"))
    return Fills(sieve.standing().with_columns(*known).sort("time", ROW), sieve.rejects())
