"""Portfolios, fills and markets for the tests of the books."""

from __future__ import annotations

from decimal import Decimal

from coordinator.core.accounts import ZERO
from coordinator.core.market import Market
from coordinator.core.state import Portfolio
from schemas.control import ModePreset
from schemas.orders import OrderFilled
from schemas.portfolios import Mandate, PortfolioOpened
from tests.journals import T0
from tests.unit.core.test_market import listed, seen

__all__ = ["D", "fill", "holding", "market", "portfolio"]

D = Decimal


def portfolio(cash: str = "1000", mandate: Mandate | None = None) -> Portfolio:
    """An empty one in USD."""
    event = PortfolioOpened(
        event_id="o",
        event_time=T0,
        portfolio="p",
        currency="USD",
        cash=D(cash),
        mandate=mandate or Mandate(position_max=1.0),
    )
    return Portfolio.opened(event, preset=ModePreset(mode="balanced", risk_aversion=8.0))


def holding(cash: str = "1000", mandate: Mandate | None = None, /, **units: str) -> Portfolio:
    """One with positions that cost nothing."""
    made = portfolio(cash, mandate)
    made.positions = {name: D(quantity) for name, quantity in units.items()}
    made.cost = dict.fromkeys(units, ZERO)
    return made


def fill(
    quantity: str, price: str = "10", *, trade: str | None = "t", fee: str = "0", name: str = "A"
) -> OrderFilled:
    """An execution."""
    return OrderFilled(
        event_id="1",
        event_time=T0,
        portfolio="p",
        instrument=name,
        trade_id=trade,
        quantity=D(quantity),
        price=D(price),
        fee=D(fee),
    )


def market(**prices: float | None) -> Market:
    """Listed names at their prices; None: none known."""
    made = Market(window=4)
    for name in prices:
        made.list(listed(name))
    known = {name: price for name, price in prices.items() if price is not None}
    if known:
        made.observe(seen({**known}))
    return made
