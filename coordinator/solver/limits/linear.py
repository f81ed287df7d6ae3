"""Limits on weighted sums of weights, such as a sector's or a factor's, whichever trades fill."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats

__all__ = ["linear_before", "linear_limit"]


def linear_limit(trades: cp.Variable, rows: cp.Parameter, room: cp.Parameter) -> cp.Constraint:
    """Each row's sum of the trades stays within its room.

    trades: (n,) signed fractions of NAV. rows: (k, n), a floor's with its sign turned. room: (k,)
    what is left after `linear_before`. Its duals are the rows' prices. Source: MATH, stage B.
    """
    limit: cp.Constraint = rows @ trades <= room
    return limit


def linear_before(problem: AllocationProblem, rows: Floats) -> Floats:
    """(k,) each row's sum of what is held and of those working trades that add to it.

    rows: (k, n). The largest over all ways in which working trades may fill: g'filled + sum of
    max(0, g_i working_i), buys and sells each on their own. Source: MATH, stage B.
    """
    buys, sells = problem.working_buys, problem.working_sells
    # Of a row's signs, buys add where it is positive and sells where it is negative.
    added = np.maximum(rows, 0.0) @ buys + np.minimum(rows, 0.0) @ sells
    result: Floats = rows @ problem.filled + added
    return result
