"""Outcomes: what came of signals, as somebody else reckoned it, becomes OutcomeAttributed.

Place in the flow: table to messages. Each is known at its time; whether its signal still waits for
an outcome is for the engine to judge. They take the place of what the engine would find in prices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from coordinator.importers.messages import Message, Rank
from coordinator.importers.rows import Rows, Telling
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table

__all__ = ["OUTCOME_COLUMNS", "Outcomes", "read_outcomes"]

OUTCOME_COLUMNS = Columns(("time", "source", "signal_id", "realised_return"), ("outcome_id",))
RETURN_MOST = 100.0
_FIELDS = ("source", "signal_id", "realised_return")
_TOLD = Telling(
    "OutcomeAttributed",
    Rank.OUTCOME,
    "outcome_id",
    MappingProxyType({name: name for name in _FIELDS} | {"time": "known_at"}),
)


@dataclass(frozen=True, slots=True)
class Outcomes(Rows):
    """Accepted outcomes by time, then by row, and the rejects."""

    def messages(self) -> Iterator[Message]:
        """One message an outcome."""
        return _TOLD.messages(self.frame)


def read_outcomes(table: Table, *, session: Session) -> Outcomes:
    """The accepted outcomes of a table and its rejects. A bare date is that session's close."""
    sieve = Sieve(table, topic="outcomes", optional=OUTCOME_COLUMNS.optional)
    sieve.time("time", bare=session.closes_of, required=True)
    sieve.name("source", required=True)
    sieve.name("signal_id", required=True)
    sieve.number("realised_return", required=True)
    outside = ~pl.col("realised_return").is_between(-RETURN_MOST, RETURN_MOST)
    sieve.refuse(outside, "realised_return is not between -100 and 100", shown="realised_return")
    sieve.name("outcome_id")
    times = (pl.col("time").alias(name) for name in ("known_at", "event_time"))
    standing = sieve.standing().with_columns(*times)
    return Outcomes(standing.sort("time", ROW), sieve.rejects())
