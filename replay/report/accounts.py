"""What each portfolio of a log was worth, session by session, folded from its journal alone.

Place in the flow: from a log to curves for the report. Marks are taken at session closes; where a
session shows none, at its last price. It must never read the engine's own portfolio views: a
report that only repeated them could not contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from replay.ledger import Curve, Ledger
from schemas.base import Event
from schemas.entries import decode_journal, opening
from schemas.market import PricesObserved
from schemas.orders import OrderFilled, OrderPartlyFilled
from schemas.portfolios import CashMoved, PortfolioOpened

__all__ = ["PORTFOLIO", "curves"]

PORTFOLIO = "portfolio"
_OPENED = opening(PortfolioOpened)
_BOOKED = opening(PortfolioOpened, PricesObserved, OrderFilled, OrderPartlyFilled, CashMoved)
_DAY = 86_400_000_000_000


@dataclass(slots=True)
class _Books:
    """The ledgers of one shard's portfolios, and the prices they are marked at."""

    ledgers: dict[str, Ledger] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    priced_at: int = -1
    """Time of the last prices that no mark has used yet; -1: none."""
    closed: bool = False
    """Those prices ended a session."""

    def book(self, event: Event, at: int) -> None:
        """Apply one event at its journal time."""
        self.settle(at)
        if isinstance(event, PricesObserved):
            self._price(event, at)
        elif isinstance(event, OrderFilled | OrderPartlyFilled):
            self._fill(event)
        elif isinstance(event, PortfolioOpened):
            opened = Ledger(event.portfolio, PORTFOLIO, float(event.cash), at)
            self.ledgers.setdefault(event.portfolio, opened)
        elif isinstance(event, CashMoved) and event.portfolio in self.ledgers:
            self.ledgers[event.portfolio].move(float(event.amount))

    def settle(self, now: int | None) -> None:
        """Mark the session that is over at now; None: the log is over.

        Waiting for a later record keeps a close that came in several snapshots whole.
        """
        if self.priced_at < 0 or now == self.priced_at:
            return
        if now is None or self.closed or now // _DAY > self.priced_at // _DAY:
            for ledger in self.ledgers.values():
                ledger.mark(self.priced_at, self.prices)
            self.priced_at = -1

    def _price(self, event: PricesObserved, at: int) -> None:
        for name, price in zip(event.instruments, event.price, strict=True):
            if price is not None:
                self.prices[name] = price
        self.closed = event.session_close or (self.closed and at == self.priced_at)
        self.priced_at = at

    def _fill(self, event: OrderFilled | OrderPartlyFilled) -> None:
        ledger = self.ledgers.get(event.portfolio)
        if ledger is not None:
            ledger.execute(
                event.instrument,
                float(event.quantity),
                float(event.price),
                fee=float(event.fee),
                mid=self.prices.get(event.instrument),
            )


def curves(reader: LogReader) -> tuple[Curve, ...]:
    """One curve per portfolio of the log, in the order of their names."""
    found = [curve for shard in shards_in(reader, "journal") for curve in _shard(reader, shard)]
    return tuple(sorted(found, key=lambda curve: curve.name))


def _shard(reader: LogReader, shard: int) -> Iterator[Curve]:
    """Curves of one shard; a shard without portfolios is not decoded."""
    if not any(record.payload.startswith(_OPENED) for record in reader.read("journal", shard)):
        return
    books = _Books()
    for record in reader.read("journal", shard):
        if record.payload.startswith(_BOOKED):
            books.book(decode_journal(record.payload).event, record.journal_time)
    books.settle(None)
    for ledger in books.ledgers.values():
        yield ledger.curve()
