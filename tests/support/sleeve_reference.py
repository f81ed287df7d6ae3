"""A second book-keeper of strategies, in fractions, who keeps the house's book too.

Place in the flow: tests only. It is told everything that an engine read and said, in order, and
books what the page says: each move of a strategy has the house on its other side, and whatever is
not a strategy's is the house's. The engine keeps no book of the house at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from schemas import books, decisions, market, orders, portfolios
from schemas.sleeves import SleevesBooked

__all__ = ["HOUSE", "Reference"]

HOUSE = "house"
Amounts = dict[tuple[str, str], Fraction]
"""By whose they are, and of what: an instrument or a currency."""


@dataclass
class Trade:
    instrument: str
    left: Fraction
    shares: dict[str, Fraction] = field(default_factory=dict)


@dataclass
class Reference:
    """One portfolio's."""

    units: Amounts = field(default_factory=dict)
    cash: Amounts = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    actions: dict[str, market.CorporateActionAnnounced] = field(default_factory=dict)

    def read(self, event: Any) -> None:
        """An input that was taken."""
        rule = _READ.get(type(event))
        if rule is not None:
            rule(self, event)

    def said(self, event: Any) -> None:
        """An output."""
        rule = _SAID.get(type(event))
        if rule is not None:
            rule(self, event)

    def move(self, who: str, instrument: str, units: Fraction, paid: Fraction) -> None:
        """Units and their price pass from the house to a strategy."""
        self.add(self.units, who, instrument, units)
        self.add(self.units, HOUSE, instrument, -units)
        self.give(who, self.currencies[instrument], -paid)

    def give(self, who: str, currency: str, amount: Fraction) -> None:
        """Money of the house becomes a strategy's."""
        self.add(self.cash, who, currency, amount)
        self.add(self.cash, HOUSE, currency, -amount)

    def add(self, amounts: Amounts, who: str, what: str, more: Any) -> None:
        amounts[who, what] = amounts.get((who, what), Fraction(0)) + Fraction(more)


def _listed(self: Reference, event: market.InstrumentListed) -> None:
    self.currencies[event.instrument] = event.currency


def _opened(self: Reference, event: portfolios.PortfolioOpened) -> None:
    self.add(self.cash, HOUSE, event.currency, event.cash)


def _moved(self: Reference, event: portfolios.CashMoved) -> None:
    self.add(self.cash, HOUSE, event.currency, event.amount)


def _announced(self: Reference, event: market.CorporateActionAnnounced) -> None:
    self.actions[event.event_id] = event


def _filled(self: Reference, event: orders.Fill) -> None:
    quantity, price, fee = Fraction(event.quantity), Fraction(event.price), Fraction(event.fee)
    self.add(self.units, HOUSE, event.instrument, quantity)
    self.add(self.cash, HOUSE, self.currencies[event.instrument], -(quantity * price + fee))
    trade = self.trades.get(event.trade_id or "")
    if trade is None or trade.instrument != event.instrument:
        return
    if quantity * trade.left > 0:
        used = quantity if abs(quantity) < abs(trade.left) else trade.left
        for who, share in list(trade.shares.items()):
            part = share * used / trade.left
            self.move(who, event.instrument, part, part * price + fee * abs(part / quantity))
            trade.shares[who] -= part
    left = trade.left - quantity
    over = left * trade.left <= 0 or abs(left) > abs(trade.left)
    if over or isinstance(event, orders.OrderFilled):
        del self.trades[event.trade_id or ""]
    else:
        trade.left = left


def _over(self: Reference, event: orders.OrderCancelled | orders.OrderRejected) -> None:
    self.trades.pop(event.trade_id or "", None)


def _decided(self: Reference, event: decisions.AllocationDecided) -> None:
    for trade in event.trades:
        self.trades[trade.trade_id] = Trade(trade.instrument, Fraction(trade.quantity))


def _expired(self: Reference, event: decisions.TradesExpired) -> None:
    for trade_id in event.trade_ids:
        self.trades.pop(trade_id, None)


def _booked(self: Reference, event: SleevesBooked) -> None:
    for k, (name, price) in enumerate(zip(event.instruments, event.prices, strict=True)):
        trade = self.trades.get(f"{event.decision_id}:{name}")
        sent = Fraction(0) if trade is None else trade.left
        wants = {line.strategy: Fraction(line.units[k]) for line in event.strategies}
        for who, want in wants.items():
            out = _sent(wants, who, sent)
            if trade is not None and out:
                trade.shares[who] = out
            self.move(who, name, want - out, (want - out) * Fraction(price))


def _sent(wants: dict[str, Fraction], who: str, sent: Fraction) -> Fraction:
    """What of a strategy's wish is left to the market once strategies and house have met."""
    want = wants[who]
    buys = sum((one for one in wants.values() if one > 0), Fraction(0))
    sells = sum((-one for one in wants.values() if one < 0), Fraction(0))
    net = buys - sells
    if want * net <= 0:
        return Fraction(0)
    left = want * abs(net) / (buys if want > 0 else sells)
    house = sent - net
    met = min(abs(house), abs(net)) if house * net < 0 else Fraction(0)
    return left * (1 - met / abs(net))


def _holding(self: Reference, event: books.HoldingChanged) -> None:
    more = Fraction(event.quantity) - Fraction(event.quantity_before)
    self.add(self.units, HOUSE, event.instrument, more)
    self.add(self.cash, HOUSE, event.currency, event.cash)
    if event.into is not None:
        self.add(self.units, HOUSE, event.into, event.into_quantity)


def _action(self: Reference, event: books.CorporateActionTaken) -> None:
    action = self.actions.pop(event.action_id, None)
    if action is None:
        return
    name = action.instrument
    for who, what in list(self.units):
        held = self.units[who, what]
        if who == HOUSE or what != name or not held:
            continue
        each = held * Fraction(action.ratio or 0) / Fraction(action.per or 1)
        if action.kind == "split":
            self.move(who, name, each - held, Fraction(0))
        elif action.kind == "spin_off":
            self.move(who, action.into or "", each, Fraction(0))
        else:
            self.give(who, self.currencies[name], held * Fraction(action.amount or 0))
            if action.kind == "redemption":
                self.move(who, name, -held, Fraction(0))


def _differed(self: Reference, event: books.ReconciliationDiffered) -> None:
    if event.policy not in ("opened", "trust_report"):
        return
    more = Fraction(event.reported) - Fraction(event.folded)
    if event.instrument is not None:
        self.add(self.units, HOUSE, event.instrument, more)
    else:
        self.add(self.cash, HOUSE, event.currency or "", more)


Rule = Callable[[Reference, Any], None]
_READ: dict[type, Rule] = {
    market.InstrumentListed: _listed,
    market.CorporateActionAnnounced: _announced,
    portfolios.PortfolioOpened: _opened,
    portfolios.CashMoved: _moved,
    orders.OrderFilled: _filled,
    orders.OrderPartlyFilled: _filled,
    orders.OrderCancelled: _over,
    orders.OrderRejected: _over,
}
_SAID: dict[type, Rule] = {
    decisions.AllocationDecided: _decided,
    decisions.TradesExpired: _expired,
    SleevesBooked: _booked,
    books.HoldingChanged: _holding,
    books.CorporateActionTaken: _action,
    books.ReconciliationDiffered: _differed,
}
