"""Limit on what one decision may trade."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from coordinator.core.ports import Floats
from coordinator.solver.atoms import total

__all__ = ["turnover_limit", "turnover_used"]


def turnover_limit(buys: cp.Expression, sells: cp.Expression, room: cp.Parameter) -> cp.Constraint:
    """Half the absolute weight traded stays within room.

    buys, sells: (n,) fractions of NAV, both >= 0. room: fraction of NAV. Its dual is the price of
    turnover. Source: Boyd et al. 2017, section 2.
    """
    limit: cp.Constraint = total(buys + sells) / 2 <= room
    return limit


def turnover_used(trades: Floats) -> float:
    """Half the absolute weight traded, fraction of NAV. trades: (n,) signed fractions of NAV."""
    return float(np.abs(trades).sum()) / 2
