"""Cuts whole-lot trades, in a given order, until an excess is gone.

Place in the flow: the one step of `repair`. It must never cut to anything but whole lots.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.violations import ROUNDING_TOLERANCE

__all__ = ["Flags", "trim", "whole"]

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

_COUNT_SNAP = 1e-9


def trim(
    problem: AllocationProblem, trades: Floats, names: list[int], relief: Floats, excess: float
) -> Floats:
    """Cut the named trades, in order, by whole lots until excess is gone.

    relief: (n,) how much one unit less of each trade eases the limit. A trade cut below trade_min
    goes.
    """
    if excess <= ROUNDING_TOLERANCE:
        return trades
    cut = trades.copy()
    for i in names:
        size = abs(trades[i])
        left = whole(problem, i, max(size - excess / relief[i], 0.0))
        if left < problem.trade_min:
            left = 0.0
        cut[i] = np.sign(trades[i]) * left
        excess -= relief[i] * (size - left)
        if excess <= 0.0:
            break
    return cut


def whole(problem: AllocationProblem, i: int, size: float) -> float:
    """The largest tradable size of name i up to size."""
    lot = float(problem.lot_weight[i])
    return float(np.floor(size / lot + _COUNT_SNAP) * lot) if lot > 0.0 else size
