"""The objective's charge for trusting opinions that may be mistaken."""

from __future__ import annotations

from typing import cast

import cvxpy as cp

from coordinator.solver.atoms import absolute

__all__ = ["robustness"]


def robustness(weights: cp.Expression, doubt: cp.Parameter) -> cp.Expression:
    """rho'|w|: the most that expected returns can lose where each may be off by its doubt.

    weights: (n,) after the trades, fractions of NAV. doubt: (n,) >= 0, return over the horizon.
    Returns a convex scalar, fraction of NAV times the scale of doubt. Source: Boyd et al. 2024,
    section 3.1.
    """
    return cast("cp.Expression", doubt @ absolute(weights))
