"""The objective's reward: what the views expect of the trades."""

from __future__ import annotations

import cvxpy as cp

__all__ = ["expected_return"]


def expected_return(trades: cp.Variable, mu: cp.Parameter) -> cp.Expression:
    """Expected excess return added by the trades over the horizon.

    trades: (n,) signed fractions of NAV. mu: (n,) expected return in excess of cash over the
    horizon. Returns an affine scalar, fraction of NAV times the model's objective scale; the return
    of what is held already is a constant and left out. Source: Boyd et al. 2017, section 4.
    """
    gain: cp.Expression = mu @ trades
    return gain
