"""Trims what takes cash until enough is left, where impact takes its part.

Place in the flow: part of `repair`. What a buy costs grows with its size; a sell brings less with
each further piece, and from a size on takes more than it brings: it is cut to that size at most.
It must never cut a trade without more cash being left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.curved import has_curved_cost
from coordinator.solver.trim import trim, whole
from coordinator.solver.violations import ROUNDING_TOLERANCE

__all__ = ["trim_cash"]

_HALVINGS = 60
"""Of a trade, in search of how much of it may stay: to the last digit."""


@dataclass(frozen=True, slots=True)
class _Trade:
    """One name's trade on one side: what a size of it takes of cash, as `limits.cash_paid`.

    rate: per unit, < 0 where a sell brings it. kappa, square: of its impact.
    """

    rate: float
    kappa: float
    square: float

    def paid(self, size: float) -> float:
        """Cash taken, fraction of NAV."""
        return self.rate * size + self.kappa * size * math.sqrt(size) + self.square * size * size

    def cheapest(self, size: float) -> float:
        """The size up to size that takes least: where one more piece would bring nothing."""
        if self.rate >= 0.0:
            return 0.0
        # The slope rate + 3/2 kappa root + 2 square root^2 is 0.
        bent = 1.5 * self.kappa
        under = bent + math.sqrt(bent * bent - 8.0 * self.square * self.rate)
        return min(size, (-2.0 * self.rate / under) ** 2) if under > 0.0 else size


def trim_cash(
    problem: AllocationProblem, trades: Floats, order: list[int], excess: float
) -> Floats:
    """(n,) trades cut, in order, by whole lots until excess of cash is gone, or none frees any."""
    if not has_curved_cost(problem):
        buys = [i for i in order if trades[i] > 0.0]
        return trim(problem, trades, buys, 1.0 + problem.cost_buy, excess)
    if excess <= ROUNDING_TOLERANCE:
        return trades
    cut = trades.copy()
    for i in order:
        size, trade = float(abs(cut[i])), _trade(problem, i, buys=bool(cut[i] > 0.0))
        left = _left(problem, i, trade, size, excess)
        freed = trade.paid(size) - trade.paid(left)
        if freed <= 0.0:
            continue
        cut[i] = np.sign(cut[i]) * left
        excess -= freed
        if excess <= 0.0:
            break
    return cut


def _trade(problem: AllocationProblem, i: int, *, buys: bool) -> _Trade:
    rates = (problem.charges.impact, problem.charges.impact_square)
    kappa, square = (0.0 if one is None else float(one[i]) for one in rates)
    rate = 1.0 + problem.cost_buy[i] if buys else problem.cost_sell[i] - 1.0
    return _Trade(float(rate), kappa, square)


def _left(problem: AllocationProblem, i: int, trade: _Trade, size: float, excess: float) -> float:
    """The largest tradable size that frees excess; where none does the one that frees most."""
    enough, low, high = trade.paid(size) - excess, trade.cheapest(size), size
    if trade.paid(low) < enough:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if trade.paid(middle) <= enough:
                low = middle
            else:
                high = middle
    below = whole(problem, i, low)
    above = min(below + float(problem.lot_weight[i]), size)
    sizes = [one for one in (above, below) if one >= problem.trade_min]
    for one in sizes:
        if trade.paid(one) <= enough:
            return one
    return min((*sizes, 0.0), key=trade.paid)
