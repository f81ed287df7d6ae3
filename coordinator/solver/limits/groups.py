"""Limits on the gross exposure of groups of instruments, whichever working trades fill."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.limits.position import position_range

__all__ = ["group_limit", "largest_weights"]


def group_limit(exposure: cp.Variable, rows: cp.Parameter, room: cp.Parameter) -> cp.Constraint:
    """Each row's sum of largest absolute weights stays within its room.

    exposure: (n,) as `exposure_of` makes it. rows: (k, n), nonnegative. room: (k,) fractions of
    NAV. Its duals are the rows' prices. Source: MATH, stage B.
    """
    limit: cp.Constraint = rows @ exposure <= room
    return limit


def largest_weights(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) largest absolute weight of each name over all that may fill, fraction of NAV."""
    lowest, highest = position_range(problem, trades)
    result: Floats = np.maximum(highest, -lowest)
    return result
