"""Signals: rows of opinions become SignalIssued, each at the moment it was known.

Place in the flow: table to messages. A signal is known at known_at, else at its event time;
repeated and expired signals are let through, because it is the engine that judges them, live as
here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import polars as pl
from pydantic_core import to_json

from coordinator.importers.errors import ImportFailed
from coordinator.importers.messages import Message, Rank, message
from coordinator.importers.rejects import Rejects
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table

__all__ = ["SIGNAL_COLUMNS", "DatesKnownAt", "Signals", "read_signals"]

DatesKnownAt = Literal["open", "close"]

SIGNAL_COLUMNS = Columns(
    ("event_time", "source", "instrument"),
    (
        "direction",
        "strength",
        "expected_return",
        "strategy",
        "confidence",
        "horizon_days",
        "expires_at",
        "known_at",
        "signal_id",
    ),
)
_DIRECTIONS = MappingProxyType(
    {"-1": -1, "-1.0": -1, "sell": -1, "0": 0, "0.0": 0, "hold": 0}
    | {"1": 1, "+1": 1, "1.0": 1, "buy": 1}
)
_FIELDS = (
    "source",
    "strategy",
    "instrument",
    "direction",
    "strength",
    "expected_return",
    "confidence",
    "horizon_days",
    "expires_at",
)


@dataclass(frozen=True, slots=True)
class Signals:
    """Accepted signals by the moment they were known, then by row, and the rejects."""

    frame: pl.DataFrame
    rejects: Rejects

    @property
    def sources(self) -> tuple[str, ...]:
        """Sorted names."""
        return tuple(self.frame["source"].unique().sort())

    @property
    def instruments(self) -> tuple[str, ...]:
        """Sorted names."""
        return tuple(self.frame["instrument"].unique().sort())

    @property
    def first_heard(self) -> dict[str, int]:
        """When each source's first was known, ns UTC."""
        first = self.frame.group_by("source").agg(pl.col("known_at").min()).sort("source")
        return dict(first.iter_rows())

    @property
    def first_at(self) -> int:
        """When the first was known."""
        return int(self.frame["known_at"][0])

    @property
    def last_at(self) -> int:
        """When the last was known."""
        return int(self.frame["known_at"][-1])

    def messages(self) -> Iterator[Message]:
        """One message a signal."""
        chosen = self.frame.select("known_at", "event_time", "signal_id", *_FIELDS)
        for known_at, event_time, signal_id, *values in chosen.iter_rows():
            fields = {"event_id": signal_id, "event_time": event_time}
            for name, value in zip(_FIELDS, values, strict=True):
                if value is not None:
                    fields["horizon_sessions" if name == "horizon_days" else name] = value
            if signal_id is None:
                fields["event_id"] = _content_id(known_at, fields)
            yield message(known_at, Rank.SIGNAL, "SignalIssued", fields)


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
        first = next(rejects.letters())
        raise ImportFailed(
            table.name, f"no row is usable ({first.where}: {first.reason})", remedy="mend the file"
        )
    return Signals(standing.sort("known_at", ROW), rejects)


def _read_times(sieve: Sieve, session: Session, dates_known_at: DatesKnownAt | None) -> None:
    meanings = {"open": session.opens_of, "close": session.closes_of}
    bare = None if dates_known_at is None else meanings[dates_known_at]
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


def _content_id(known_at: int, fields: Mapping[str, object]) -> str:
    """An id made of all that a row says, so that the same row twice is a duplicate."""
    content = to_json([known_at, fields])
    return "row-" + hashlib.blake2b(content, digest_size=16).hexdigest()
