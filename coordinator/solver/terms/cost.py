"""The objective's charge for trading."""

from __future__ import annotations

import cvxpy as cp

__all__ = ["linear_cost"]


def linear_cost(
    buys: cp.Expression, sells: cp.Expression, cost_buy: cp.Parameter, cost_sell: cp.Parameter
) -> cp.Expression:
    """Linear cost of the trades, paid once.

    buys, sells: (n,) fractions of NAV, both >= 0. cost_buy, cost_sell: (n,) fraction of the traded
    value. Returns an affine scalar, fraction of NAV times the objective scale. Source: Boyd et al.
    2017, section 2.
    """
    paid: cp.Expression = cost_buy @ buys + cost_sell @ sells
    return paid
