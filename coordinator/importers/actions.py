"""Actions: splits, dividends, spin-offs and redemptions become CorporateActionAnnounced.

Place in the flow: table to messages. An action is known when it was announced, else when it takes
effect. The same row twice is one action told twice, as with signals: what happens to a holding
happens once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import polars as pl

from coordinator.importers.decimals import AMOUNT, SIZE
from coordinator.importers.messages import Message, Rank
from coordinator.importers.rows import Rows, Telling, earliest
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table
from schemas.market import ActionKind

__all__ = ["ACTION_COLUMNS", "Actions", "read_actions"]

ACTION_COLUMNS = Columns(
    ("time", "instrument", "kind"),
    (
        "ratio",
        "per",
        "amount",
        "into",
        "pays_at",
        "announced_at",
        "basis_share",
        "action_id",
    ),
)
_AS_THEY_STAND = ("ratio", "per", "amount", "into", "pays_at", "basis_share")
_TOLD = Telling(
    "CorporateActionAnnounced",
    Rank.ACTION,
    "action_id",
    MappingProxyType(
        {"instrument": "instrument", "kind": "kind", "time": "effective_at"}
        | {name: name for name in _AS_THEY_STAND}
    ),
)
_WITH_RATIO = ("split", "spin_off")
_WITH_AMOUNT = ("dividend", "redemption")


@dataclass(frozen=True, slots=True)
class Actions(Rows):
    """Accepted actions by the moment they were known, then by row, and the rejects."""

    def first_heard(self) -> dict[str, int]:
        """When each instrument was first named, as one to hold or one to receive, ns UTC."""
        return earliest(self.first_known("instrument"), self.first_known("into"))

    def messages(self) -> Iterator[Message]:
        """One message an action."""
        return _TOLD.messages(self.frame)


def read_actions(table: Table, *, session: Session) -> Actions:
    """The accepted actions of a table and its rejects.

    A bare date in time or pays_at is the beginning of that day, because an action is in force
    before the session opens; in announced_at it is that session's close.
    """
    sieve = Sieve(table, topic="market", optional=ACTION_COLUMNS.optional)
    sieve.time("time", bare=session.midnights_of, required=True)
    sieve.time("pays_at", bare=session.midnights_of)
    sieve.time("announced_at", bare=session.closes_of)
    sieve.name("instrument", required=True)
    sieve.name("into")
    sieve.name("action_id")
    sieve.choice("kind", get_args(ActionKind), required=True)
    sieve.decimal("ratio", SIZE)
    sieve.decimal("per", SIZE)
    sieve.decimal("amount", AMOUNT)
    sieve.number("basis_share")
    _check_terms(sieve)
    known = pl.coalesce("announced_at", "time")
    standing = sieve.standing().with_columns(known.alias("known_at"), known.alias("event_time"))
    return Actions(standing.sort("known_at", ROW), sieve.rejects())


def _check_terms(sieve: Sieve) -> None:
    """Refuse actions that do not say what becomes of a holding."""
    kind, into = pl.col("kind"), pl.col("into")
    for name in _WITH_RATIO:
        without = pl.col("ratio").is_null() | (pl.col("ratio") == "0")
        sieve.refuse((kind == name) & without, f"a {name} needs a ratio above 0")
    for name in _WITH_AMOUNT:
        sieve.refuse((kind == name) & pl.col("amount").is_null(), f"a {name} needs an amount")
    sieve.refuse((kind == "spin_off") & into.is_null(), "a spin_off needs into: what is received")
    sieve.refuse(into == pl.col("instrument"), "into is the instrument itself", shown="into")
    sieve.refuse(pl.col("per") == "0", "per is not above 0")
    share = pl.col("basis_share")
    sieve.refuse(~share.is_between(0, 1), "basis_share is not between 0 and 1", shown="basis_share")
