"""The problem that every peer can state, its inputs, and the one judge of all answers.

    max  mu'w - gamma/2 w'Sigma w - cost'|w - w0|
    s.t. 1'w = 1,  0 <= w <= cap

w0: present weights, of sum 1. Costs are paid from outside the budget, since no peer but ours and
bare cvxpy puts them into it. Sigma is the same in all rounds of one size, as it is between two
closes: whoever can keep a factor of it may; mu and w0 are new in each.

An answer is within tolerance where its objective is within a hundredth of a basis point of NAV of
the reference's and no limit is passed by more than that.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Charges, Floats, RiskEstimate, WeightLimit

__all__ = [
    "TOLERANCE",
    "Inputs",
    "Judged",
    "draw",
    "judge",
    "problem_of",
    "reference",
    "worth",
]

TOLERANCE = 1e-6
"""Of NAV: a hundredth of a basis point."""
FACTORS = 15


@dataclass(frozen=True)
class Inputs:
    """One round's numbers; all fractions of NAV over five sessions.

    mu, start, cost: (n,). covariance: (n, n) = factors' factors + diag(rest), factors (15, n).
    impact: (n,) times |trade| ** 1.5, None where nothing is charged.
    """

    mu: Floats
    start: Floats
    cost: Floats
    covariance: Floats
    factors: Floats
    rest: Floats
    cap: float
    gamma: float = 5.0
    impact: Floats | None = None

    @property
    def root(self) -> Floats:
        """(n, n) lower triangular, root @ root.T = covariance."""
        return np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)


@dataclass(frozen=True)
class Judged:
    """By how much an answer falls short, and the most by which it passes a limit; of NAV."""

    gap: float
    violation: float

    @property
    def worst(self) -> float:
        """The larger of both."""
        return max(self.gap, self.violation)


def draw(n: int, *, rounds: int, seed: int = 0, impact: bool = False) -> Iterator[Inputs]:
    """Rounds of one size: fifteen factors, daily volatilities of 1 to 3 %, costs of 2 to 20 bp."""
    rng = np.random.default_rng((seed, n))
    horizon = 5.0
    factors = rng.normal(size=(FACTORS, n)) * 0.006 * np.sqrt(horizon)
    factors[0] = np.abs(factors[0]) * 2.0
    rest = rng.uniform(0.008, 0.025, n) ** 2 * horizon
    covariance = factors.T @ factors + np.diag(rest)
    covariance = (covariance + covariance.T) / 2
    covariance.setflags(write=False)
    spread = np.sqrt(np.diag(covariance))
    cost, cap = rng.uniform(2e-4, 2e-3, n), max(0.05, 2.0 / n)
    # A portfolio of 100 million in names that trade 5 to 500 million a day, by the root law.
    share = np.sqrt(1e8 / np.exp(rng.uniform(np.log(5e6), np.log(5e8), n)))
    kappa = spread / np.sqrt(horizon) * share if impact else None
    for _ in range(rounds):
        held = rng.random(n) ** 3 * (rng.random(n) < 0.5) + 1e-3
        yield Inputs(
            mu=0.1 * spread * rng.normal(size=n), start=_capped(held, cap), cost=cost,
            covariance=covariance, factors=factors, rest=rest, cap=cap,
            impact=kappa,
        )  # fmt: skip


def _capped(held: Floats, cap: float) -> Floats:
    """Weights of sum 1, none above the cap."""
    weights: Floats = held / held.sum()
    for _ in range(200):
        weights = np.minimum(weights, cap)
        weights = weights / weights.sum()
        if weights.max() <= cap:
            break
    return np.minimum(weights, cap)


def worth(given: Inputs, weights: Floats) -> float:
    """The objective of any answer."""
    trades = np.abs(weights - given.start)
    found = (
        given.mu @ weights
        - given.gamma / 2 * (weights @ (given.covariance @ weights))
        - given.cost @ trades
    )
    return float(found if given.impact is None else found - given.impact @ trades**1.5)


def judge(given: Inputs, weights: Floats, best: float) -> Judged:
    """Against the reference's objective."""
    outside = max(
        abs(float(weights.sum() - given.start.sum())),
        float((weights - given.cap).max()),
        float(-weights.min()),
    )
    return Judged(gap=best - worth(given, weights), violation=max(outside, 0.0))


def reference(given: Inputs) -> float:
    """The optimum, tightly: written once more, as a conic problem in other variables.

    Raises RuntimeError where the solver does not call it optimal.
    """
    n = len(given.mu)
    buys, sells = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
    weights = given.start + buys - sells
    common = given.factors @ weights
    own = cp.multiply(np.sqrt(given.rest), weights)
    goal = (
        given.mu @ weights
        - given.gamma / 2 * (cp.sum_squares(common) + cp.sum_squares(own))
        - given.cost @ (buys + sells)
    )
    if given.impact is not None:
        goal -= given.impact @ cp.power(buys + sells, 1.5, approx=False)
    rows = [cp.sum(buys - sells) == 0.0, weights >= 0.0, weights <= given.cap]
    problem = cp.Problem(cp.Maximize(goal), rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        # The tightest that it comes to; the loosest is still a thousandth of the tolerance.
        for tight in (1e-11, 1e-10, 1e-9):
            problem.solve(
                solver="CLARABEL", max_threads=1, tol_gap_abs=tight, tol_gap_rel=tight,
                tol_feas=tight,
            )  # fmt: skip
            if problem.status == "optimal":
                break
    if problem.status != "optimal":
        message = f"the reference ended {problem.status}"
        raise RuntimeError(message)
    return float(problem.value)


def problem_of(given: Inputs, *, factored: bool = False) -> AllocationProblem:
    """The same problem as our allocator takes it; no lots, so that what it answers is the optimum.

    factored: the covariance is given as factors too. A limit whose bounds are
    equal states the budget; cash, gross and turnover are left without effect.
    """
    n = len(given.mu)
    zero = np.zeros(n)
    invested = float(given.start.sum())
    factors = RiskEstimate(given.factors, given.rest, 0.0, 250.0, FACTORS) if factored else None
    budget = WeightLimit(
        "invested", "linear", ("",), np.ones((1, n)), np.array([invested]), np.array([invested]), 0
    )
    return AllocationProblem(
        instruments=tuple(f"I{i:04d}" for i in range(n)), nav=1e8, mu=given.mu,
        covariance=given.covariance, risk_aversion=given.gamma, filled=given.start,
        working_buys=zero, working_sells=zero, cash=1.0 - invested, lot_weight=zero,
        exit_odd_lot=zero == 0.0, cost_buy=given.cost, cost_sell=given.cost, trade_max=zero + 1.0,
        position_min=zero, position_max=zero + given.cap, gross_max=2.0, cash_floor=-1.0,
        turnover_max=2.0, trade_min=0.0, limits=(budget,), charges=Charges(impact=given.impact),
        factors=factors,
    )  # fmt: skip
