"""Limit on the cash left, counting working buys and not counting working sells."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.terms import impact_paid

__all__ = ["cash_left", "cash_limit", "cash_paid"]


def cash_limit(
    buys: cp.Expression,
    sells: cp.Expression,
    price_buy: cp.Parameter,
    price_sell: cp.Parameter,
    room: cp.Parameter,
    slack: cp.Expression | float = 0.0,
    impact: cp.Expression | float = 0.0,
) -> cp.Constraint:
    """What the buys cost less what the sells bring, and their impact, stays within room plus slack.

    buys, sells: (n,) fractions of NAV, both >= 0. price_buy: (n,) 1 + cost_buy. price_sell: (n,)
    1 - cost_sell. room: cash above the floor after all working buys. impact: convex scalar. The
    dual is the price of cash. Buys and sells of one decision fund one another. Source: MATH, stage
    B.
    """
    limit: cp.Constraint = price_buy @ buys - price_sell @ sells + impact <= room + slack
    return limit


def cash_left(problem: AllocationProblem, trades: Floats) -> float:
    """Cash after the trades, their costs and all working buys, no working sell: fraction of NAV."""
    buys = problem.working_buys
    reserved = buys.sum() + buys @ problem.cost_buy
    return float(problem.cash - reserved - cash_paid(problem, trades))


def cash_paid(problem: AllocationProblem, trades: Floats) -> float:
    """What these trades take of cash, costs and impact included: fraction of NAV."""
    buys = np.maximum(trades, 0.0)
    paid = trades.sum() + buys @ problem.cost_buy + (buys - trades) @ problem.cost_sell
    if problem.charges.none:
        return float(paid)
    return float(paid + impact_paid(problem, trades).sum())
