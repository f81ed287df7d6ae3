"""Signals: rows of opinions become SignalIssued, each at the moment it was known.

Place in the flow: table to messages. A signal is known at known_at, else at its event time;
repeated and expired signals are let through, because it is the engine that judges them, live as
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from coordinator.importers.errors import ImportFailed
from coordinator.importers.messages import Message, Rank
from coordinator.importers.opinions import (
    FORM_COLUMNS,
    OPINION_COLUMNS,
    OPINION_FIELDS,
    read_opinion,
)
from coordinator.importers.rows import Rows, Telling
from coordinator.importers.sessions import DatesKnownAt, Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table

__all__ = ["SIGNAL_COLUMNS", "DatesKnownAt", "Signals", "read_signals"]

SIGNAL_COLUMNS = Columns(
    ("event_time", "source", "instrument"),
    (
        *OPINION_COLUMNS,
        "strategy",
        "horizon_days",
        "price",
        "expires_at",
        "known_at",
        "signal_id",
    ),
)
_BEFORE_HORIZON = ("source", "strategy", "instrument", *OPINION_FIELDS)
_HORIZON_MAX = 10_000.0
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
        """Sorted names, of what others are judged against, too."""
        legs = self.frame["against"].explode().struct.field("instrument")
        return tuple(sorted({*self.names("instrument"), *legs.drop_nulls()}))

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
    if not set(FORM_COLUMNS) & set(table.frame.columns):
        raise ImportFailed(
            table.name,
            "it has no column that states an opinion",
            remedy=f"give one of {', '.join(FORM_COLUMNS)}",
        )
    sieve = Sieve(table, topic="signals", optional=SIGNAL_COLUMNS.optional)
    _read_times(sieve, session, dates_known_at)
    for column in ("source", "instrument"):
        sieve.name(column, required=True)
    for column in ("strategy", "signal_id"):
        sieve.name(column)
    read_opinion(sieve)
    sieve.number("horizon_days")
    sieve.refuse(
        ~pl.col("horizon_days").is_between(0.0, _HORIZON_MAX),
        f"horizon_days is not between 0 and {_HORIZON_MAX:g}",
        shown="horizon_days",
    )
    sieve.refuse(pl.col("horizon_days") == 0, "horizon_days is 0")
    sieve.price("price")
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
