"""The objective's charge for variance."""

from __future__ import annotations

import cvxpy as cp

from coordinator.solver.atoms import quadratic_form

__all__ = ["risk"]


def risk(trades: cp.Variable, drift: cp.Parameter, half_curvature: cp.Parameter) -> cp.Expression:
    """Risk charge gamma/2 w'Sigma w of the weights w = w0 + z, less its constant at z = 0.

    trades: (n,) z, signed fractions of NAV. drift: (n,) gamma Sigma w0. half_curvature: (n, n)
    gamma/2 Sigma, positive semidefinite. Returns a convex scalar, fraction of NAV times the
    objective scale. Source: Boyd et al. 2017, section 4.3.
    """
    charge: cp.Expression = drift @ trades + quadratic_form(trades, half_curvature)
    return charge
