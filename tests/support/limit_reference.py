"""The allocation with further limits once more, stated plainly and solved tightly, to compare with.

Nothing here is of the solver's own making but the problem's dataclasses.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, WeightLimit

__all__ = ["Row", "Stated", "breach", "limit", "rows_of", "state", "violations"]

TOLERANCES = (1e-10, 1e-8)
"""As tight as it goes."""


def limit(
    kind: Any,
    rows: Any = None,
    *,
    n: int,
    lower: Any = -np.inf,
    upper: Any = np.inf,
    tier: int = 0,
    name: str | None = None,
) -> WeightLimit:
    """A limit; bounds are spread over the rows, rows of other kinds than weights are zeros."""
    given = np.zeros((1, n)) if rows is None else np.atleast_2d(np.asarray(rows, dtype=float))
    k = len(given)
    labels = tuple(f"r{i}" for i in range(k)) if rows is not None and k > 1 else ("",) * k
    bounds = [np.full(k, 0.0) + np.asarray(one, dtype=float) for one in (lower, upper)]
    return WeightLimit(name or kind, kind, labels, given, bounds[0], bounds[1], tier)


@dataclass(frozen=True)
class Row:
    """One bound: a convex quantity of the trades, divided by its scale, stays at or below it."""

    name: str
    tier: int
    quantity: cp.Expression
    bound: float


def _largest_fill(p: AllocationProblem, i: int, coefficient: float) -> float:
    """Most that working trades of a name add to coefficient times its weight, by enumeration."""
    return max(
        coefficient * float(buys * p.working_buys[i] + sells * p.working_sells[i])
        for buys, sells in product((0.0, 1.0), repeat=2)
    )


def _exposures(p: AllocationProblem, z: cp.Variable) -> cp.Expression:
    held = p.filled + z
    return cp.maximum(cp.abs(held + p.working_buys), cp.abs(held + p.working_sells))


def _paid(p: AllocationProblem, z: cp.Variable) -> cp.Expression:
    reserved = float(p.working_buys @ (1 + p.cost_buy))
    paid: cp.Expression = cp.sum(z) + p.cost_buy @ cp.pos(z) + p.cost_sell @ cp.neg(z) + reserved
    return paid


def rows_of(p: AllocationProblem, z: cp.Variable) -> list[Row]:
    """The further limits' bounds, each in the unit of its largest coefficient."""
    found: list[Row] = []
    root = np.linalg.cholesky(p.covariance + 1e-14 * np.eye(len(p.mu)))
    for one in p.limits:
        for k, label in enumerate(one.labels):
            sides = (one.upper[k], 1.0), (one.lower[k], -1.0)
            for bound, sign in sides:
                if not np.isfinite(bound):
                    continue
                g = sign * one.rows[k]
                scale = float(np.abs(g).max(initial=0.0)) or 1.0
                if one.kind == "linear":
                    fills = sum(_largest_fill(p, i, g[i]) for i in range(len(g)))
                    quantity = (g @ (p.filled + z) + fills) / scale
                elif one.kind == "gross":
                    quantity = g @ _exposures(p, z) / scale
                elif one.kind == "volatility":
                    quantity, scale = cp.norm2(root.T @ (p.start + z)), 1.0
                elif one.kind == "turnover":
                    quantity, scale = cp.norm1(z) / 2, 1.0
                else:
                    quantity, scale = _paid(p, z) - p.cash, 1.0
                name = f"{one.name}/{label}/{sign:+.0f}"
                found.append(Row(name, one.tier, quantity, sign * bound / scale))
    return found


@dataclass(frozen=True)
class Stated:
    """The problem in plain cvxpy."""

    trades: cp.Variable
    worth: cp.Expression
    always: list[cp.Constraint]
    rows: list[Row]

    def best(self, caps: Sequence[float]) -> float:
        """The optimum with each row broken by at most its cap; -inf where there is no point."""
        kept = [
            row.quantity <= row.bound + cap
            for row, cap in zip(self.rows, caps, strict=True)
            if cap < np.inf
        ]
        return _solved(cp.Problem(cp.Maximize(self.worth), [*self.always, *kept]))

    def least(self, chosen: Sequence[bool], caps: Sequence[float]) -> float:
        """Least total violation of the chosen rows, every row broken by at most its cap."""
        slack = cp.Variable(len(self.rows), nonneg=True)
        most = [
            slack[i] if mine else cap
            for i, (mine, cap) in enumerate(zip(chosen, caps, strict=True))
        ]
        kept = [
            row.quantity <= row.bound + cap
            for row, cap, mine in zip(self.rows, most, chosen, strict=True)
            if mine or cap < np.inf
        ]
        goal = cp.sum(cp.multiply(np.array(chosen, dtype=float), slack))
        ceiling = np.minimum(np.array(caps, dtype=float), 1e7)
        return -_solved(cp.Problem(cp.Maximize(-goal), [*self.always, *kept, slack <= ceiling]))


def state(p: AllocationProblem) -> Stated:
    """The problem with its limits of every problem as hard ones, and its further rows apart."""
    z = cp.Variable(len(p.instruments))
    w = p.start + z
    root = np.linalg.cholesky(p.covariance + 1e-14 * np.eye(len(p.mu)))
    cost = p.cost_buy @ cp.pos(z) + p.cost_sell @ cp.neg(z)
    worth = p.mu @ w - p.risk_aversion / 2 * cp.sum_squares(root.T @ w) - cost
    always = [
        cp.abs(z) <= p.trade_max,
        p.filled + p.working_buys + z <= p.position_max,
        p.filled + p.working_sells + z >= p.position_min,
        cp.sum(_exposures(p, z)) <= p.gross_max,
        cp.norm1(z) / 2 <= p.turnover_max,
        p.cash - _paid(p, z) >= p.cash_floor,
    ]
    return Stated(z, worth, always, rows_of(p, z))


def _solved(problem: cp.Problem) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for tight in TOLERANCES:
            options = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tight)
            with suppress(cp.SolverError):
                problem.solve(solver="CLARABEL", warm_start=False, **options)
            if problem.status == "optimal":
                return float(problem.value)
            if problem.status == "infeasible":
                return -np.inf
    return float("nan")


def violations(p: AllocationProblem, trades: Floats) -> dict[str, tuple[int, float]]:
    """Tier and excess of each further row, by its name, if these trades are decided."""
    z = cp.Variable(len(p.instruments))
    found = {}
    for row in rows_of(p, z):
        z.value = trades
        found[row.name] = (row.tier, max(0.0, float(np.asarray(row.quantity.value)) - row.bound))
    return found


def breach(p: AllocationProblem, trades: Floats, tier: int) -> float:
    """Total excess of a tier's rows."""
    return sum(excess for at, excess in violations(p, trades).values() if at == tier)
