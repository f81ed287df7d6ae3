"""The least variance at each published return is the published one, by three ways to compute it.

OR-Library's five portfolio problems (tests/orlib): ours, with the return and the full investment as
a limit of two rows whose bounds are equal; cvxpy with Clarabel; and a chain of critical lines. What
the tables' ten decimals allow is said there: 1e-6 of the variance holds at all 10,000 points.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, Floats, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings

from .conftest import build

FOLDER = Path(__file__).resolve().parents[2] / "orlib"
SIZES = {1: 31, 2: 85, 3: 89, 4: 98, 5: 225}
RELATIVE = 1e-6
GAMMA = 1e4
"""Large, so that a certified gap of 0.01 bp of NAV is far below a millionth of the variance."""


@dataclass(frozen=True)
class Published:
    """mu: (n,). covariance: (n, n). frontier: (2000, 2) returns and variances, returns falling."""

    mu: Floats
    covariance: Floats
    frontier: Floats


@lru_cache
def published(number: int) -> Published:
    numbers = np.array(_text(f"port{number}").split(), dtype=np.float64)
    n = int(numbers[0])
    mu, spread = numbers[1 : 1 + 2 * n].reshape(n, 2).T
    pairs = numbers[1 + 2 * n :].reshape(-1, 3)
    first, second = (pairs[:, at].astype(int) - 1 for at in (0, 1))
    correlation = np.zeros((n, n))
    correlation[first, second] = correlation[second, first] = pairs[:, 2]
    covariance = correlation * np.outer(spread, spread)
    covariance.setflags(write=False)
    frontier = np.array(_text(f"portef{number}").split(), dtype=np.float64).reshape(-1, 2)
    return Published(mu, covariance, frontier)


def _text(name: str) -> str:
    return gzip.decompress((FOLDER / f"{name}.txt.gz").read_bytes()).decode("ascii")


def problem(given: Published, wanted: float) -> AllocationProblem:
    """Least variance at a return, from two names that have it together already."""
    n, top, bottom = len(given.mu), int(given.mu.argmax()), int(given.mu.argmin())
    share = (wanted - given.mu[bottom]) / (given.mu[top] - given.mu[bottom])
    held = np.zeros(n)
    held[top], held[bottom] = share, 1.0 - share
    largest = given.mu.max()
    rows, bounds = np.array([np.ones(n), given.mu / largest]), np.array([1.0, wanted / largest])
    both = WeightLimit("frontier", "linear", ("invested", "return"), rows, bounds, bounds, 0)
    return build(
        n, mu=0.0, covariance=given.covariance, risk_aversion=GAMMA, filled=held, cash=0.0,
        cost_buy=0.0, cost_sell=0.0, gross_max=2.0, cash_floor=-1.0, turnover_max=2.0,
        limits=(both,),
    )  # fmt: skip


def farthest(number: int, *, every: int) -> float:
    """The largest relative difference of our variance to the published one."""
    given, allocator = published(number), CvxAllocator(SolverSettings())
    found = []
    for wanted, variance in given.frontier[::every]:
        p = problem(given, wanted)
        weights = p.filled + allocator.allocate(p).continuous
        assert weights.min() >= -1e-9
        assert weights.sum() == pytest.approx(1.0, abs=1e-8)
        assert given.mu @ weights == pytest.approx(wanted, abs=1e-9)
        found.append(abs(weights @ given.covariance @ weights / variance - 1.0))
    return float(max(found))


@pytest.mark.parametrize("number", SIZES)
def test_the_files_are_the_published_ones(number: int) -> None:
    given = published(number)
    assert given.covariance.shape == (SIZES[number],) * 2
    assert given.frontier.shape == (2000, 2)
    assert given.frontier[0, 0] == given.mu.max()
    assert np.ptp(np.diff(given.frontier[:, 0])) < 1e-8  # Equally spaced, but for their decimals.
    assert np.linalg.eigvalsh(given.covariance)[0] > 0.0


@pytest.mark.parametrize("number", SIZES)
def test_the_allocator_finds_the_published_frontier(number: int) -> None:
    assert farthest(number, every=50) < RELATIVE


@pytest.mark.slow
@pytest.mark.parametrize("number", SIZES)
def test_the_allocator_finds_every_point_of_the_published_frontier(number: int) -> None:
    found = farthest(number, every=1)
    print(f"port{number}: {found:.1e}")
    assert found < RELATIVE


@pytest.mark.parametrize("number", SIZES)
def test_plain_cvxpy_finds_the_published_frontier(number: int) -> None:
    given = published(number)
    root = np.linalg.cholesky(given.covariance)
    weights, wanted = cp.Variable(len(given.mu)), cp.Parameter()
    rows = [cp.sum(weights) == 1, 100 * given.mu @ weights == 100 * wanted, weights >= 0]
    least = cp.Problem(cp.Minimize(cp.sum_squares(100 * root.T @ weights)), rows)
    for value, variance in given.frontier[::200]:
        wanted.value = value
        least.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        assert float(least.value) / 1e4 == pytest.approx(variance, rel=RELATIVE)


@pytest.mark.parametrize("number", SIZES)
def test_critical_lines_find_the_published_frontier(number: int) -> None:
    """Exact between two corners, where weights are linear in the return."""
    given = published(number)
    corners = critical_lines(given)
    returns = corners @ given.mu
    for wanted, variance in given.frontier:
        at = int(np.clip(np.searchsorted(-returns, -wanted), 1, len(returns) - 1))
        share = (wanted - returns[at]) / (returns[at - 1] - returns[at])
        weights = share * corners[at - 1] + (1.0 - share) * corners[at]
        assert weights @ given.covariance @ weights == pytest.approx(variance, rel=RELATIVE)


def critical_lines(given: Published) -> Floats:
    """(k, n) weights at the corners of the frontier, from the largest return to the least variance.

    Markowitz 1956: with the free names F fixed, weights are linear in lambda, the price of return;
    going down, the next corner is the largest lambda below at which a free weight becomes zero or a
    name at zero would gain from being bought.
    """
    mu, sigma = given.mu, given.covariance
    n, free = len(mu), [int(mu.argmax())]
    corners, price = [np.eye(n)[free[0]]], np.inf
    while price > 0.0:
        at = np.array(free)
        solved = np.linalg.solve(sigma[np.ix_(at, at)], np.array([np.ones(len(at)), mu[at]]).T)
        # Weights of the free names are level + slope * lambda, with sum 1.
        ones, means = solved.T
        level, slope = ones / ones.sum(), means - ones * means.sum() / ones.sum()
        # What a name's variance would add beyond that of the free ones: base + rise * lambda.
        base = sigma[:, at] @ level - 1.0 / ones.sum()
        rise = sigma[:, at] @ slope - mu + means.sum() / ones.sum()
        leaves = _below(level, slope, price)
        enters = np.where(np.isin(np.arange(n), at), -np.inf, _below(base, rise, price))
        price = max(float(leaves.max()), float(enters.max()), 0.0)
        weights = np.zeros(n)
        weights[at] = np.maximum(level + slope * price, 0.0)
        if len(at) > 1:  # One name alone stays where it is until a second one joins.
            corners.append(weights / weights.sum())
        if leaves.max() >= enters.max():
            free.remove(int(at[leaves.argmax()]))
        else:
            free.append(int(enters.argmax()))
    return np.array(corners)


def _below(level: Floats, slope: Floats, price: float) -> Floats:
    """Where a line that falls with the price gets to zero; one that rises never does."""
    falls = slope > 0.0
    crossing = np.divide(-level, slope, out=np.full_like(level, -np.inf), where=falls)
    return np.minimum(crossing, price)
