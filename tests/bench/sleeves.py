"""Ten strategies' sleeves on fifteen factors, 100 names: the problem, and bare cvxpy's way with it.

    max  mu'w - gamma/2 (|F w|^2 + w'D w) - cost'|w - w0| - pi'(a - abar)^2 - delta/2 |d|^2
    s.t. w = T a + d,  0 <= a <= a_max,  0 <= w <= cap,  1'w = 1

T: what a strategy holds by one unit of its size. It stands for the whole of the allocation, which
no library beside cvxpy itself can state.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, Sleeves
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver.shelf import ModelShelf
from tests.bench import qp
from tests.bench.qp import Inputs, problem_of
from tests.bench.stated import CLARABEL, PIQP, found_alone

__all__ = [
    "Strategies", "charges_impact", "draw", "knows_sleeves", "reference", "shortfall", "solvers",
]  # fmt: skip

NAMES, STRATEGIES = 100, 10
Answer = tuple[Floats, Floats]


@dataclass(frozen=True)
class Strategies:
    """One round: the portfolio's inputs and the strategies' sleeves."""

    inputs: Inputs
    sleeves: Sleeves

    @property
    def problem(self) -> AllocationProblem:
        """As our allocator takes it."""
        return replace(problem_of(self.inputs, factored=True), sleeves=self.sleeves)


def draw(*, rounds: int) -> Iterator[Strategies]:
    """Each strategy is long and short a third of the names, and wishes a size of its own."""
    rng = np.random.default_rng(5)
    for given in qp.draw(NAMES, rounds=rounds):
        targets = rng.normal(size=(NAMES, STRATEGIES)) * (rng.random((NAMES, STRATEGIES)) < 0.3)
        daily = np.sqrt(np.einsum("is,ij,js->s", targets, given.covariance / 5.0, targets))
        yield Strategies(
            given,
            Sleeves(
                names=tuple(f"S{i}" for i in range(STRATEGIES)), targets=targets / daily,
                size_max=np.full(STRATEGIES, 0.01), wished=rng.uniform(0.001, 0.008, STRATEGIES),
                wish_weight=np.full(STRATEGIES, 20.0), house_weight=0.02,
            ),
        )  # fmt: skip


def charges_impact(given: Inputs) -> bool:
    """Whether what the allocator says its answer is worth is less impact."""
    answer = CvxAllocator(SolverSettings()).allocate(problem_of(given))
    told = qp.worth(given, given.start + answer.continuous)
    return abs(told - answer.objective_continuous) <= qp.TOLERANCE


def knows_sleeves(given: Strategies) -> bool:
    """Whether the allocator's answers have sizes."""
    return CvxAllocator(SolverSettings()).allocate(given.problem).sizes.size > 0


def worth(given: Strategies, weights: Floats, sizes: Floats) -> float:
    """The objective of any answer; the house book is what the sleeves leave."""
    sleeves = given.sleeves
    house = weights - sleeves.targets @ sizes
    missed = sleeves.wish_weight @ (sizes - sleeves.wished) ** 2
    return float(
        qp.worth(given.inputs, weights) - missed - sleeves.house_weight / 2 * (house @ house)
    )


def shortfall(given: Strategies, weights: Floats, sizes: Floats, best: float) -> float:
    """The worst of the gap to the best and of what any limit is passed by."""
    outside = max(float((sizes - given.sleeves.size_max).max()), float(-sizes.min()))
    passed = max(outside, qp.judge(given.inputs, weights, 0.0).violation)
    return max(best - worth(given, weights, sizes), passed)


@dataclass(frozen=True)
class _Model:
    """What cvxpy compiled, with what changes from round to round."""

    problem: cp.Problem
    weights: cp.Variable
    sizes: cp.Variable
    mu: cp.Parameter
    start: cp.Parameter
    targets: cp.Parameter
    wished: cp.Parameter

    def load(self, given: Strategies) -> None:
        """The numbers of a round."""
        self.mu.value, self.start.value = given.inputs.mu, given.inputs.start
        self.targets.value, self.wished.value = given.sleeves.targets, given.sleeves.wished


def _model(first: Strategies) -> _Model:
    given, sleeves = first.inputs, first.sleeves
    n, s = sleeves.targets.shape
    weights, trades, house = cp.Variable(n), cp.Variable(n), cp.Variable(n)
    sizes, common = cp.Variable(s), cp.Variable(len(given.factors))
    mu, start, wished = cp.Parameter(n), cp.Parameter(n), cp.Parameter(s)
    targets = cp.Parameter((n, s))
    goal = (
        mu @ weights
        - given.gamma / 2 * (cp.sum_squares(common) + given.rest @ cp.square(weights))
        - given.cost @ cp.abs(trades)
        - sleeves.wish_weight @ cp.square(sizes - wished)
        - sleeves.house_weight / 2 * cp.sum_squares(house)
    )
    rows = [
        common == given.factors @ weights,
        weights == targets @ sizes + house,
        trades == weights - start,
        cp.sum(trades) == 0,
        weights >= 0,
        weights <= given.cap,
        sizes >= 0,
        sizes <= sleeves.size_max,
    ]
    problem = cp.Problem(cp.Maximize(goal), rows)
    return _Model(problem, weights, sizes, mu, start, targets, wished)


def _bare(first: Strategies, options: dict[str, Any]) -> Callable[[Strategies], Answer]:
    model = _model(first)

    def solve(given: Strategies) -> Answer:
        model.load(given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.problem.solve(**options)
        found = model.weights.value, model.sizes.value
        weights, sizes = (np.asarray(one, dtype=np.float64) for one in found)
        return weights, sizes

    return solve


def reference(given: Strategies) -> float:
    """The optimum, tightly."""
    tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-11)
    return worth(given, *_bare(given, {**CLARABEL, **tight})(given))


def solvers(first: Strategies) -> dict[str, Callable[[Strategies], Answer]]:
    """Ours, and bare cvxpy compiled once."""
    allocator = CvxAllocator(SolverSettings())

    def ours(given: Strategies) -> Answer:
        answer = allocator.allocate(given.problem)
        return given.inputs.start + answer.trades, answer.sizes

    shelf = ModelShelf(1)

    def alone(given: Strategies) -> Answer:
        found = found_alone(given.problem, shelf)
        return given.inputs.start + found.trades, found.sizes

    return {
        "ours": ours,
        "ours, solve and certificate alone": alone,
        "bare cvxpy, PIQP": _bare(first, PIQP),
        "bare cvxpy, Clarabel": _bare(first, CLARABEL),
    }
