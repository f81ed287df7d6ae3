"""States that no trades can put right, or not at once: each has an answer, and none makes it worse.

Every state is named for what a portfolio manager would call it. What is asked of all of them: some
rung answers, no hard limit is further broken, what can be repaired is, and what cannot is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, Charges, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings, problem_of
from coordinator.solver.violations import measure
from tests.support.infeasible_states import STATES, N
from tests.support.limit_reference import state, violations

ALLOCATOR = CvxAllocator(SolverSettings())


def test_there_are_enough_states() -> None:
    assert len(STATES) >= 30


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_answered_without_making_anything_worse(name: str) -> None:
    p = STATES[name]
    answer = ALLOCATOR.allocate(p)
    before, after = measure(p, np.zeros(N)), measure(p, answer.trades)
    assert answer.status != "no solver answered", answer.remarks
    assert not after.worse_than(before)
    assert answer.violation_before > 1e-6, "no such state"
    if answer.violation > 1e-6:
        assert _shown(p, answer.limits) or not np.any(p.trade_max), answer.limits
    assert answer.rung == "hold" or "breached before trading" in answer.remarks[0]


def _shown(p: AllocationProblem, readings: Any) -> bool:
    """Whether some reading says that its limit is broken."""
    return any(
        one.used > one.bound + 1e-9 if one.side == "upper" else one.used < one.bound - 1e-9
        for one in readings
    )


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("tier", [1, 3])
def test_the_same_state_with_soft_limits_trades_within_the_hard_ones(name: str, tier: int) -> None:
    p = STATES[name]
    p = replace(p, limits=tuple(replace(one, tier=tier) for one in p.limits))
    answer = ALLOCATOR.allocate(p)
    assert answer.status != "no solver answered", answer.remarks
    assert not measure(p, answer.trades).worse_than(measure(p, np.zeros(N)))


OF_ROWS_ALONE = [
    name
    for name, p in STATES.items()
    if not measure(replace(p, limits=()), np.zeros(N)).breached and p.trade_max.any()
]


@pytest.mark.parametrize("name", OF_ROWS_ALONE)
def test_what_stays_broken_is_the_least_that_plain_search_finds(name: str) -> None:
    p = STATES[name]
    before = [excess for _, excess in violations(p, np.zeros(N)).values()]
    after = [excess for _, excess in violations(p, ALLOCATOR.allocate(p).continuous).values()]
    least = state(p).least([True] * len(before), [one + 1e-9 for one in before])
    assert sum(after) <= least + 1e-3 * least**2 + 1e-6 * len(before)


CONSISTENT: dict[str, Callable[[AllocationProblem, np.ndarray[Any, Any]], float]] = {
    "sector_over_after_a_rally": lambda p, w: float(w[:3].sum()) - 0.2,
    "sector_over_only_if_working_buys_fill": lambda p, w: float(w[:3].sum()) + 0.05 - 0.32,
    "volatility_over_in_a_crisis": lambda p, w: float(np.sqrt(w @ p.covariance @ w)) - 0.02,
    "group_gross_over_with_shorts": lambda p, w: abs(float(np.abs(w[:3]).sum()) - 0.4),
    "cash_below_its_floor_and_turnover_small": lambda p, w: abs(float(w.sum()) - 0.5),
    "sector_over_and_too_little_liquidity": lambda p, w: abs(float(w[:3].sum()) - 0.24),
    "sector_over_and_turnover_used_up": lambda p, w: abs(float(w[:3].sum()) - 0.28),
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_what_can_be_repaired_is_and_the_rest_as_far_as_it_goes(name: str) -> None:
    p = STATES[name]
    answer = ALLOCATOR.allocate(p)
    assert CONSISTENT[name](p, p.filled + answer.trades) <= 3e-6


@pytest.mark.parametrize("names", [10, 20, 60])
@pytest.mark.parametrize("below", ["a floor on the sum", "each floor"])
def test_what_cash_and_impact_leave_of_a_floor_is_bought(names: int, below: str) -> None:
    """With impact the search goes from name to name, as whoever did not trade costs nothing."""
    held = np.random.default_rng(0).dirichlet(np.ones(names)) * 0.9
    ones, least, most = np.ones((1, names)), np.ones(1), np.full(1, np.inf)
    invested = WeightLimit("invested", "linear", ("",), ones, least, most, 0)
    problem = problem_of(
        np.zeros(names), np.eye(names) * 1e-3, risk_aversion=5.0, weights=held,
        charges=Charges(impact=np.full(names, 0.02)),
        limits=(invested,) if below == "a floor on the sum" else (),
        position_min=0.0 if below == "a floor on the sum" else 3.0 / names,
    )  # fmt: skip
    answer = ALLOCATOR.allocate(problem)
    assert answer.rung == "relaxed", answer.remarks
    # All cash, but for what it takes to spend it in one name, twice at most.
    assert 0.1 - 2.0 * 0.02 * 0.1**1.5 <= answer.trades.sum() <= 0.1
