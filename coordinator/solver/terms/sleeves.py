"""The objective's charges for not doing what strategies wish, and for weight that none asked for.

Paper symbols: w = T a + d, T the strategies' targets, a their sizes, d the house book.
"""

from __future__ import annotations

from typing import cast

import cvxpy as cp

from coordinator.core.ports import Floats, Sleeves
from coordinator.solver.atoms import squares, sum_squares

__all__ = ["house_of", "house_risk", "wish_gap"]


def wish_gap(sizes: cp.Expression, weight: cp.Parameter, wished: cp.Parameter) -> cp.Expression:
    """sum of pi_s (a_s - abar_s)^2, less its constant at a = 0.

    sizes: (s,) a. weight: (s,) pi >= 0. wished: (s,) pi abar. Returns a convex scalar, fraction of
    NAV times the scale of the parameters. Source: MATH, stage B.
    """
    return cast("cp.Expression", weight @ squares(sizes) - 2.0 * wished @ sizes)


def house_risk(house: cp.Expression, half_weight: cp.Parameter) -> cp.Expression:
    """delta/2 |d|^2: what weight outside the strategies' books is charged.

    house: (n,) d, fractions of NAV. half_weight: delta/2 >= 0. Returns a convex scalar, fraction of
    NAV times the scale of half_weight. Source: MATH, stage B.
    """
    return cast("cp.Expression", half_weight * sum_squares(house))


def house_of(sleeves: Sleeves, weights: Floats, sizes: Floats) -> Floats:
    """(n,) d = w - T a, fractions of NAV. weights: (n,) after the trades. sizes: (s,)."""
    result: Floats = weights - sleeves.targets @ sizes
    return result
