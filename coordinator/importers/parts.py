"""Parts: what was accepted of every file of one import, and its messages as one stream.

Place in the flow: made by importing once the files are sieved, asked for messages and by the notes.
It must never let a message say what only later rows tell: the same files cut off at a moment give
the same messages up to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from coordinator.importers.actions import Actions
from coordinator.importers.cash import Cash
from coordinator.importers.fills import Fills
from coordinator.importers.instruments import Instruments, Listing, listing_messages
from coordinator.importers.messages import Message, by_time
from coordinator.importers.outcomes import Outcomes
from coordinator.importers.portfolios import Book
from coordinator.importers.positions import Positions
from coordinator.importers.prices import Prices
from coordinator.importers.rates import Rates
from coordinator.importers.rejects import Rejects
from coordinator.importers.rows import Rows, earliest
from coordinator.importers.signals import Signals

__all__ = ["Accepted", "Parts"]

_OPENING_LEAD = 1_000_000_000
"""How long before the first record portfolios open, ns."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Accepted rows of every table; one that was not given has none."""

    signals: Signals
    prices: Prices
    instruments: Instruments
    fills: Fills
    positions: Positions
    cash: Cash
    actions: Actions
    rates: Rates
    outcomes: Outcomes

    @property
    def rejects(self) -> dict[str, Rejects]:
        """By table, in the order of the report."""
        return {
            "signals": self.signals.rejects,
            "prices": self.prices.rejects,
            "instruments": self.instruments.rejects,
            "fills": self.fills.rejects,
            "positions": self.positions.rejects,
            "cash": self.cash.rejects,
            "actions": self.actions.rejects,
            "rates": self.rates.rejects,
            "outcomes": self.outcomes.rejects,
        }

    @property
    def first_at(self) -> int:
        """When the first row was known. Raises ImportFailed where there is nothing to play."""
        books = (self.signals, self.fills, self.positions, self.cash)
        _refuse_unusable(*books)
        tables = (*books, self.prices, self.actions, self.rates, self.outcomes)
        return min(table.first_at for table in tables if table.first_at is not None)

    @property
    def first_heard(self) -> dict[str, int]:
        """When each instrument was first heard of beside its terms, ns UTC, by sorted name."""
        books = (table.first_known("instrument") for table in (self.fills, self.positions))
        return earliest(self.prices.first_priced, *books, self.actions.first_heard())

    @property
    def first_named(self) -> dict[str, int]:
        """When each portfolio was first named by a row, ns UTC, by sorted name."""
        books = (self.fills, self.positions, self.cash)
        return earliest(*(table.first_known("portfolio") for table in books))

    @property
    def expected(self) -> int:
        """How many messages there will be, about."""
        single = (self.signals, self.fills, self.cash, self.actions, self.rates, self.outcomes)
        rows = sum(table.frame.height for table in single)
        return rows + self.prices.snapshots + self.positions.reports


@dataclass(frozen=True, slots=True)
class Parts:
    """Accepted rows of every file, and what they make together.

    opened_at: just before the first record, ns UTC. listings: every instrument's terms, when told.
    currency: of what states none.
    """

    book: Book
    accepted: Accepted
    opened_at: int
    listings: tuple[Listing, ...]
    currency: str

    @classmethod
    def build(cls, book: Book, accepted: Accepted, *, currency: str) -> Self:
        """From the accepted rows. Raises ImportFailed where there is nothing to play."""
        opened_at = accepted.first_at - _OPENING_LEAD
        listings = accepted.instruments.listings(
            accepted.first_heard,
            opened_at=opened_at,
            traded_in=accepted.fills.traded_in(other_than=currency),
        )
        opened = book.opening(accepted.first_named, currency=currency)
        if not opened.portfolios:
            _refuse_unusable(accepted.fills, accepted.positions, accepted.cash)
        return cls(opened, accepted, opened_at, listings, currency)

    def messages(self) -> Iterator[Message]:
        """Everything in order of time; where time and rank are equal, in the order below."""
        at, rows = self.opened_at, self.accepted
        return heapq.merge(
            self.book.control_messages(opened_at=at),
            listing_messages(self.listings, currency=self.currency),
            self.book.portfolio_messages(opened_at=at),
            rows.rates.messages(),
            rows.prices.messages(),
            rows.actions.messages(),
            rows.cash.messages(),
            rows.fills.messages(),
            rows.positions.messages(),
            rows.outcomes.messages(),
            self.book.source_messages(rows.signals.first_heard),
            rows.signals.messages(),
            key=by_time,
        )


def _refuse_unusable(*tables: Rows) -> None:
    """Raises ImportFailed where none of the tables has a row that can be used."""
    if all(table.first_at is None for table in tables):
        for table in tables:
            table.rejects.raise_unusable()
