"""What an execution costs: exact prices, fees and quantities, always rounded against us.

Place in the flow: the simulated market asks here for numbers; what is filled and when is its own
business. Everything is a decimal, reckoned under EXACT: no setting of the process changes a fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from schemas.portfolios import Costs

__all__ = [
    "FEE_STEP",
    "InstrumentTerms",
    "affordable",
    "at_limit",
    "exact",
    "execution_price",
    "fee",
]

EXACT = Context(prec=60)
"""The arithmetic that callers set around their sums."""
FEE_STEP = Decimal("0.0001")
"""Fees are rounded up to this, money."""
_FINEST = Decimal("1e-12")
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class InstrumentTerms:
    """How an instrument trades. lot, tick: 0 means any; price_limit: of the previous close."""

    lot: Decimal = Decimal(0)
    tick: Decimal = Decimal(0)
    price_limit: float | None = None


def exact(number: float) -> Decimal:
    """The decimal that a float's shortest spelling says."""
    return Decimal(repr(number))


def execution_price(
    mid: Decimal, *, buying: bool, costs: Costs, terms: InstrumentTerms, close: Decimal | None
) -> Decimal:
    """What one unit is bought or sold at: half the spread worse than mid, rounded to the tick.

    close: the previous session's; with a price limit nothing trades beyond the limit. May be 0 for
    a sale below one tick.
    """
    side = exact(costs.half_spread_bps) / _BPS
    price = mid * (1 + side if buying else 1 - side)
    price = _to_step(price, terms.tick, ROUND_CEILING if buying else ROUND_FLOOR)
    bounds = _limits(terms, close)
    if bounds is None:
        return price
    return min(price, bounds[1]) if buying else max(price, bounds[0])


def at_limit(mid: Decimal, *, buying: bool, terms: InstrumentTerms, close: Decimal | None) -> bool:
    """Whether the exchange's price limit leaves nobody to trade with on that side."""
    bounds = _limits(terms, close)
    if bounds is None:
        return False
    return mid >= bounds[1] if buying else mid <= bounds[0]


def fee(quantity: Decimal, price: Decimal, costs: Costs) -> Decimal:
    """Money paid beside the price for a signed quantity: fees, and the tax where it is a sale."""
    bps = exact(costs.fee_bps)
    if quantity < 0:
        bps += exact(costs.sell_tax_bps)
    return _to_step(abs(quantity) * price * bps / _BPS, FEE_STEP, ROUND_CEILING)


def affordable(cash: Decimal, price: Decimal, *, costs: Costs, lot: Decimal) -> Decimal:
    """The largest quantity in whole lots that cash pays for, fees included; 0 when none."""
    unit = price * (1 + exact(costs.fee_bps) / _BPS)
    # The fee is rounded up, which may cost one step more than was reckoned with.
    for room in (cash, cash - FEE_STEP):
        quantity = _to_step(max(room, Decimal(0)) / unit, lot, ROUND_FLOOR)
        if quantity * price + fee(quantity, price, costs) <= cash:
            return quantity
    return Decimal(0)


def _limits(terms: InstrumentTerms, close: Decimal | None) -> tuple[Decimal, Decimal] | None:
    """Lowest and highest price of the day, each rounded half up to the tick as exchanges do."""
    if terms.price_limit is None or close is None:
        return None
    move = exact(terms.price_limit)
    low, high = close * (1 - move), close * (1 + move)
    return _to_step(low, terms.tick, ROUND_HALF_UP), _to_step(high, terms.tick, ROUND_HALF_UP)


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """A whole multiple of step; of the finest decimal an event can carry where step is 0."""
    unit = step or _FINEST
    return (value / unit).to_integral_value(rounding=rounding) * unit
