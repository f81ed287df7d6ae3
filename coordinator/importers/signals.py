"""Signals: rows of opinions become SignalIssued, each at the moment it was known.

Place in the flow: table to messages. A signal is known at known_at, else at its event time;
repeated and expired signals are let through, because it is the engine that judges them, live as
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from coordinator.importers.errors import ImportFailed
from coordinator.importers.messages import Message, Rank
from coordinator.importers.rows import Rows, Telling
from coordinator.importers.sessions import DatesKnownAt, Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table

__all__ = ["SIGNAL_COLUMNS", "DatesKnownAt", "Signals", "read_signals"]

SIGNAL_COLUMNS = Columns(
    ("event_time", "source", "instrument"),
    (
        "direction",
        "strength",
        "expected_return",
        "strategy",
        "confidence",
        "horizon_days",
        "price",
        "expires_at",
        "known_at",
        "signal_id",
    ),
)
_DIRECTIONS = MappingProxyType(
    {"-1": -1, "-1.0": -1, "sell": -1, "0": 0, "0.0": 0, "hold": 0}
    | {"1": 1, "+1": 1, "1.0": 1, "buy": 1}
)
_BEFORE_HORIZON = (
    "source",
    "strategy",
    "instrument",
    "direction",
    "strength",
    "expected_return",
    "confidence",
)
_TOLD = Telling(
    "SignalIssued",
    Rank.SIGNAL,
    "signal_id",
    MappingProxyType(
        {name: name for name in _BEFORE_HORIZON}
        | {"horizon_days": "horizon_sessions", "price": "price", "expires_at": "expires_at"}
    ),
)


@dataclass(frozen=True, slots=True)
class Signals(Rows):
    """Accepted signals by the moment they were known, then by row, and the rejects."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Sorted names."""
        return self.names("source")

    @property
    def instruments(self) -> tuple[str, ...]:
        """Sorted names."""
        return self.names("instrument")

    @property
    def first_heard(self) -> dict[str, int]:
        """When each source's first was known, ns UTC."""
        return self.first_known("source")

    def messages(self) -> Iterator[Message]:
        """One message a signal."""
        return _TOLD.messages(self.frame)


def read_signals(table: Table, *, session: Session, dates_known_at: DatesKnownAt | None) -> Signals:
    """The accepted signals of a table and its rejects.

    dates_known_at: what a bare date in event_time or known_at means; None: it is refused. A bare
    date in expires_at is that session's close. Raises ImportFailed where no row or no form of
    opinion is usable.
    """
    if not {"direction", "expected_return"} & set(table.frame.columns):
        raise ImportFailed(
            table.name,
            "it has neither a column direction nor expected_return",
            remedy="give one of them (direction with strength)",
        )
    sieve = Sieve(table, topic="signals", optional=SIGNAL_COLUMNS.optional)
    _read_times(sieve, session, dates_known_at)
    for column in ("source", "instrument"):
        sieve.name(column, required=True)
    for column in ("strategy", "signal_id"):
        sieve.name(column)
    _read_opinion(sieve)
    standing = sieve.standing().with_columns(
        pl.coalesce("known_at", "event_time").alias("known_at"),
        pl.coalesce("strategy", "source").alias("strategy"),
    )
    rejects = sieve.rejects()
    if standing.is_empty():
        rejects.raise_unusable()
    return Signals(standing.sort("known_at", ROW), rejects)


def _read_times(sieve: Sieve, session: Session, dates_known_at: DatesKnownAt | None) -> None:
    bare = session.meaning(dates_known_at)
    sieve.time("event_time", bare=bare, required=True)
    sieve.time("known_at", bare=bare)
    sieve.time("expires_at", bare=session.closes_of)
    sieve.refuse(
        pl.col("known_at") < pl.col("event_time"),
        "known_at is before event_time: nothing is known before it is said",
    )


def _read_opinion(sieve: Sieve) -> None:
    _read_direction(sieve)
    bounds = {"strength": 1.0, "confidence": 1.0, "horizon_days": 10_000.0, "expected_return": 10.0}
    for column, most in bounds.items():
        sieve.number(column)
        least = -most if column == "expected_return" else 0.0
        sieve.refuse(
            ~pl.col(column).is_between(least, most),
            f"{column} is not between {least:g} and {most:g}",
            shown=column,
        )
    sieve.refuse(pl.col("horizon_days") == 0, "horizon_days is 0")
    sieve.price("price")
    directed, returned = pl.col("direction").is_not_null(), pl.col("expected_return").is_not_null()
    sieve.refuse(directed & returned, "both direction and expected_return are given")
    sieve.refuse(
        pl.col("strength").is_not_null() & ~directed, "strength is given without a direction"
    )
    sieve.refuse(~directed & ~returned, "neither direction nor expected_return is given")


def _read_direction(sieve: Sieve) -> None:
    if sieve.frame.schema["direction"].is_float():
        whole = pl.col("direction").cast(pl.String)
        sieve.frame = sieve.frame.with_columns(whole.alias("direction"))
    sieve.text("direction")
    spelled = pl.col("direction").str.to_lowercase()
    known: Mapping[str, int] = _DIRECTIONS
    sieve.refuse(
        spelled.is_not_null() & ~spelled.is_in(list(known)),
        "direction is not -1, 0, 1, sell, hold or buy",
        shown="direction",
    )
    number = spelled.replace_strict(dict(known), default=None, return_dtype=pl.Int64)
    sieve.frame = sieve.frame.with_columns(number.alias("direction"))
