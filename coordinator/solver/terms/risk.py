"""The objective's charge for variance, from a whole covariance or from its factors."""

from __future__ import annotations

from typing import cast

import cvxpy as cp

from coordinator.solver.atoms import quadratic_form, squares, sum_squares

__all__ = ["factor_risk", "risk"]


def risk(trades: cp.Variable, drift: cp.Parameter, half_curvature: cp.Parameter) -> cp.Expression:
    """Risk charge gamma/2 w'Sigma w of the weights w = w0 + z, less its constant at z = 0.

    trades: (n,) z, signed fractions of NAV. drift: (n,) gamma Sigma w0. half_curvature: (n, n)
    gamma/2 Sigma, positive semidefinite. Returns a convex scalar, fraction of NAV times the
    objective scale. Source: Boyd et al. 2017, section 4.3.
    """
    charge: cp.Expression = drift @ trades + quadratic_form(trades, half_curvature)
    return charge


def factor_risk(
    trades: cp.Variable, drift: cp.Parameter, rows: cp.Parameter, rest: cp.Parameter
) -> cp.Expression:
    """The same where Sigma is F F' + D: gamma/2 (|F'z|^2 + z'Dz) and what is linear.

    trades: (n,) z. drift: (n,) gamma Sigma w0. rows: (m, n) F' times the root of gamma/2. rest:
    (n,) gamma/2 D. m + n numbers instead of n^2. Source: Boyd et al. 2017, section 4.3.
    """
    return cast(
        "cp.Expression", drift @ trades + sum_squares(rows @ trades) + rest @ squares(trades)
    )
