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
from coordinator.solver import ladder as ladder_module
from coordinator.solver import solve as solve_module
from coordinator.solver.by_model import solve_cold
from coordinator.solver.least_paying import NOT_PROVEN
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import EXCESS_MAX, no_solution
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
    """Impact is cheap for whoever trades little: what cash there is, is spread."""
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


def eaten(names: int, impact: float, cash: float, seed: int = 0) -> AllocationProblem:
    """A book that is too large, and impact takes more of cash than most sells bring."""
    rng = np.random.default_rng(seed)
    charges = Charges(impact=impact * rng.uniform(0.1, 1.0, names))
    return problem_of(
        np.zeros(names), np.eye(names) * 1e-3, risk_aversion=5.0,
        weights=rng.normal(size=names) * 0.3, charges=charges, cash=cash,
        position_min=-1.0, position_max=0.1, gross_max=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("names", [1, 3, 40])
@pytest.mark.parametrize("impact", [1.0, 10.0, 1e3])
@pytest.mark.parametrize("cash", [-3.0, -0.05, 0.01])
def test_where_impact_takes_more_than_sells_bring_least_stays_broken(
    names: int, impact: float, cash: float
) -> None:
    p = eaten(names, impact, cash)
    before = measure(p, np.zeros(names))
    answer = ALLOCATOR.allocate(p)
    least = solve_module.restore(p, before, ModelShelf(2), SolverSettings(), "PIQP")
    assert least.gap == 0.0
    assert not measure(p, answer.trades).worse_than(before)
    # Before lots: a trade of less than a millionth of NAV is none.
    after = measure(p, answer.continuous)
    assert after.total <= measure(p, least.trades).total + 1e-6, answer.remarks


def test_least_violation_that_cannot_be_priced_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No solver says what is best in so thin a room; what leaves least broken is known."""
    p = eaten(40, 10.0, -0.05)
    monkeypatch.setattr(ladder_module, "optimise", lambda p, *_: no_solution(p, "PIQP", "none", 0))
    before, answer = measure(p, np.zeros(40)), ALLOCATOR.allocate(p)
    least = solve_module.restore(p, before, ModelShelf(2), SolverSettings(), "PIQP")
    assert answer.rung == "rule"
    assert "kept the trades that leave least broken" in answer.remarks
    assert measure(p, answer.trades).total <= measure(p, least.trades).total + 1e-6


@pytest.fixture
def cones_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the cone solver end inaccurate, or not at all."""

    def end(solved: bool) -> None:
        def solve(problem: Any, settings: Any, solver: Any, **options: Any) -> tuple[str, int]:
            if solver == "CLARABEL" and not solved:
                return "failed", 0
            status, iterations = solve_cold(problem, settings, solver, **options)
            return ("optimal_inaccurate" if solver == "CLARABEL" else status), iterations

        monkeypatch.setattr("coordinator.solver.solve.solve_cold", solve)

    return end


@pytest.mark.parametrize("solved", [True, False])
def test_where_cones_end_inaccurate_the_better_of_two_is_kept_and_said(
    cones_end: Callable[[bool], None], solved: bool
) -> None:
    """Of the cones' trades and those of a search with impact as a linear cost."""
    p = eaten(40, 10.0, -0.05)
    before = measure(p, np.zeros(40))
    exact = solve_module.restore(p, before, ModelShelf(2), SolverSettings(), "PIQP")
    assert exact.status == "optimal"
    cones_end(solved)
    found = solve_module.restore(p, before, ModelShelf(2), SolverSettings(), "PIQP")
    assert (found.status, found.gap) == (NOT_PROVEN, 0.0)
    assert found.excess <= EXCESS_MAX
    least, total = (measure(p, one.trades).total for one in (exact, found))
    assert total <= (least + 1e-6 if solved else before.total - 0.1)
    answer = CvxAllocator().allocate(p)
    assert any("not proven to be the least" in one for one in answer.remarks)


def test_fewer_digits_are_asked_for_where_the_last_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p = eaten(3, 1.0, -3.0, seed=87)
    before = measure(p, np.zeros(3))
    found = solve_module.restore(p, before, ModelShelf(2), SolverSettings(), "PIQP")
    assert found.status == "optimal"
    monkeypatch.setattr(solve_module, "_EASES", ())
    found = solve_module.restore(p, before, ModelShelf(2), SolverSettings(), "PIQP")
    assert found.status == NOT_PROVEN


def test_what_stays_broken_is_said() -> None:
    p = problem_of(
        np.zeros(6), np.eye(6) * 1e-3, risk_aversion=1.0, weights=[0.3, 0.3, 0.3, 0.0, 0.0, 0.0],
        position_max=0.1, turnover_max=0.1,
    )  # fmt: skip
    assert ALLOCATOR.allocate(p).remarks[-1] == "still broken after trading: position_max"
    mended = ALLOCATOR.allocate(replace(p, turnover_max=1.0))
    assert not any("still broken" in one for one in mended.remarks)


@pytest.mark.parametrize("name", STATES)
def test_whole_lots_leave_no_limit_broken_by_more_than_a_lot_besides(name: str) -> None:
    p = STATES[name]
    lots = np.where(p.lot_weight > 0.0, p.lot_weight, 0.002)
    answer = ALLOCATOR.allocate(replace(p, lot_weight=lots))
    before, after = (measure(p, trades) for trades in (answer.continuous, answer.trades))
    assert after.beyond(before) <= lots.max() * (1.0 + 1e-6)
