"""The book: what a portfolio holds, what it is worth, and what its open trades would make of it.

Place in the flow: folded from fills and cash events, read before every decision. Money and
quantities are exact decimals; only valuation by market prices is in floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np

from coordinator.core.market import Market
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio
from schemas.base import PLACES_MAX
from schemas.decisions import Holding, PortfolioViewUpdated
from schemas.orders import Fill

__all__ = [
    "EXACT",
    "Valuation",
    "apply_fill",
    "breaches_limit",
    "money",
    "move_cash",
    "portfolio_view",
    "units_to_come",
    "value",
    "working",
]

EXACT = Context(prec=60)
"""Wide enough that no product or sum of money and quantities is ever rounded."""
ZERO = Decimal(0)
_CENT = Decimal("0.01")
_PLACES = Decimal(1).scaleb(-PLACES_MAX)
TOLERANCE = 1e-9


def move_cash(portfolio: Portfolio, amount: Decimal) -> None:
    """Money in or out, exactly."""
    portfolio.cash = EXACT.add(portfolio.cash, amount)


def apply_fill(portfolio: Portfolio, fill: Fill, *, done: bool) -> None:
    """Move cash and position by one execution; done: the trade it serves is finished.

    Shorts are negative quantities. Nothing is rounded.
    """
    worth = EXACT.multiply(fill.quantity, fill.price)
    paid = EXACT.add(worth, fill.fee)
    held = EXACT.add(portfolio.positions.get(fill.instrument, Decimal(0)), fill.quantity)
    left = _left_open(portfolio, fill)
    portfolio.cash = EXACT.subtract(portfolio.cash, paid)
    portfolio.traded = EXACT.add(portfolio.traded, worth.copy_abs())
    portfolio.fees = EXACT.add(portfolio.fees, fill.fee)
    portfolio.fills += 1
    if held:
        portfolio.positions[fill.instrument] = held
    else:
        portfolio.positions.pop(fill.instrument, None)
    if fill.trade_id is not None and left is not None:
        if done or not left:
            del portfolio.open_trades[fill.trade_id]
        else:
            portfolio.open_trades[fill.trade_id].quantity = left


def _left_open(portfolio: Portfolio, fill: Fill) -> Decimal | None:
    """What the fill leaves of its trade, None when it serves none that is open.

    A fill beyond what was decided, or against it, leaves nothing.
    """
    trade = portfolio.open_trades.get(fill.trade_id) if fill.trade_id is not None else None
    if trade is None or trade.instrument != fill.instrument:
        return None
    left = EXACT.subtract(trade.quantity, fill.quantity)
    same_side = left.is_signed() == trade.quantity.is_signed()
    return left if same_side and left.copy_abs() <= trade.quantity.copy_abs() else ZERO


@dataclass(frozen=True, slots=True)
class Valuation:
    """A portfolio at the market's last prices.

    nav, cash: money as floats. prices, quantities: (k,) of the instruments held, sorted. unpriced:
    held without any price, valued at nothing.
    """

    nav: float
    cash: float
    instruments: tuple[str, ...]
    quantities: Floats
    prices: Floats
    unpriced: tuple[str, ...]

    @property
    def weights(self) -> Floats:
        """(k,) fractions of NAV; zeros when NAV is not positive."""
        if self.nav <= 0:
            return np.zeros(len(self.instruments))
        return self.quantities * self.prices / self.nav


def value(portfolio: Portfolio, market: Market) -> Valuation:
    """What the portfolio is worth now."""
    names = tuple(sorted(portfolio.positions))
    found = [market.price_of(name) for name in names]
    prices = np.array([0.0 if price is None else price for price in found])
    quantities = np.array([float(portfolio.positions[name]) for name in names])
    cash = float(portfolio.cash)
    nav = cash + float((quantities * prices).sum())
    unpriced = tuple(name for name, price in zip(names, found, strict=True) if price is None)
    return Valuation(nav, cash, names, quantities, prices, unpriced)


def breaches_limit(portfolio: Portfolio, market: Market) -> bool:
    """Whether what is held breaks a limit of the mandate at the last prices."""
    worth = value(portfolio, market)
    if worth.nav <= 0:
        return False
    mandate, weights = portfolio.mandate, worth.weights
    return bool(
        float(np.abs(weights).sum()) > mandate.gross_max + TOLERANCE
        or worth.cash / worth.nav < mandate.cash_floor - TOLERANCE
        or (weights > mandate.position_max + TOLERANCE).any()
        or (weights < mandate.position_min - TOLERANCE).any()
    )


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


def portfolio_view(portfolio: Portfolio, market: Market, *, at: int) -> PortfolioViewUpdated:
    """The portfolio as an event, as of the engine's clock `at`."""
    worth = value(portfolio, market)
    weights = worth.weights
    holdings = tuple(
        Holding(
            instrument=name,
            quantity=portfolio.positions[name],
            price=None if name in worth.unpriced else float(worth.prices[i]),
            weight=float(weights[i]),
        )
        for i, name in enumerate(worth.instruments)
    )
    return PortfolioViewUpdated(
        decided_at=at,
        portfolio=portfolio.name,
        nav=money(worth.nav),
        cash=_said(portfolio.cash),
        holdings=holdings,
        gross=float(np.abs(weights).sum()),
        net=float(weights.sum()),
        open_trades=len(portfolio.open_trades),
        traded=_said(portfolio.traded),
        fees=_said(portfolio.fees),
        fills=portfolio.fills,
    )


def _said(amount: Decimal) -> Decimal:
    """Money as an event can spell it: a product of price and quantity may have more places."""
    return amount.quantize(_PLACES, context=EXACT)


def money(amount: float) -> Decimal:
    """A valuation in floats as money, to the cent."""
    return Decimal(repr(amount)).quantize(_CENT, context=EXACT)
