"""Rates: exchange rates from a file become RatesObserved, each known at its time.

Place in the flow: table to messages. Only names of two currencies are taken, because the engine
acts on nothing else: a misspelt one must not pass for a rate that nobody asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from coordinator.importers.messages import Message, Rank, message
from coordinator.importers.rows import Rows
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import Columns, Table

__all__ = ["RATE_COLUMNS", "Rates", "read_rates"]

RATE_COLUMNS = Columns(("time", "name", "rate"), ())
_PAIR = r"^[A-Za-z0-9]{3,8}/[A-Za-z0-9]{3,8}$"
_RATE_LEAST, _RATE_MOST = 1e-9, 1e9


@dataclass(frozen=True, slots=True)
class Rates(Rows):
    """Accepted rates by time and name, and the rejects."""

    def messages(self) -> Iterator[Message]:
        """One message a rate."""
        for time, name, rate in self.frame.select("known_at", "name", "rate").iter_rows():
            head = {"event_id": f"rate-{time}-{name}", "event_time": time}
            yield message(time, Rank.RATE, "RatesObserved", head | {"name": name, "rate": rate})


def read_rates(table: Table, *, session: Session) -> Rates:
    """The accepted rates of a table and its rejects. A bare date is that session's close."""
    sieve = Sieve(table, topic="market", optional=RATE_COLUMNS.optional)
    sieve.time("time", bare=session.closes_of, required=True)
    sieve.text("name", required=True)
    sieve.refuse(
        ~pl.col("name").str.contains(_PAIR),
        "name is not two currencies such as EUR/USD",
        shown="name",
    )
    sides = pl.col("name").str.split("/").list
    sieve.refuse(sides.first() == sides.last(), "name is one currency twice", shown="name")
    sieve.number("rate", required=True)
    rate = pl.col("rate")
    sieve.refuse(
        ~rate.is_between(_RATE_LEAST, _RATE_MOST), "rate is not between 1e-9 and 1e9", shown="rate"
    )
    sieve.refuse_repeats("time", "name", shown="name")
    standing = sieve.standing().with_columns(pl.col("time").alias("known_at"))
    return Rates(standing.sort("time", "name"), sieve.rejects())
