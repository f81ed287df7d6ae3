"""From opinion to trades: the same portfolio for every rule, and weights set directly beside it."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.ports import Allocation, AllocationProblem, Floats
from coordinator.solver import CvxAllocator, SolverSettings
from tests.bench.tradebooks import Moment, Standing, Tariff, charged
from tests.bench.ways import Desk, allocating, problem_of, setting_directly

NAMES = ("A", "B", "C", "D")
SIGMA = np.array([0.01, 0.012, 0.015, 0.02])
PRICE = np.array([10.0, 20.0, 30.0, 40.0])
OPINION = np.array([0.2, 0.1, 0.0, -0.1])


class Asked:
    """The allocator, and what it was asked."""

    def __init__(self) -> None:
        self.inner, self.problems = CvxAllocator(SolverSettings()), list[AllocationProblem]()

    def allocate(self, problem: AllocationProblem) -> Allocation:
        self.problems.append(problem)
        return self.inner.allocate(problem)


def desk(allocator: Asked | None = None, *, neutral: bool = True) -> Desk:
    return Desk(
        allocator=allocator or Asked(), names=NAMES, lots=np.full(4, 10.0),
        tariff=Tariff(3e-4, 8e-4, 1.0), risk_aversion=20.0, position_min=-0.3, position_max=0.3,
        gross_max=1.0, neutral=neutral,
    )  # fmt: skip


def standing(weights: Floats | None = None, *, nav: float = 1e6) -> Standing:
    covariance = np.diag(5.0 * SIGMA**2)
    held = np.zeros(4) if weights is None else weights
    cash = nav * (1.0 - float(held.sum()))
    return Standing(Moment(7, covariance, SIGMA), held, nav, cash, PRICE, np.full(4, 5e7))


def test_an_opinion_counts_in_volatilities_and_less_its_mean() -> None:
    asked = Asked()
    allocating({7: OPINION}, scale=0.5, desk=desk(asked))(standing())
    (problem,) = asked.problems
    apart = OPINION - OPINION.mean()
    assert problem.mu == pytest.approx(0.5 * apart * SIGMA * np.sqrt(5.0))
    allocating({7: OPINION}, scale=0.5, desk=desk(asked, neutral=False))(standing())
    assert asked.problems[1].mu == pytest.approx(0.5 * OPINION * SIGMA * np.sqrt(5.0))


def test_the_allocator_is_told_what_the_book_will_pay() -> None:
    """Linear cost and impact of a trade, as a fraction of NAV, are those of the book in money."""
    now, one = standing(nav=2e6), desk()
    problem = problem_of(now, np.zeros(4), one)
    trade = np.array([0.1, -0.05, 0.02, -0.01])
    impact = problem.charges.impact
    assert impact is not None
    linear = np.where(trade > 0, problem.cost_buy, problem.cost_sell) * np.abs(trade)
    told = linear + impact * np.abs(trade) ** 1.5
    paid = charged(trade * now.nav / PRICE, PRICE, sigma=SIGMA, usual=now.usual, tariff=one.tariff)
    assert told * now.nav == pytest.approx(paid)


def test_trades_are_whole_lots_and_rungs_are_counted() -> None:
    one = desk()
    units = allocating({7: OPINION}, scale=1.0, desk=one)(standing())
    assert np.abs(units).sum() > 0.0
    assert np.array_equal(units % 10.0, np.zeros(4))
    assert sum(one.rungs.values()) == 1


def test_weights_set_directly_are_in_proportion_and_within_the_positions() -> None:
    units = setting_directly({7: OPINION}, gross=0.4, desk=desk())(standing())
    weights = units * PRICE / 1e6
    assert weights == pytest.approx([0.15, 0.05, -0.05, -0.15], abs=10 * 40 / 1e6)
    wide = setting_directly({7: OPINION}, gross=2.0, desk=desk())(standing())
    assert np.abs(wide * PRICE / 1e6).max() <= 0.3


def test_weights_set_directly_trade_from_what_is_held() -> None:
    held = np.array([1000.0, -500.0, 0.0, 200.0]) * PRICE / 1e6
    fresh = setting_directly({7: OPINION}, gross=0.4, desk=desk())(standing())
    more = setting_directly({7: OPINION}, gross=0.4, desk=desk())(standing(held))
    assert more == pytest.approx(fresh - np.array([1000.0, -500.0, 0.0, 200.0]))
    flat = setting_directly({7: np.full(4, 0.3)}, gross=0.4, desk=desk())(standing(held))
    assert flat.tolist() == [-1000.0, 500.0, 0.0, -200.0]
