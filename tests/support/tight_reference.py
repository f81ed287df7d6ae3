"""The whole allocation once more, every limit a row that may give way, solved tightly.

The second opinion of the benches on optimality and on infeasible states. Nothing here is of the
solver's own making: the problem's dataclasses, `coordinator/core/ports.py` and the formulas of each
limit's docstring there are all that it knows. Sleeves are not part of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, WeightLimit

__all__ = ["Rows", "Tight", "worth"]

TOLERANCES = (1e-11, 1e-10, 1e-8)
"""As tight as it goes."""


@dataclass(frozen=True)
class Rows:
    """k bounds of one kind: each convex quantity of the trades stays at or below its bound.

    In the unit of the row's largest coefficient. tier: 0 where hard.
    """

    name: str
    tier: int
    quantity: cp.Expression
    bound: Floats


class Tight:
    """One problem in plain cvxpy."""

    def __init__(self, problem: AllocationProblem) -> None:
        """Reads the problem; nothing is solved yet."""
        self.problem = problem
        self.trades = cp.Variable(len(problem.instruments))

    @cached_property
    def rows(self) -> list[Rows]:
        """Those that every problem has, then its further limits."""
        p, z = self.problem, self.trades
        bounds = [
            ("position_max", p.filled + p.working_buys + z, p.position_max),
            ("position_min", -(p.filled + p.working_sells + z), -p.position_min),
            ("gross_max", cp.sum(self._exposures), np.array([p.gross_max])),
            ("cash_floor", self._paid, np.array([p.cash - p.cash_floor])),
            ("turnover_max", cp.norm1(z) / 2, np.array([p.turnover_max])),
        ]
        found = [Rows(name, 0, one, bound) for name, one, bound in bounds]
        return [*found, *(rows for limit in p.limits for rows in self._further(limit))]

    @property
    def _exposures(self) -> cp.Expression:
        p, held = self.problem, self.problem.filled + self.trades
        found: cp.Expression = cp.maximum(
            cp.abs(held + p.working_buys), cp.abs(held + p.working_sells)
        )
        return found

    @property
    def _paid(self) -> cp.Expression:
        p, z = self.problem, self.trades
        reserved = float(p.working_buys @ (1.0 + p.cost_buy))
        fees = p.cost_buy @ cp.pos(z) + p.cost_sell @ cp.neg(z) + reserved
        paid: cp.Expression = cp.sum(z) + fees
        return paid

    def _further(self, limit: WeightLimit) -> list[Rows]:
        found = []
        for sign, bounds in ((1.0, limit.upper), (-1.0, limit.lower)):
            kept = np.flatnonzero(np.isfinite(bounds))
            if len(kept):
                quantity, scale = self._quantity(limit, sign, kept)
                name = f"{limit.name}{'' if sign > 0 else ' (floor)'}"
                found.append(Rows(name, limit.tier, quantity, sign * bounds[kept] / scale))
        return found

    def _quantity(
        self, limit: WeightLimit, sign: float, kept: Sequence[int] | np.ndarray
    ) -> tuple[cp.Expression, Floats]:
        p, z = self.problem, self.trades
        one = np.ones(len(kept))
        if limit.kind in {"linear", "gross"}:
            largest = np.abs(limit.rows[kept]).max(axis=1, initial=0.0)
            scale = np.where(largest > 0.0, largest, 1.0)
            rows = sign * limit.rows[kept] / scale[:, None]
            if limit.kind == "gross":
                return rows @ self._exposures, scale
            return rows @ (p.filled + z) + self._fills(rows), scale
        if limit.kind == "volatility":
            return cp.norm2(_root(p.covariance).T @ (p.start + z)), one
        if limit.kind == "turnover":
            return cp.norm1(z) / 2, one
        return self._paid - p.cash, one

    def _fills(self, rows: Floats) -> Floats:
        """(k,) most that working trades, filled or not, add to each row."""
        p = self.problem
        cases = [
            rows * (buys * p.working_buys + sells * p.working_sells)
            for buys, sells in product((0.0, 1.0), repeat=2)
        ]
        found: Floats = np.max(cases, axis=0).sum(axis=1)
        return found

    @cached_property
    def worth(self) -> cp.Expression:
        """The objective as an expression of the trades."""
        p, z = self.problem, self.trades
        w, c = p.start + z, self.problem.charges
        root = _root(p.covariance).T
        goal: cp.Expression = p.mu @ w - p.risk_aversion / 2 * cp.sum_squares(root @ w)
        goal -= p.cost_buy @ cp.pos(z) + p.cost_sell @ cp.neg(z)
        if c.robustness is not None:
            goal -= c.robustness @ cp.abs(w)
        if c.impact is not None:
            goal -= c.impact_weight * c.impact @ cp.power(cp.abs(z), 1.5, approx=False)
        if c.impact_square is not None:
            goal -= c.impact_square @ cp.square(z)
        if c.borrow is not None:
            goal -= c.borrow @ cp.neg(w)
        if c.carry is not None:
            goal -= c.carry @ w
        away = w if c.benchmark is None else w - c.benchmark
        away = w if c.benchmark is None else w - c.benchmark
        goal -= c.turnover * cp.norm1(z) / 2
        goal -= c.diversification / 2 * (np.diag(p.covariance) @ cp.square(w))
        goal -= c.tracking / 2 * cp.sum_squares(root @ away)
        return goal

    def excess(self, trades: Floats) -> list[Floats]:
        """By how much each row is broken if these trades are decided, 0 where it is kept."""
        self.trades.value = trades
        return [
            np.maximum(np.atleast_1d(np.asarray(rows.quantity.value)) - rows.bound, 0.0)
            for rows in self.rows
        ]

    def totals(self, trades: Floats) -> dict[int, float]:
        """The sum of what is broken of each tier."""
        found = dict.fromkeys(sorted({rows.tier for rows in self.rows}), 0.0)
        for rows, broken in zip(self.rows, self.excess(trades), strict=True):
            found[rows.tier] += float(broken.sum())
        return found

    def best(self, caps: Sequence[Floats]) -> float:
        """The optimum with each row broken by at most its cap; -inf where there is no point."""
        return self.answer(caps)[0]

    def answer(self, caps: Sequence[Floats]) -> tuple[float, Floats]:
        """The optimum and its trades; a row of infinite cap is no row."""
        kept = []
        for rows, cap in zip(self.rows, caps, strict=True):
            finite = np.flatnonzero(np.isfinite(cap))
            if len(finite) == len(cap):
                kept.append(rows.quantity <= rows.bound + cap)
            elif len(finite):
                kept.append(rows.quantity[finite] <= rows.bound[finite] + cap[finite])
        return self._solved(cp.Maximize(self.worth), kept)

    def least(self) -> tuple[dict[int, float], Floats]:
        """The least each tier can be broken by, tier after tier, and trades that do it.

        No hard row is broken further than by not trading.
        """
        before = self.excess(np.zeros(self.trades.shape))
        slacks = [cp.Variable(len(rows.bound), nonneg=True) for rows in self.rows]
        kept = [
            rows.quantity <= rows.bound + slack
            for rows, slack in zip(self.rows, slacks, strict=True)
        ]
        kept += [
            slack <= most
            for rows, slack, most in zip(self.rows, slacks, before, strict=True)
            if rows.tier == 0
        ]
        found: dict[int, float] = {}
        trades = np.zeros(self.trades.shape)
        for tier in sorted({rows.tier for rows in self.rows}):
            total = sum(
                cp.sum(slack)
                for rows, slack in zip(self.rows, slacks, strict=True)
                if rows.tier == tier
            )
            value, trades = self._solved(cp.Minimize(total), kept)
            found[tier] = max(value, 0.0)
            kept.append(total <= found[tier] + 1e-9)
        return found, trades

    def _solved(
        self, goal: cp.Minimize | cp.Maximize, kept: list[cp.Constraint]
    ) -> tuple[float, Floats]:
        """The value and the trades; raises RuntimeError where no tolerance is reached."""
        rows = [cp.abs(self.trades) <= self.problem.trade_max, *kept]
        problem = cp.Problem(goal, rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for tight in TOLERANCES:
                options = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tight)
                with suppress(cp.SolverError):
                    problem.solve(solver="CLARABEL", warm_start=False, max_threads=1, **options)
                if problem.status == "optimal":
                    return float(problem.value), np.asarray(self.trades.value, dtype=np.float64)
                if problem.status == "infeasible":
                    return -np.inf, np.zeros(self.trades.shape)
        raise RuntimeError(f"the reference ended {problem.status}")


def _root(covariance: Floats) -> Floats:
    """R with R R' = covariance, for positive semidefinite ones too."""
    values, vectors = np.linalg.eigh(covariance)
    found: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return found


def worth(problem: AllocationProblem, trades: Floats) -> float:
    """The objective of any trades."""
    stated = Tight(problem)
    stated.trades.value = trades
    return float(np.asarray(stated.worth.value))
