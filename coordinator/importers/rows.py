"""Rows: what was accepted of one file, and how a row that stands for itself becomes an event.

Place in the flow: shared by the importers of signals, fills, positions, cash, actions and rates.
An event's id is the row's own, or made of all that the row says, never of where it stands: the same
rows give the same ids in any file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl
from pydantic_core import to_json

from coordinator.importers.messages import Message, Rank, message
from coordinator.importers.rejects import Rejects

__all__ = ["Rows", "Telling", "earliest"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Accepted rows of one file in order of "known_at", ns UTC, and its rejects."""

    frame: pl.DataFrame
    rejects: Rejects

    @property
    def first_at(self) -> int | None:
        """When the first was known; None: there is none."""
        return None if self.frame.is_empty() else int(self.frame["known_at"][0])

    def names(self, column: str) -> tuple[str, ...]:
        """The names in a column, sorted."""
        return tuple(self.frame[column].unique().drop_nulls().sort())

    def first_known(self, column: str) -> dict[str, int]:
        """When each name in a column was first known, ns UTC, by sorted name."""
        named = self.frame.filter(pl.col(column).is_not_null())
        return dict(named.group_by(column).agg(pl.col("known_at").min()).sort(column).iter_rows())


@dataclass(frozen=True, slots=True)
class Telling:
    """How rows are told, one event each.

    id_column: where a row may state its event's id. fields: name in the event by column, in the
    order in which they are told. counted: whether the same row twice, without ids, is two events
    and not one told twice.
    """

    event: str
    rank: Rank
    id_column: str
    fields: Mapping[str, str]
    counted: bool = False

    def messages(self, frame: pl.DataFrame) -> Iterator[Message]:
        """One message a row. frame: in order of known_at, with event_time."""
        head = ("known_at", "event_time", self.id_column)
        names = tuple(self.fields.values())
        chosen = frame.select(*head, self._repetition(), *self.fields)
        for known_at, event_time, stated, repetition, *values in chosen.iter_rows():
            given = zip(names, values, strict=True)
            fields = {"event_id": stated, "event_time": event_time}
            fields |= {name: value for name, value in given if value is not None}
            if stated is None:
                said = (known_at, fields, repetition) if repetition else (known_at, fields)
                fields["event_id"] = _content_id(said)
            yield message(known_at, self.rank, self.event, fields)

    def _repetition(self) -> pl.Expr:
        """How many rows before it say the same. Those are of its time: no later row counts."""
        if not self.counted:
            return pl.lit(None, pl.Int64).alias("#repetition")
        same = ("known_at", "event_time", self.id_column, *self.fields)
        return pl.int_range(pl.len()).over(*same).alias("#repetition")


def earliest(*times: Mapping[str, int]) -> dict[str, int]:
    """The least time of each name, by sorted name."""
    found: dict[str, int] = {}
    for mapping in times:
        for name, at in mapping.items():
            found[name] = min(at, found.get(name, at))
    return dict(sorted(found.items()))


def _content_id(said: tuple[object, ...]) -> str:
    return "row-" + hashlib.blake2b(to_json(said), digest_size=16).hexdigest()
