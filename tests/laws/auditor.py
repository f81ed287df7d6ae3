"""An auditor who knows only what the log says: books kept again, every decision checked for limits.

Place in the flow: tests only, and nothing of the core or the solver but the chain's reader: fills
and prices are folded anew, so that an engine that fools itself does not fool the auditor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

from coordinator.core.chain import follow
from coordinator.core.ports import LogReader
from schemas import market, orders, portfolios
from schemas.base import Event
from schemas.decisions import AllocationDecided, Trade, TradesExpired
from schemas.entries import OutputEntry, decode_journal
from schemas.verdicts import InputRejected, RecordQuarantined

__all__ = ["audit"]

TOLERANCE = 2e-6
"""Fraction of NAV: what the contract allows a solver, and money's cents."""


@dataclass(slots=True)
class _Book:
    mandate: portfolios.Mandate
    costs: portfolios.Costs
    cash: Decimal
    held: dict[str, Decimal] = field(default_factory=dict)
    open: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Exposure:
    """The worst that a portfolio can come to, whichever working trades fill; fractions of NAV."""

    gross: float
    cash: float


@dataclass(slots=True)
class _Auditor:
    books: dict[str, _Book] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    priced_at: dict[str, int] = field(default_factory=dict)
    terms: dict[str, market.InstrumentListed] = field(default_factory=dict)
    stopped: dict[str, bool] = field(default_factory=dict)

    # -- the world, folded anew --------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """An input that counted."""
        if isinstance(event, market.InstrumentListed):
            self.terms[event.instrument] = event
        elif isinstance(event, market.InstrumentHalted):
            self.stopped[event.instrument] = event.halted
        elif isinstance(event, market.PricesObserved):
            shown = zip(event.instruments, event.price, strict=True)
            known = {n: p for n, p in shown if p is not None and n in self.terms}
            for name, price in known.items():
                if self.priced_at.get(name, 0) <= event.event_time:
                    self.prices[name], self.priced_at[name] = price, event.event_time
        elif isinstance(event, portfolios.PortfolioOpened):
            self.books[event.portfolio] = _Book(event.mandate, event.costs, event.cash)
        elif isinstance(event, portfolios.MandateChanged):
            book = self.books[event.portfolio]
            book.mandate, book.costs = event.mandate, event.costs or book.costs
        elif isinstance(event, portfolios.CashMoved):
            self.books[event.portfolio].cash += event.amount
        elif isinstance(event, orders.OrderFilled | orders.OrderPartlyFilled):
            self._fill(event)
        elif isinstance(event, orders.OrderCancelled | orders.OrderRejected):
            self.books[event.portfolio].open.pop(event.trade_id or "", None)

    def _fill(self, event: orders.OrderFilled | orders.OrderPartlyFilled) -> None:
        book = self.books[event.portfolio]
        held = book.held.get(event.instrument, Decimal(0)) + event.quantity
        book.held[event.instrument] = held
        book.cash -= event.quantity * event.price + event.fee
        name, left = book.open.pop(event.trade_id or "", ("", Decimal(0)))
        rest = left - event.quantity
        over = isinstance(event, orders.OrderFilled) or rest * left <= 0 or abs(rest) > abs(left)
        if name and not over:
            book.open[event.trade_id or ""] = (name, rest)

    def said(self, event: Event) -> Iterator[str]:
        """An output, and what is wrong with it."""
        if isinstance(event, AllocationDecided):
            yield from self._check(event)
            book = self.books[event.portfolio]
            book.open |= {t.trade_id: (t.instrument, t.quantity) for t in event.trades}
        elif isinstance(event, TradesExpired):
            for trade_id in event.trade_ids:
                self.books[event.portfolio].open.pop(trade_id, None)

    # -- the checks --------------------------------------------------------------------------------

    def _check(self, event: AllocationDecided) -> Iterator[str]:
        book, mandate = self.books[event.portfolio], self.books[event.portfolio].mandate
        if event.decision_id in book.decided:
            yield f"{event.decision_id}: decided twice"
        book.decided.add(event.decision_id)
        nav = float(book.cash) + sum(float(q) * self.prices[n] for n, q in book.held.items() if q)
        if abs(nav - float(event.nav)) > 0.01 + 1e-9 * abs(nav):
            yield f"{event.decision_id}: NAV {event.nav}, the books say {nav}"
        before, after = self._worst(book, (), nav), self._worst(book, event.trades, nav)
        bounds = {
            "gross_max": (after.gross, before.gross, mandate.gross_max),
            "cash_floor": (-after.cash, -before.cash, -mandate.cash_floor),
        }
        for name, (used, was, bound) in bounds.items():
            if used > max(bound, was) + TOLERANCE:
                yield f"{event.decision_id}: {name} {used} over {bound}, before {was}"
        yield from self._check_names(event, book, nav)
        turnover = sum(abs(float(t.quantity)) * t.price for t in event.trades) / nav / 2
        if turnover > mandate.turnover_max + TOLERANCE:
            yield f"{event.decision_id}: turnover {turnover}"

    def _check_names(self, event: AllocationDecided, book: _Book, nav: float) -> Iterator[str]:
        for trade in event.trades:
            name, mandate = trade.instrument, book.mandate
            allowed = not mandate.universe or name in mandate.universe
            top = mandate.position_max if allowed else 0.0
            bottom = mandate.position_min if allowed else 0.0
            low0, high0 = self._range(book, (), name, nav)
            low, high = self._range(book, event.trades, name, nav)
            if high > max(top, high0) + TOLERANCE or low < min(bottom, low0) - TOLERANCE:
                yield f"{trade.trade_id}: {low}..{high} outside {bottom}..{top}, {low0}..{high0}"
            if self.stopped.get(name):
                yield f"{trade.trade_id}: trades what is halted"
            lot, whole = self.terms[name].lot, self._after(book, trade)
            if lot and trade.quantity % lot and whole:
                yield f"{trade.trade_id}: {trade.quantity} is no multiple of {lot}"

    def _after(self, book: _Book, trade: Trade) -> Decimal:
        """Units when everything open has filled and the trade too."""
        working = sum((q for n, q in book.open.values() if n == trade.instrument), Decimal(0))
        return book.held.get(trade.instrument, Decimal(0)) + working + trade.quantity

    def _range(
        self, book: _Book, trades: tuple[Trade, ...], name: str, nav: float
    ) -> tuple[float, float]:
        """Least and greatest weight of a name: new trades filled, working ones as it comes."""
        unit = self.prices.get(name, 0.0) / nav
        base = float(book.held.get(name, 0)) * unit
        base += sum(float(t.quantity) for t in trades if t.instrument == name) * unit
        working = [float(q) * unit for n, q in book.open.values() if n == name]
        low = base + sum(q for q in working if q < 0)
        return low, base + sum(q for q in working if q > 0)

    def _worst(self, book: _Book, trades: tuple[Trade, ...], nav: float) -> _Exposure:
        names = {*book.held, *(t.instrument for t in trades)}
        names |= {name for name, _ in book.open.values()}
        ranges = [self._range(book, trades, name, nav) for name in sorted(names)]
        buys = sum(float(q) * self.prices[n] for n, q in book.open.values() if q > 0)
        side = (book.costs.fee_bps + book.costs.half_spread_bps) * 1e-4
        tax = book.costs.sell_tax_bps * 1e-4
        values = [float(t.quantity) * t.price for t in trades]
        fees = sum(abs(v) * (side + tax * (v < 0)) for v in values)
        return _Exposure(
            gross=sum(max(abs(low), abs(high)) for low, high in ranges),
            cash=(float(book.cash) - buys * (1.0 + side) - sum(values) - fees) / nav,
        )


def audit(log: LogReader, shard: int) -> list[str]:
    """What is wrong with a shard's decisions, in words; empty when nothing is."""
    auditor, found = _Auditor(), list[str]()
    entries = (link.entry for link in follow(log.read("decisions", shard)))
    said = {at: list(group) for at, group in groupby(entries, key=lambda e: e.position)}
    marks: dict[tuple[str, str, int], int] = {}
    for record in log.read("journal", shard):
        here = said.get(record.position, [])
        for entry in here:
            found += auditor.said(entry.event)
        entry_in = decode_journal(record.payload)
        stamp = entry_in.stamp
        key = (stamp.topic, stamp.topic_id, stamp.partition)
        repeated = 0 <= stamp.offset <= marks.get(key, -1)
        marks[key] = max(marks.get(key, -1), stamp.offset)
        if not repeated and not _refused(here):
            auditor.hear(entry_in.event)
    return found


def _refused(entries: list[OutputEntry]) -> bool:
    """Whether the record itself was turned down; part of a snapshot may be left out."""
    return any(
        (isinstance(e.event, InputRejected) and not e.event.detail.startswith("left out"))
        or (isinstance(e.event, RecordQuarantined) and e.event.event != "timer")
        for e in entries
    )
