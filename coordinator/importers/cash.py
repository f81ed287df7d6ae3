"""Cash: money in and out of portfolios becomes CashMoved, each known at its time.

Place in the flow: table to messages. Two rows that say the same are two movements, unless they bear
one cash_id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import polars as pl

from coordinator.importers.decimals import MONEY
from coordinator.importers.messages import Message, Rank
from coordinator.importers.owners import Owners
from coordinator.importers.rows import Rows, Telling
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table
from schemas.portfolios import CashKind

__all__ = ["CASH_COLUMNS", "Cash", "read_cash"]

CASH_COLUMNS = Columns(
    ("time", "portfolio", "amount"), ("currency", "kind", "instrument", "cash_id")
)
_FIELDS = ("portfolio", "amount", "currency", "kind", "instrument")
_TOLD = Telling(
    "CashMoved",
    Rank.CASH,
    "cash_id",
    MappingProxyType({name: name for name in _FIELDS}),
    counted=True,
)


@dataclass(frozen=True, slots=True)
class Cash(Rows):
    """Accepted movements by time, then by row, and the rejects."""

    def messages(self) -> Iterator[Message]:
        """One message a movement."""
        return _TOLD.messages(self.frame)


def read_cash(table: Table, *, session: Session, owners: Owners) -> Cash:
    """The accepted movements of a table and its rejects.

    A bare date is that session's open: what is there that day can be used that day. Without a kind
    a movement is "other", without a currency it is in its portfolio's.
    """
    sieve = Sieve(table, topic="portfolios", optional=CASH_COLUMNS.optional)
    sieve.time("time", bare=session.opens_of, required=True)
    owners.check(sieve)
    sieve.decimal("amount", MONEY, required=True)
    sieve.currency("currency")
    sieve.choice("kind", get_args(CashKind))
    sieve.name("instrument")
    sieve.name("cash_id")
    standing = sieve.standing().with_columns(
        *(pl.col("time").alias(name) for name in ("known_at", "event_time")),
        pl.coalesce("currency", owners.currency_of_portfolio()).alias("currency"),
        pl.col("kind").fill_null("other"),
    )
    return Cash(standing.sort("time", ROW), sieve.rejects())
