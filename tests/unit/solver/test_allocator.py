from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import Allocation, AllocationProblem
from coordinator.solver import CvxAllocator, ProblemError, SolverSettings
from coordinator.solver import ladder as ladder_module
from coordinator.solver.solution import Solution
from coordinator.solver.solve import optimise as optimise_for_real

from .conftest import Make


@pytest.fixture(scope="module")
def allocator() -> CvxAllocator:
    return CvxAllocator(SolverSettings())


def test_no_instrument_answers_hold_with_nothing(allocator: CvxAllocator, make: Make) -> None:
    answer = allocator.allocate(make(0))
    assert (answer.rung, answer.trades.shape, answer.lots.shape) == ("hold", (0,), (0,))


def test_unconstrained_optimum_is_the_closed_form(allocator: CvxAllocator, make: Make) -> None:
    wide = {"position_min": -9.0, "position_max": 9.0, "trade_max": 9.0}
    p = make(4, **wide, gross_max=99.0, turnover_max=99.0, cash_floor=-99.0, cost_buy=0.0)
    p = replace(p, cost_sell=np.zeros(4))
    answer = allocator.allocate(p)
    best = np.linalg.solve(p.risk_aversion * p.covariance, p.mu)
    assert answer.rung == "solved"
    assert np.allclose(answer.trades, best, atol=1e-6)


def test_no_view_worth_its_cost_trades_nothing(allocator: CvxAllocator, make: Make) -> None:
    answer = allocator.allocate(make(3, mu=[0.0005, -0.0005, 0.0009]))
    assert np.allclose(answer.trades, 0.0, atol=1e-9)
    assert answer.rung == "solved"


def test_sales_fund_the_buys_of_the_same_decision(allocator: CvxAllocator, make: Make) -> None:
    p = make(2, mu=[-0.05, 0.05], filled=[0.5, 0.0], cash=0.0)
    answer = allocator.allocate(p)
    assert answer.trades[0] < -0.4
    assert answer.trades[1] > 0.4
    assert answer.violation == 0.0


def test_working_buys_reserve_cash_and_working_sells_free_none(
    allocator: CvxAllocator, make: Make
) -> None:
    p = make(2, mu=[0.0, 0.5], working_buys=[0.3, 0.0], cash=0.5, cost_buy=0.0)
    assert allocator.allocate(p).trades[1] == pytest.approx(0.2, abs=1e-6)
    p = make(2, mu=[0.0, 0.5], filled=[0.3, 0.0], working_sells=[-0.3, 0.0], cash=0.1, cost_buy=0.0)
    p = replace(p, trade_max=np.array([0.0, 1.0]))
    assert allocator.allocate(p).trades[1] == pytest.approx(0.1, abs=1e-6)


def test_position_limit_counts_working_buys(allocator: CvxAllocator, make: Make) -> None:
    p = make(1, mu=[0.5], working_buys=[0.1], position_max=[0.25])
    assert allocator.allocate(p).trades[0] == pytest.approx(0.15, abs=1e-6)


def test_breached_position_moves_as_far_as_liquidity_allows(
    allocator: CvxAllocator, make: Make
) -> None:
    p = make(2, mu=[0.5, 0.0], filled=[0.9, 0.0], position_max=0.5, trade_max=0.1, cash=0.1)
    answer = allocator.allocate(p)
    assert answer.rung == "relaxed"
    assert answer.trades[0] == pytest.approx(-0.1, abs=2e-6)
    assert "position_max" in answer.remarks[0]
    assert answer.violation < answer.violation_before


def test_breached_position_is_brought_just_inside_when_it_can_be(
    allocator: CvxAllocator, make: Make
) -> None:
    p = make(2, mu=[0.5, 0.0], filled=[0.9, 0.0], position_max=0.5, cash=0.1)
    assert allocator.allocate(p).trades[0] == pytest.approx(-0.4, abs=2e-6)


def test_breached_gross_and_cash_are_repaired_by_selling(
    allocator: CvxAllocator, make: Make
) -> None:
    p = make(3, mu=0.05, filled=0.4, cash=-0.2, gross_max=1.0)
    answer = allocator.allocate(p)
    assert answer.rung == "relaxed"
    assert answer.violation <= 2e-6
    assert answer.violation_before == pytest.approx(0.2)


def test_contradictory_limits_answer_without_making_either_worse(
    allocator: CvxAllocator, make: Make
) -> None:
    p = make(1, filled=[0.3], position_min=[0.5], position_max=[0.2])
    answer = allocator.allocate(p)
    assert answer.rung == "relaxed"
    assert 0.3 + answer.trades[0] <= 0.3 + 1e-6
    assert 0.3 + answer.trades[0] >= 0.3 - 1e-6


def test_halted_names_are_left_alone(allocator: CvxAllocator, make: Make) -> None:
    p = make(2, mu=[-0.5, 0.5], filled=[0.5, 0.0], cash=0.5, trade_max=[0.0, 1.0])
    answer = allocator.allocate(p)
    assert answer.trades[0] == 0.0
    assert answer.trades[1] > 0.4


@pytest.mark.parametrize("field", ["mu", "covariance", "nav", "cash", "trade_max", "turnover_max"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_input_raises_naming_the_field(
    allocator: CvxAllocator, make: Make, field: str, value: float
) -> None:
    p = make(2)
    bad = np.full_like(getattr(p, field), value) if field in {"mu", "covariance"} else value
    if field == "trade_max":
        bad = np.full(2, value)
    with pytest.raises(ProblemError, match=field):
        allocator.allocate(changed(p, field, bad))


def test_covariance_that_is_no_covariance_is_mended_and_said(
    allocator: CvxAllocator, make: Make
) -> None:
    answer = allocator.allocate(make(2, covariance=[[0.01, 0.05], [0.05, 0.01]]))
    assert answer.rung == "solved"
    assert "mended" in answer.remarks[0]


def changed(p: AllocationProblem, field: str, value: Any) -> AllocationProblem:
    fields: dict[str, Any] = {field: value}
    return replace(p, **fields)


def silent(broken: tuple[str, ...]) -> object:
    """An `optimise` whose named solvers find nothing."""
    real = optimise_for_real

    def optimise(problem: AllocationProblem, *args: object) -> Solution:
        found = real(problem, *args)  # type: ignore[arg-type]  # passed through unread
        return replace(found, gap=np.inf, status="broken") if found.solver in broken else found

    return optimise


def test_second_solver_answers_when_the_first_does_not(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = CvxAllocator(SolverSettings()).allocate(make(5))
    monkeypatch.setattr(ladder_module, "optimise", silent(("PIQP",)))
    answer = CvxAllocator(SolverSettings()).allocate(make(5))
    assert (answer.rung, answer.solver) == ("solved", "CLARABEL")
    assert "PIQP not certified: broken" in answer.remarks[0]
    assert answer.objective == pytest.approx(expected.objective, abs=1e-6)


def test_rule_reduces_breaches_when_no_solver_answers(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder_module, "optimise", silent(("PIQP", "CLARABEL")))
    p = make(2, filled=[0.7, 0.1], position_max=0.5, cash=0.2)
    answer = CvxAllocator(SolverSettings()).allocate(p)
    assert answer.rung == "rule"
    assert answer.trades == pytest.approx([-0.2, 0.0], abs=1e-9)
    calm: Allocation = CvxAllocator(SolverSettings()).allocate(make(2, filled=0.1, cash=0.8))
    assert (calm.rung, list(calm.trades)) == ("hold", [0.0, 0.0])


def test_an_iteration_limit_that_is_too_small_falls_down_the_ladder(make: Make) -> None:
    answer = CvxAllocator(SolverSettings(iterations_max=1)).allocate(make(5))
    assert answer.rung == "hold"
    assert len(answer.remarks) == 3
