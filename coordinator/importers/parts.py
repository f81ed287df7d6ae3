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

from coordinator.importers.instruments import Instruments, Listing, listing_messages
from coordinator.importers.messages import Message, by_time
from coordinator.importers.portfolios import Book
from coordinator.importers.prices import Prices
from coordinator.importers.rejects import Rejects
from coordinator.importers.signals import Signals

__all__ = ["Parts"]

_OPENING_LEAD = 1_000_000_000
"""How long before the first record portfolios open, ns."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Accepted rows of every file.

    opened_at: just before the first record, ns UTC. listings: every instrument's terms, when told.
    currency: of instruments that state none.
    """

    book: Book
    signals: Signals
    prices: Prices
    instruments: Instruments
    opened_at: int
    listings: tuple[Listing, ...]
    currency: str

    @classmethod
    def build(
        cls,
        book: Book,
        signals: Signals,
        prices: Prices,
        instruments: Instruments,
        *,
        currency: str,
    ) -> Self:
        """From the accepted rows."""
        opened_at = min(signals.first_at, prices.first_at) - _OPENING_LEAD
        listings = instruments.listings(prices.first_priced, opened_at=opened_at)
        return cls(book, signals, prices, instruments, opened_at, listings, currency)

    @property
    def rejects(self) -> tuple[Rejects, ...]:
        """Of each file that was given, in the order of the report."""
        given = (self.signals.rejects, self.prices.rejects, self.instruments.rejects)
        return tuple(item for item in given if item is not None)

    def messages(self) -> Iterator[Message]:
        """Everything in order of time; where time and rank are equal, in the order below."""
        at = self.opened_at
        return heapq.merge(
            self.book.control_messages(opened_at=at),
            listing_messages(self.listings, currency=self.currency),
            self.book.portfolio_messages(opened_at=at),
            self.prices.messages(),
            self.book.source_messages(self.signals.first_heard),
            self.signals.messages(),
            key=by_time,
        )
