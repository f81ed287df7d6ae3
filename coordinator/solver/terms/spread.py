"""The objective's charges for keeping to few names, and for keeping away from a benchmark."""

from __future__ import annotations

from typing import cast

import cvxpy as cp

from coordinator.solver.atoms import quadratic_form, squares

__all__ = ["diversification", "tracking"]


def diversification(
    trades: cp.Expression, drift: cp.Parameter, half_weight: cp.Parameter
) -> cp.Expression:
    """nu/2 sum of w_i^2 Sigma_ii, less its constant at z = 0: the variance that names have alone.

    trades: (n,) z, fractions of NAV. drift: (n,) nu Sigma_ii w0_i. half_weight: (n,) nu/2 Sigma_ii.
    Returns a convex scalar, fraction of NAV times the scale of the parameters. Source: DeMiguel et
    al. 2009, section 3.2: norms that shrink towards equal risk.
    """
    return cast("cp.Expression", drift @ trades + half_weight @ squares(trades))


def tracking(
    trades: cp.Variable, drift: cp.Parameter, half_curvature: cp.Parameter
) -> cp.Expression:
    """t/2 (w - b)'Sigma(w - b), less its constant at z = 0: variance against the benchmark b.

    trades: (n,) z, fractions of NAV. drift: (n,) t Sigma (w0 - b). half_curvature: (n, n) t/2
    Sigma. Returns a convex scalar, fraction of NAV times the scale of the parameters. Source: Roll
    1992.
    """
    return cast("cp.Expression", drift @ trades + quadratic_form(trades, half_curvature))
