"""The book: what a portfolio holds, what it is worth, and what its open trades would make of it.

Place in the flow: read before every decision; `accounts` is what changes it. Money and quantities
are exact decimals; only valuation by market prices is in floats. Never changes the state, but for
`mark`, which a session's close calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from coordinator.core.accounts import EXACT, ZERO
from coordinator.core.market import Market
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio

__all__ = [
    "Valuation",
    "drawdown_now",
    "growth_now",
    "mark",
    "money",
    "reserved",
    "settled",
    "units_to_come",
    "value",
    "working",
]

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Valuation:
    """A portfolio at the market's last prices and rates, in its own currency.

    nav, cash: money as floats. instruments: the k held, sorted. quantities, prices: (k,), prices in
    each one's own currency. rates: (k,) units of the portfolio's currency for one of that.
    unpriced: held without a price or a rate, instruments or currencies, valued at nothing.
    """

    nav: float
    cash: float
    instruments: tuple[str, ...]
    quantities: Floats
    prices: Floats
    rates: Floats
    unpriced: tuple[str, ...]

    @property
    def values(self) -> Floats:
        """(k,) money of the portfolio's own currency."""
        found: Floats = self.quantities * self.prices * self.rates
        return found

    @property
    def weights(self) -> Floats:
        """(k,) fractions of NAV; zeros when NAV is not positive."""
        if self.nav <= 0:
            return np.zeros(len(self.instruments))
        return self.values / self.nav


def value(portfolio: Portfolio, market: Market) -> Valuation:
    """What the portfolio is worth now."""
    names = tuple(sorted(portfolio.positions))
    known = [market.instruments[name] for name in names]
    found = market.price[[one.column for one in known]]
    quantities = np.array([float(portfolio.positions[name]) for name in names])
    currencies = {portfolio.currency} | {one.currency for one in known}
    rate = {
        currency: market.rate(currency, portfolio.currency)
        for currency in sorted(currencies | portfolio.accounts.keys())
    }
    rates = np.array([rate[one.currency] or 0.0 for one in known])
    cash = 0.0
    missing = []
    for currency in sorted(portfolio.accounts):
        amount = portfolio.accounts[currency].cash
        factor = rate[currency]
        if factor is not None:
            cash += float(amount) * factor
        elif amount:
            missing.append(currency)
    known_prices = np.nan_to_num(found)
    nav = cash + float((quantities * known_prices * rates).sum())
    unpriced = [
        name
        for name, price, factor in zip(names, found.tolist(), rates.tolist(), strict=True)
        if price != price or not factor  # noqa: PLR0124 - NaN is the one value unlike itself
    ]
    return Valuation(nav, cash, names, quantities, known_prices, rates, (*unpriced, *missing))


def growth_now(portfolio: Portfolio, worth: Valuation) -> float:
    """What one unit of money of the opening is worth now, money in and out taken out."""
    last = portfolio.growth
    base = last.nav + last.moved
    if base <= 0 or worth.unpriced:
        return last.now
    return last.now * worth.nav / base


def drawdown_now(portfolio: Portfolio, worth: Valuation) -> float:
    """The fall from the best session close, money in and out taken out, 0 to 1."""
    now = growth_now(portfolio, worth)
    return min(1.0, max(0.0, 1.0 - now / max(portfolio.growth.best, now)))


def mark(portfolio: Portfolio, worth: Valuation) -> None:
    """A session is over: its growth counts; one that cannot be valued goes on to the next close."""
    if worth.unpriced:
        return
    last = portfolio.growth
    last.now = growth_now(portfolio, worth)
    last.best = max(last.best, last.now)
    last.deepest = max(last.deepest, min(1.0, 1.0 - last.now / last.best))
    last.nav, last.moved = worth.nav, 0.0


def units_to_come(portfolio: Portfolio) -> dict[str, Decimal]:
    """What is held of each instrument once every open trade has filled, units."""
    units = dict(portfolio.positions)
    for trade_id in sorted(portfolio.open_trades):
        trade = portfolio.open_trades[trade_id]
        units[trade.instrument] = EXACT.add(units.get(trade.instrument, ZERO), trade.quantity)
    return units


def working(portfolio: Portfolio) -> dict[str, tuple[float, float]]:
    """Open buys and open sells per instrument, in units: what may still fill."""
    found: dict[str, tuple[float, float]] = {}
    for trade_id in sorted(portfolio.open_trades):
        trade = portfolio.open_trades[trade_id]
        buys, sells = found.get(trade.instrument, (0.0, 0.0))
        quantity = float(trade.quantity)
        found[trade.instrument] = (buys + max(quantity, 0.0), sells + min(quantity, 0.0))
    return found


def reserved(portfolio: Portfolio, market: Market) -> float:
    """What open purchases will cost at the last prices, costs included; own currency."""
    costs = portfolio.costs
    dearer = 1.0 + (costs.fee_bps + costs.half_spread_bps) * 1e-4
    total = 0.0
    for name, (buys, _) in sorted(working(portfolio).items()):
        price = market.price_of(name)
        rate = market.rate(market.instruments[name].currency, portfolio.currency)
        if price is not None and rate is not None:
            total += buys * price * rate * dearer
    return total


def settled(portfolio: Portfolio, market: Market, *, at: int) -> float:
    """Cash that has changed hands, all currencies at their rates; own currency."""
    total = 0.0
    for currency in sorted(portfolio.accounts):
        rate = market.rate(currency, portfolio.currency)
        if rate is not None:
            total += float(portfolio.accounts[currency].settled(at)) * rate
    return total


def money(amount: float) -> Decimal:
    """A valuation in floats as money, to the cent."""
    return Decimal(repr(amount)).quantize(_CENT, context=EXACT)
