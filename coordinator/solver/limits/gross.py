"""Limit on gross exposure, whichever working trades fill."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.atoms import total
from coordinator.solver.limits.groups import largest_weights
from coordinator.solver.limits.position import position_range

__all__ = ["exposure_of", "gross_limit", "gross_used", "kink"]


def exposure_of(
    trades: cp.Variable, highest: cp.Parameter, lowest: cp.Parameter
) -> tuple[cp.Variable, list[cp.Constraint]]:
    """A variable that is at least each position's largest absolute weight, and its rows.

    trades: (n,) signed fractions of NAV. highest, lowest: (n,) weight before trading with all
    working buys, respectively all working sells, filled. As lowest <= filled <= highest, max(|.|)
    over what may fill is max(highest + z, -(lowest + z)). Source: MATH, stage B.
    """
    exposure = cp.Variable(trades.shape[0], name="exposure")
    return exposure, [exposure >= highest + trades, exposure >= -(lowest + trades)]


def gross_limit(
    exposure: cp.Variable, room: cp.Parameter, slack: cp.Expression | float = 0.0
) -> cp.Constraint:
    """The sum of each position's largest absolute weight stays within room plus slack.

    exposure: (n,) as `exposure_of` makes it. room: fraction of NAV. Its dual is the price of gross.
    """
    limit: cp.Constraint = total(exposure) <= room + slack
    return limit


def gross_used(problem: AllocationProblem, trades: Floats) -> float:
    """Gross exposure whichever working trades fill, fraction of NAV. trades: (n,)."""
    return float(largest_weights(problem, trades).sum())


def kink(problem: AllocationProblem) -> Floats:
    """(n,) trade at which each position's largest absolute weight is smallest, fraction of NAV."""
    lowest, highest = position_range(problem, np.zeros_like(problem.filled))
    result: Floats = -(lowest + highest) / 2
    return result
