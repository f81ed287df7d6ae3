"""What each portfolio of a log was worth, session by session, folded from its journal alone.

Place in the flow: from a log to curves for the report. Marks are taken at session closes; where a
session shows none, at its last price. It must never read the engine's own portfolio views, nor what
it says of corporate actions: a report that only repeated them could not contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from replay.known import KnownRates
from replay.ledger import Curve, Ledger
from schemas.base import Event
from schemas.entries import decode_journal, opening
from schemas.market import (
    CorporateActionAnnounced,
    InstrumentListed,
    PricesObserved,
    RatesObserved,
)
from schemas.orders import OrderFilled, OrderPartlyFilled
from schemas.portfolios import CashMoved, PortfolioOpened

__all__ = ["PORTFOLIO", "curves"]

PORTFOLIO = "portfolio"
_OPENED = opening(PortfolioOpened)
_BOOKED = opening(
    PortfolioOpened,
    PricesObserved,
    OrderFilled,
    OrderPartlyFilled,
    CashMoved,
    CorporateActionAnnounced,
    InstrumentListed,
    RatesObserved,
)
_FLOWS = ("deposit", "withdrawal", "other")
_DAY = 86_400_000_000_000


@dataclass(slots=True)
class _Books:
    """The ledgers of one shard's portfolios, and the prices they are marked at."""

    ledgers: dict[str, Ledger] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    """Each portfolio's currency."""
    currencies: dict[str, str] = field(default_factory=dict)
    """Each instrument's currency."""
    rates: KnownRates = field(default_factory=KnownRates)
    prices: dict[str, float] = field(default_factory=dict)
    priced_at: int = -1
    """Time of the last prices that no mark has used yet; -1: none."""
    closed: bool = False
    """Those prices ended a session."""
    actions: list[CorporateActionAnnounced] = field(default_factory=list)
    """Announced, and not in effect yet."""

    def book(self, event: Event, at: int) -> None:
        """Apply one event at its journal time."""
        self.settle(at)
        self._act(at)
        match event:
            case PricesObserved():
                self._price(event, at)
            case OrderFilled() | OrderPartlyFilled():
                self._fill(event)
            case PortfolioOpened():
                opened = Ledger(event.portfolio, PORTFOLIO, float(event.cash), at)
                self.ledgers.setdefault(event.portfolio, opened)
                self.own.setdefault(event.portfolio, event.currency)
            case CashMoved() if event.portfolio in self.ledgers:
                self._move(event)
            case CorporateActionAnnounced():
                self.actions.append(event)
            case InstrumentListed():
                self.currencies[event.instrument] = event.currency
            case RatesObserved():
                self.rates.take(event)

    def settle(self, now: int | None) -> None:
        """Mark the session that is over at now; None: the log is over.

        Waiting for a later record keeps a close that came in several snapshots whole.
        """
        if self.priced_at < 0 or now == self.priced_at:
            return
        if now is None or self.closed or now // _DAY > self.priced_at // _DAY:
            for name, ledger in self.ledgers.items():
                ledger.mark(self.priced_at, self._at_home(name), self._rates_of(name))
            self.priced_at = -1

    def _at_home(self, portfolio: str) -> dict[str, float]:
        """Prices of what a portfolio holds, in its own currency."""
        held = self.ledgers[portfolio].holdings
        return {
            name: self.prices[name] * self._rate(self.currencies.get(name), portfolio)
            for name in held
            if name in self.prices
        }

    def _rates_of(self, portfolio: str) -> dict[str, float]:
        return {one: self._rate(one, portfolio) for one in self.ledgers[portfolio].others}

    def _rate(self, currency: str | None, portfolio: str) -> float:
        """Of a currency in the portfolio's own; 0 where none is known."""
        own = self.own[portfolio]
        return self.rates.between(currency or own, own) or 0.0

    def _other(self, currency: str | None, portfolio: str) -> str | None:
        """The currency, None where it is the portfolio's own."""
        return None if currency in (None, self.own[portfolio]) else currency

    def _price(self, event: PricesObserved, at: int) -> None:
        for name, price in zip(event.instruments, event.price, strict=True):
            if price is not None:
                self.prices[name] = price
        self.closed = event.session_close or (self.closed and at == self.priced_at)
        self.priced_at = at

    def _fill(self, event: OrderFilled | OrderPartlyFilled) -> None:
        ledger = self.ledgers.get(event.portfolio)
        if ledger is None:
            return
        currency = self.currencies.get(event.instrument)
        ledger.execute(
            event.instrument,
            float(event.quantity),
            float(event.price),
            fee=float(event.fee),
            mid=self.prices.get(event.instrument),
            currency=self._other(currency, event.portfolio),
            rate=self._rate(currency, event.portfolio),
        )

    def _move(self, event: CashMoved) -> None:
        ledger = self.ledgers[event.portfolio]
        currency = self._other(event.currency, event.portfolio)
        if event.kind in _FLOWS:
            rate = self._rate(event.currency, event.portfolio)
            ledger.move(float(event.amount), currency, rate=rate)
        else:
            ledger.pay(float(event.amount), currency)

    def _act(self, at: int) -> None:
        """Corporate actions whose time has passed, in the order of their times and names."""
        due = [one for one in self.actions if one.effective_at < at]
        for action in sorted(due, key=lambda one: (one.effective_at, one.event_id)):
            self.actions.remove(action)
            for name, ledger in self.ledgers.items():
                self._change(action, name, ledger)
            if action.kind == "split" and action.instrument in self.prices:
                self.prices[action.instrument] /= _new_units(action)

    def _change(self, action: CorporateActionAnnounced, name: str, ledger: Ledger) -> None:
        held = ledger.holdings.get(action.instrument, 0.0)
        if not held:
            return
        if action.kind == "split":
            ledger.hold(action.instrument, held * _new_units(action))
        elif action.kind == "spin_off" and action.into is not None:
            received = held * _new_units(action)
            ledger.hold(action.into, ledger.holdings.get(action.into, 0.0) + received)
        else:
            currency = self._other(self.currencies.get(action.instrument), name)
            ledger.pay(held * float(action.amount or 0), currency)
        if action.kind == "redemption":
            ledger.hold(action.instrument, 0.0)


def _new_units(action: CorporateActionAnnounced) -> float:
    """Of one old unit."""
    return float(action.ratio or 0) / float(action.per or 1)


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
