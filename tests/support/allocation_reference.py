"""The whole allocation written down once more, in plain cvxpy and without any of the solver's code.

No parameters, no segments, no scaling: what is charged and what bounds stand here as MATH has them,
so that the solver's answers are held against something that shares none of its mistakes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem

__all__ = ["reference"]


def reference(problem: AllocationProblem, *, tolerance: float = 1e-10) -> float:
    """The best objective that keeps every limit; of the further ones linear and gross, all as hard.

    Raises RuntimeError where no solver answers.
    """
    n = len(problem.mu)
    z = cp.Variable(n)
    w = problem.start + z
    root = np.linalg.cholesky(problem.covariance + 1e-15 * np.eye(n)).T
    impact = _impact(problem, z)
    linear = problem.cost_buy @ cp.pos(z) + problem.cost_sell @ cp.neg(z)
    costs = linear + impact
    worth = problem.mu @ w - problem.risk_aversion / 2 * cp.sum_squares(root @ w) - linear
    worth -= problem.charges.impact_weight * impact
    worth -= _charged(problem, z, w, root)
    lowest = problem.filled + problem.working_sells + z
    highest = problem.filled + problem.working_buys + z
    exposure = cp.maximum(highest, -lowest)
    reserved = float(problem.working_buys @ (1 + problem.cost_buy))
    rows: list[Any] = [
        highest <= problem.position_max,
        lowest >= problem.position_min,
        cp.abs(z) <= problem.trade_max,
        cp.sum(exposure) <= problem.gross_max,
        problem.cash - reserved - cp.sum(z) - costs >= problem.cash_floor,
        cp.sum(cp.abs(z)) / 2 <= problem.turnover_max,
    ]
    if problem.sleeves is not None:
        sleeves = problem.sleeves
        a = cp.Variable(len(sleeves.names))
        house = w - sleeves.targets @ a
        worth -= sleeves.wish_weight @ cp.square(a - sleeves.wished)
        worth -= sleeves.house_weight / 2 * cp.sum_squares(house)
        rows += [a >= 0, a <= np.minimum(sleeves.size_max, 100.0)]
        if np.isfinite(sleeves.house_max):
            rows.append(cp.norm1(house) <= sleeves.house_max)
    goal = cp.Problem(cp.Maximize(worth), [*rows, *_further(problem, w, exposure)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            goal.solve(
                solver="CLARABEL", tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance
            )
        except cp.SolverError as error:
            raise RuntimeError(f"the reference fails: {error}") from error
    if goal.status != cp.OPTIMAL:
        raise RuntimeError(f"the reference is {goal.status}")
    return float(goal.value)


def _impact(problem: AllocationProblem, z: Any) -> Any:
    """What trades cost by their size, which cash pays, too."""
    charges, paid = problem.charges, 0.0
    if charges.impact is not None:
        paid = paid + charges.impact @ cp.power(cp.abs(z), 1.5, approx=False)
    if charges.impact_square is not None:
        paid = paid + charges.impact_square @ cp.square(z)
    return paid


def _charged(problem: AllocationProblem, z: Any, w: Any, root: Any) -> Any:
    """What is charged in the objective alone."""
    charges = problem.charges
    found: Any = charges.turnover * cp.sum(cp.abs(z)) / 2
    if charges.linear_buy is not None:
        found += charges.linear_buy @ cp.pos(z) + charges.linear_sell @ cp.neg(z)
    if charges.robustness is not None:
        found += charges.robustness @ cp.abs(w)
    if charges.borrow is not None:
        found += charges.borrow @ cp.neg(w)
    if charges.carry is not None:
        found += charges.carry @ w
    found += charges.diversification / 2 * (np.diag(problem.covariance) @ cp.square(w))
    apart = w if charges.benchmark is None else w - charges.benchmark
    return found + charges.tracking / 2 * cp.sum_squares(root @ apart)


def _further(problem: AllocationProblem, w: Any, exposure: Any) -> Iterator[Any]:
    for limit in problem.limits:
        used = limit.rows @ (w if limit.kind == "linear" else exposure)
        for row in range(len(limit.labels)):
            if np.isfinite(limit.upper[row]):
                yield used[row] <= limit.upper[row]
            if np.isfinite(limit.lower[row]):
                yield used[row] >= limit.lower[row]
