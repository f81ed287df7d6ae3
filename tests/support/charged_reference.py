"""The allocation with everything it is charged with, stated plainly in cvxpy, to compare with.

Nothing here is of the solver's own making but the problem's dataclasses. It knows the bounds that
every problem has, and no further limits, no sleeves and no lots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np

from coordinator.core.ports import Allocation, AllocationProblem, Floats

__all__ = ["ReferenceAllocator", "charge", "objective"]

TOLERANCE = 1e-9


def charge(problem: AllocationProblem, z: cp.Expression) -> cp.Expression:
    """All that the problem charges for trades z, beside risk and linear costs."""
    c, w = problem.charges, problem.start + z
    sigma, spread = np.sqrt(np.diag(problem.covariance)), cp.psd_wrap(problem.covariance)
    terms: list[cp.Expression] = [
        c.turnover * cp.norm1(z) / 2,
        c.diversification / 2 * cp.sum_squares(cp.multiply(sigma, w)),
        c.tracking / 2 * cp.quad_form(w - _of(c.benchmark, len(sigma)), spread),
    ]  # fmt: skip
    if c.robustness is not None:
        terms.append(c.robustness @ cp.abs(w))
    if c.impact is not None:
        terms.append(c.impact_weight * c.impact @ cp.power(cp.abs(z), 1.5))
    if c.impact_square is not None:
        terms.append(c.impact_weight * c.impact_square @ cp.square(z))
    if c.borrow is not None:
        terms.append(c.borrow @ cp.neg(w))
    if c.carry is not None:
        terms.append(c.carry @ w)
    if c.linear_buy is not None:
        terms.append(c.linear_buy @ cp.pos(z))
    if c.linear_sell is not None:
        terms.append(c.linear_sell @ cp.neg(z))
    total: cp.Expression = cp.sum(cp.hstack(terms))
    return total


def _of(weights: Floats | None, n: int) -> Floats:
    return np.zeros(n) if weights is None else weights


def objective(problem: AllocationProblem, trades: Floats) -> float:
    """What the trades are worth."""
    z = cp.Variable(len(trades), value=trades)
    w = problem.start + trades
    risk = problem.risk_aversion / 2 * float(w @ problem.covariance @ w)
    return float(problem.mu @ w) - risk - float((_linear(problem, z) + charge(problem, z)).value)


def _linear(problem: AllocationProblem, z: cp.Expression) -> cp.Expression:
    cost: cp.Expression = problem.cost_buy @ cp.pos(z) + problem.cost_sell @ cp.neg(z)
    return cost


@dataclass(frozen=True)
class ReferenceAllocator:
    """An allocator of the port; shares are traded in any quantity."""

    def allocate(self, problem: AllocationProblem) -> Allocation:
        z = cp.Variable(len(problem.mu))
        w = problem.start + z
        linear = _linear(problem, z)
        risk = problem.risk_aversion / 2 * cp.quad_form(w, cp.psd_wrap(problem.covariance))
        # Gains and losses of linear costs are written apart where a mode makes trading cheaper.
        buy, sell = (_total(problem, side) for side in ("buy", "sell"))
        bare = replace(problem.charges, linear_buy=None, linear_sell=None)
        charged = charge(replace(problem, charges=bare), z) + buy @ cp.pos(z) + sell @ cp.neg(z)
        limits = [
            w >= problem.position_min, w <= problem.position_max, cp.abs(z) <= problem.trade_max,
            cp.norm1(w) <= problem.gross_max, cp.norm1(z) / 2 <= problem.turnover_max,
            problem.cash - cp.sum(z) - linear >= problem.cash_floor,
        ]  # fmt: skip
        solved = cp.Problem(cp.Maximize(problem.mu @ w - risk - charged), limits)
        solved.solve(
            solver=cp.CLARABEL, tol_gap_abs=TOLERANCE, tol_gap_rel=TOLERANCE, tol_feas=TOLERANCE
        )
        if z.value is None:
            message = f"the reference found nothing: {solved.status}"
            raise ArithmeticError(message)
        trades = np.asarray(z.value, dtype=np.float64)
        worth = objective(problem, trades)
        return Allocation(
            trades, trades, trades, "solved", "reference", solved.status, 0, worth, worth, 0.0, 0.0,
            (), (),
        )  # fmt: skip


def _total(problem: AllocationProblem, side: str) -> Floats:
    own, more = getattr(problem, f"cost_{side}"), getattr(problem.charges, f"linear_{side}")
    total: Floats = own if more is None else np.maximum(own + more, 0.0)
    return total
