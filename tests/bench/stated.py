"""Ours, bare cvxpy and the raw solvers, each a function from a round's inputs to weights.

Each is made once for a size and kept, as a live process would; what it may keep is compiled
structure and what it found of the covariance, never anything of another round's answer but where a
library warm starts by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import clarabel
import cvxpy as cp
import numpy as np
import piqp
from scipy import sparse

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver.further import prepare
from coordinator.solver.room import make_room
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import EXCESS_MAX, Solution
from coordinator.solver.solve import optimise
from tests.bench.qp import Inputs, problem_of

__all__ = [
    "Solve", "alone", "bare", "clarabel_raw", "compiled", "found_alone", "ours", "piqp_raw",
]  # fmt: skip

Solve = Callable[[Inputs], Floats]
Options = dict[str, Any]

CLARABEL: Options = {"solver": "CLARABEL", "max_threads": 1}
PIQP: Options = {"solver": "PIQP", "eps_abs": 1e-9, "eps_rel": 1e-9}
OSQP: Options = {"solver": "OSQP", "eps_abs": 1e-8, "eps_rel": 1e-8, "max_iter": 100_000}


def ours(*, factored: bool = False) -> Callable[[Inputs], Solve]:
    """The allocator as it ships: certificate, reasons and rounding included."""

    def make(_: Inputs) -> Solve:
        allocator = CvxAllocator(SolverSettings())

        def solve(given: Inputs) -> Floats:
            answer = allocator.allocate(problem_of(given, factored=factored))
            weights: Floats = given.start + answer.trades
            return weights

        return solve

    return make


def alone(*, factored: bool = False) -> Callable[[Inputs], Solve]:
    """What the allocator does before it rounds and gives reasons: the solve and its certificate."""

    def make(_: Inputs) -> Solve:
        shelf = ModelShelf(1)

        def solve(given: Inputs) -> Floats:
            found = found_alone(problem_of(given, factored=factored), shelf)
            weights: Floats = given.start + found.trades
            return weights

        return solve

    return make


def found_alone(problem: AllocationProblem, shelf: ModelShelf) -> Solution:
    """The certified optimum; an error where it is none."""
    settings, prepared = SolverSettings(), prepare(problem)
    found = optimise(prepared, make_room(prepared), shelf, settings, settings.solver)
    if not (found.gap <= settings.gap_max and found.excess <= EXCESS_MAX):
        message = f"not certified: gap {found.gap:.1e}, excess {found.excess:.1e}"
        raise ValueError(message)
    return found


@dataclass(frozen=True)
class Compiled:
    """A parametrised problem that cvxpy compiled once; the covariance is a constant of it."""

    problem: cp.Problem
    weights: cp.Variable
    mu: cp.Parameter
    start: cp.Parameter


def compiled(given: Inputs, *, factored: bool = False) -> Compiled:
    """As a careful user of cvxpy writes it; factored: with the factors' returns as variables."""
    n = len(given.mu)
    weights, trades = cp.Variable(n), cp.Variable(n)
    mu, start = cp.Parameter(n), cp.Parameter(n)
    rows = [trades == weights - start, cp.sum(trades) == 0, weights >= 0, weights <= given.cap]
    risk = cp.sum_squares(given.root.T @ weights)
    if factored:
        common = cp.Variable(len(given.factors))
        rows.append(common == given.factors @ weights)
        risk = cp.sum_squares(common) + given.rest @ cp.square(weights)
    goal = mu @ weights - given.gamma / 2 * risk - given.cost @ cp.abs(trades)
    if given.impact is not None:
        goal -= given.impact @ cp.power(cp.abs(trades), 1.5, approx=False)
    return Compiled(cp.Problem(cp.Maximize(goal), rows), weights, mu, start)


def bare(options: Options, *, factored: bool = False) -> Callable[[Inputs], Solve]:
    """Bare cvxpy with one solver behind it."""

    def make(first: Inputs) -> Solve:
        kept = compiled(first, factored=factored)

        def solve(given: Inputs) -> Floats:
            kept.mu.value, kept.start.value = given.mu, given.start
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept.problem.solve(**options)
            return np.asarray(kept.weights.value, dtype=np.float64)

        return solve

    return make


@dataclass(frozen=True)
class Canonical:
    """min x'Px/2 + c'x, Ax = b, Gx <= h, 0 <= x <= top; x is weights, |trades| and factor returns.

    Without factors, or with them and their returns free.
    """

    P: Floats
    A: Floats
    G: Floats
    low: Floats
    top: Floats

    def vectors(self, given: Inputs) -> tuple[Floats, Floats, Floats]:
        """c, b and h of one round."""
        free = np.zeros(len(self.A) - 1)
        c = np.concatenate([-given.mu, given.cost, free])
        b = np.concatenate([[given.start.sum()], free])
        return c, b, np.concatenate([given.start, -given.start])


def canonical(given: Inputs, *, factored: bool) -> Canonical:
    """The matrices, which all rounds of a size share."""
    n, m = len(given.mu), len(given.factors) if factored else 0
    size, eye = 2 * n + m, np.eye(n)
    P, A = np.zeros((size, size)), np.zeros((1 + m, size))
    P[:n, :n] = given.gamma * (np.diag(given.rest) if factored else given.covariance)
    P[2 * n :, 2 * n :] = given.gamma * np.eye(m)
    A[0, :n] = 1.0
    if factored:
        A[1:, :n], A[1:, 2 * n :] = given.factors, -np.eye(m)
    G = np.hstack([np.block([[eye, -eye], [-eye, -eye]]), np.zeros((2 * n, m))])
    low = np.concatenate([np.zeros(2 * n), np.full(m, -np.inf)])
    top = np.concatenate([np.full(n, given.cap), np.full(n, 2.0), np.full(m, np.inf)])
    return Canonical(P, A, G, low, top)


def piqp_raw(*, factored: bool = False) -> Callable[[Inputs], Solve]:
    """PIQP itself; only vectors change between rounds."""

    def make(first: Inputs) -> Solve:
        n, data = len(first.mu), canonical(first, factored=factored)
        solver = piqp.SparseSolver()
        solver.settings.eps_abs = solver.settings.eps_rel = 1e-9
        c, b, h = data.vectors(first)
        P, A, G = (sparse.csc_matrix(one) for one in (data.P, data.A, data.G))
        solver.setup(P, c, A, b, G, None, h, data.low, data.top)

        def solve(given: Inputs) -> Floats:
            c, b, h = data.vectors(given)
            solver.update(c=c, b=b, h_u=h)
            solver.solve()
            return np.asarray(solver.result.x[:n], dtype=np.float64)

        return solve

    return make


def clarabel_raw(first: Inputs) -> Solve:
    """Clarabel itself on the same data, updated in place."""
    n, data = len(first.mu), canonical(first, factored=False)
    box = np.hstack([np.eye(n), np.zeros((n, n))])
    rows = sparse.csc_matrix(np.vstack([data.A, data.G, box, -box]))
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(4 * n)]
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.presolve_enable = False  # What is updated must keep its shape.
    sides = np.concatenate([data.top[:n], np.zeros(n)])
    c, b, h = data.vectors(first)
    upper = sparse.csc_matrix(np.triu(data.P))
    solver = clarabel.DefaultSolver(upper, c, rows, np.r_[b, h, sides], cones, settings)

    def solve(given: Inputs) -> Floats:
        c, b, h = data.vectors(given)
        solver.update(q=c, b=np.concatenate([b, h, sides]))
        return np.asarray(solver.solve().x[:n], dtype=np.float64)

    return solve
