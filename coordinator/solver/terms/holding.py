"""The objective's charges for holding over the horizon."""

from __future__ import annotations

from typing import cast

import cvxpy as cp

from coordinator.solver.atoms import negative_part

__all__ = ["borrow_cost", "carry_cost"]


def borrow_cost(weights: cp.Expression, rate: cp.Parameter) -> cp.Expression:
    """What borrowing costs of what is held short.

    weights: (n,) after the trades, fractions of NAV. rate: (n,) >= 0, over the horizon. Returns a
    convex scalar, fraction of NAV times the scale of rate. Source: Boyd et al. 2017, section 2.4.
    """
    return cast("cp.Expression", rate @ negative_part(weights))


def carry_cost(trades: cp.Expression, rate: cp.Parameter) -> cp.Expression:
    """What holding costs, less its constant without trades; received where the rate is below 0.

    trades: (n,) fractions of NAV. rate: (n,) over the horizon. Returns an affine scalar, fraction
    of NAV times the scale of rate. Source: Boyd et al. 2017, section 2.4.
    """
    return cast("cp.Expression", rate @ trades)
