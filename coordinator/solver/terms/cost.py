"""The objective's charges for trading."""

from __future__ import annotations

from typing import cast

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.atoms import power_three_halves, squares, sum_squares, total

__all__ = [
    "impact_cost",
    "impact_paid",
    "impact_taken",
    "linear_cost",
    "power_paid",
    "power_slope",
    "square_cost",
    "square_paid",
    "square_slope",
    "square_taken",
]


def linear_cost(
    buys: cp.Expression, sells: cp.Expression, cost_buy: cp.Parameter, cost_sell: cp.Parameter
) -> cp.Expression:
    """Linear cost of the trades, paid once.

    buys, sells: (n,) fractions of NAV, both >= 0. cost_buy, cost_sell: (n,) fraction of the traded
    value. Returns an affine scalar, fraction of NAV times the objective scale. Source: Boyd et al.
    2017, section 2.
    """
    paid: cp.Expression = cost_buy @ buys + cost_sell @ sells
    return paid


def impact_cost(traded: cp.Expression, kappa: cp.Parameter) -> cp.Expression:
    """Market impact of the trades by the square-root law, paid once.

    traded: (n,) at least |trade|, fractions of NAV. kappa: (n,) >= 0. Returns a convex scalar,
    fraction of NAV times the scale of kappa. Source: Boyd et al. 2017, section 2.3; MATH, stage B.
    """
    return cast("cp.Expression", kappa @ power_three_halves(traded))


def square_cost(trades: cp.Expression, rate: cp.Parameter) -> cp.Expression:
    """Market impact that is linear in size, so that its cost is quadratic, paid once.

    trades: (n,) fractions of NAV. rate: (n,) >= 0. Returns a convex scalar, fraction of NAV times
    the scale of rate. Source: Boyd et al. 2017, section 2.3.
    """
    return cast("cp.Expression", rate @ squares(trades))


def impact_taken(traded: cp.Expression, scale: cp.Parameter) -> cp.Expression:
    """What the same takes of cash: not in the objective, so that cones have to state it.

    scale: (n,) kappa to the power 2/3. It stands inside, as a cone loses what is far smaller than
    its other entries. Returns a convex scalar, fraction of NAV.
    """
    return total(power_three_halves(cp.multiply(scale, traded)))


def square_taken(trades: cp.Expression, scale: cp.Parameter) -> cp.Expression:
    """The same of impact that is linear in size. scale: (n,) root of the rate."""
    return sum_squares(cp.multiply(scale, trades))


def power_paid(problem: AllocationProblem, trades: Floats) -> Floats:
    """(..., n) impact to the power 3/2 of each trade. trades: (..., n) signed fractions of NAV."""
    size = np.abs(trades)
    kappa = problem.charges.impact
    return np.zeros_like(size) if kappa is None else kappa * (size * np.sqrt(size))


def power_slope(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) the same of one unit more, of either sign: signed as the trades."""
    kappa = problem.charges.impact
    if kappa is None:
        return np.zeros_like(trades)
    slope: Floats = 1.5 * kappa * np.sqrt(np.abs(trades)) * np.sign(trades)
    return slope


def square_paid(problem: AllocationProblem, trades: Floats) -> Floats:
    """(..., n) impact to the power 2 of each trade. trades: (..., n) signed fractions of NAV."""
    rate = problem.charges.impact_square
    return np.zeros_like(trades) if rate is None else rate * trades**2


def square_slope(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) the same of one unit more, of either sign: signed as the trades."""
    rate = problem.charges.impact_square
    return np.zeros_like(trades) if rate is None else 2.0 * rate * trades


def impact_paid(problem: AllocationProblem, trades: Floats) -> Floats:
    """(..., n) impact of each trade, whichever law it follows: fractions of NAV."""
    return power_paid(problem, trades) + square_paid(problem, trades)
