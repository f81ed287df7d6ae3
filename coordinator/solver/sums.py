"""The limits on sums in one order: gross, cash, turnover, then the further linear rows and groups.

Place in the flow: `polish` and `balance` state equations in it; `segments.room_left` has the same
order. A volatility and the house book's bound are no sums.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices
from coordinator.solver.further import further_of
from coordinator.solver.limits import kink
from coordinator.solver.terms import power_slope, square_slope

__all__ = ["every_price", "uses_of", "with_prices"]


def uses_of(problem: AllocationProblem, trades: Floats) -> Floats:
    """(3 + r, n) of each sum per unit of each trade, at these trades, (n,)."""
    bought, up = trades > 0.0, np.where(trades > kink(problem), 1.0, -1.0)
    paid = 1.0 + np.where(bought, problem.cost_buy, -problem.cost_sell)
    paid = paid + power_slope(problem, trades) + square_slope(problem, trades)
    uses = np.stack([up, paid, np.where(bought, 0.5, -0.5)])
    if not problem.limits:
        return uses
    further = further_of(problem)
    return np.concatenate([uses, further.linear, further.gross * up])


def every_price(prices: Prices) -> Floats:
    """(3 + r,) the price of each sum."""
    firsts = np.array([prices.gross, prices.cash, prices.turnover])
    return np.concatenate([firsts, prices.linear, prices.groups])


def with_prices(prices: Prices, every: Floats) -> Prices:
    """The prices with those of the sums, (3 + r,), in place of theirs."""
    k = len(prices.linear)
    gross, cash, turnover = every[:3].tolist()
    return replace(
        prices,
        gross=gross,
        cash=cash,
        turnover=turnover,
        linear=every[3 : 3 + k],
        groups=every[3 + k :],
    )
