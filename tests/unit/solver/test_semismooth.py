"""Newton's method on few numbers: it finds what PIQP finds, to more digits, or says it has not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import Allocation, AllocationProblem, RiskEstimate, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings, factor_qp, segment_qp
from coordinator.solver.semismooth import solve_coupled

from .conftest import Make
from .test_charges import ALL, SETS, STATES, charged, sleeves_of

ALLOCATOR = CvxAllocator(SolverSettings())
HARDLY = 1e-9
"""A thousandth of what counts as solved: what PIQP's tolerance leaves."""


def with_factors(problem: AllocationProblem, *, alone: float = 1.0) -> AllocationProblem:
    """The same over a model of three factors. alone: times what each name varies by itself."""
    n = len(problem.mu)
    rng = np.random.default_rng(n + 1)
    rest = rng.uniform(5e-4, 3e-3, n) * alone
    factors = RiskEstimate(rng.normal(size=(3, n)) * 0.02, rest, 0.0, 100.0, 3)
    return replace(problem, covariance=factors.covariance(), factors=factors)


def with_limits(problem: AllocationProblem) -> AllocationProblem:
    """Bounds on five groups, net and gross, from both sides."""
    n = len(problem.mu)
    groups = (np.arange(5)[:, None] == np.arange(n) % 5).astype(float)
    names = tuple("abcde")
    sectors = WeightLimit("sector", "linear", names, groups, np.full(5, -0.05), np.full(5, 0.15), 0)
    gross = WeightLimit("size", "gross", names, groups, np.full(5, -np.inf), np.full(5, 0.2), 0)
    net = WeightLimit("net", "linear", ("",), np.ones((1, n)), np.full(1, 0.1), np.full(1, 0.4), 0)
    return replace(problem, limits=(sectors, gross, net))


@pytest.fixture(autouse=True)
def _few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems, too, which PIQP would be given."""
    monkeypatch.setattr(factor_qp, "_PARTS_MIN", 0)
    monkeypatch.setattr(factor_qp, "_SHARE_MAX", np.inf)


def test_few_parts_are_piqp_s(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for n, solver in ((20, "PIQP"), (100, "NEWTON")):
        p = with_factors(charged(make, (), "shorts", n))
        assert ALLOCATOR.allocate(p).solver == solver


def plainly(problem: AllocationProblem, monkeypatch: pytest.MonkeyPatch) -> Allocation:
    """PIQP's answer, as if Newton's method found none."""
    with monkeypatch.context() as patch:
        patch.setattr(segment_qp, "solve_coupled", lambda *_: None)
        answer = ALLOCATOR.allocate(problem)
    assert answer.solver == "PIQP", answer.remarks
    return answer


@pytest.mark.parametrize("n", [1, 8, 60])
@pytest.mark.parametrize("state", [state for state in STATES if state != "halted"])
@pytest.mark.parametrize("kinds", SETS, ids=lambda kinds: "+".join(kinds)[:30])
def test_it_finds_what_piqp_finds(
    make: Make, kinds: tuple[str, ...], state: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = with_factors(charged(make, kinds, state, n))
    answer, other = ALLOCATOR.allocate(p), plainly(p, monkeypatch)
    assert answer.solver == "NEWTON", answer.remarks
    assert answer.rung == other.rung == "solved"
    assert answer.gap <= HARDLY
    assert answer.objective_continuous >= other.objective_continuous - HARDLY
    total = np.sum([force.pulls for force in answer.forces], axis=0)
    assert np.abs(total).max() <= 1e-6


@pytest.mark.parametrize("alone", [0.3, 1.0, 100.0])
@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize("state", ["long only", "shorts", "cash binds", "turnover binds"])
def test_rows_hold_and_their_prices_prove_it(
    make: Make, state: str, sized: bool, alone: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = with_limits(with_factors(charged(make, (), state, 60), alone=alone))
    if sized:
        p = replace(p, sleeves=sleeves_of(p, np.random.default_rng(4)))
    answer, other = ALLOCATOR.allocate(p), plainly(p, monkeypatch)
    assert answer.solver == "NEWTON", answer.remarks
    assert answer.violation <= 1e-9
    assert abs(answer.objective_continuous - other.objective_continuous) <= HARDLY
    # Several prices may do; only right ones leave no gap to the bound that they give.
    assert answer.gap <= HARDLY
    assert any(one.shadow_price for one in answer.limits if one.instrument is None)


def _asked(problem: AllocationProblem, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether it found an answer, each time it was asked."""
    found: list[bool] = []

    def told(*given: object) -> object:
        answer = solve_coupled(*given)  # type: ignore[arg-type]  # passed on as they come
        found.append(answer is not None)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(segment_qp, "solve_coupled", told)
        ALLOCATOR.allocate(problem)
    return found


def test_what_no_trades_can_keep_is_left_to_others(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = with_factors(charged(make, (), "turnover binds", 60))
    none = WeightLimit(
        "net", "linear", ("",), np.ones((1, 60)), np.full(1, 0.95), np.full(1, np.inf), 1
    )
    assert not _asked(replace(p, limits=(none,)), monkeypatch)[0]
    answer = ALLOCATOR.allocate(replace(p, limits=(none,)))
    assert answer.rung == "relaxed"
    assert answer.violation <= 1e-9


@pytest.mark.parametrize("mu", [0.0, 1e-9])
def test_least_variance_from_cash_needs_no_opinion(make: Make, mu: float) -> None:
    """Slopes are nothing at the beginning, and a price is all that moves."""
    all_in = WeightLimit(
        "net", "linear", ("",), np.ones((1, 60)), np.full(1, 0.9), np.full(1, 0.9), 0
    )
    p = with_factors(make(60, mu=mu, cost_buy=0.0, cost_sell=0.0, position_max=0.1))
    answer = ALLOCATOR.allocate(replace(p, limits=(all_in,)))
    assert answer.solver == "NEWTON", answer.remarks
    assert answer.continuous.sum() == pytest.approx(0.9, abs=1e-6)
    marginal = p.covariance @ answer.continuous
    inside = (answer.continuous > 1e-6) & (answer.continuous < 0.1 - 1e-6)
    assert np.ptp(marginal[inside]) <= 1e-8


@pytest.mark.parametrize("sized", [False, True])
def test_no_factors_at_all_are_a_model_too(make: Make, sized: bool) -> None:
    none = RiskEstimate(np.zeros((0, 60)), np.full(60, 1e-3), 0.0, 100.0, 0)
    p = replace(make(60, position_max=0.1), covariance=none.covariance(), factors=none)
    if sized:
        p = replace(p, sleeves=sleeves_of(p, np.random.default_rng(4)))
    assert ALLOCATOR.allocate(p).solver == "NEWTON"


def test_a_name_hardly_curved_beside_others_breaks_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = with_factors(charged(make, (), "turnover binds", 60))
    assert p.factors is not None
    rows, rest = p.factors.rows.copy(), p.factors.rest.copy()
    rows[:, 7], rest[7] = 0.0, 1e-15
    factors = replace(p.factors, rows=rows, rest=rest)
    p = replace(p, factors=factors, covariance=factors.covariance())
    answer, other = ALLOCATOR.allocate(p), plainly(p, monkeypatch)
    assert answer.rung == "solved"
    assert answer.violation <= 1e-9
    assert answer.objective_continuous >= other.objective_continuous - HARDLY


def test_no_steps_leave_it_out(make: Make) -> None:
    p = with_factors(charged(make, (), "shorts", 60))
    one = CvxAllocator(SolverSettings(newton_steps_max=0)).allocate(p)
    assert (one.solver, one.rung) == ("PIQP", "solved")


def test_what_is_not_exact_is_asked_of_piqp(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that overdraws, or that the certificate does not bear out."""
    p = with_factors(charged(make, (), "shorts", 60))

    def off(*given: object) -> object:
        found = solve_coupled(*given)  # type: ignore[arg-type]  # passed on as they come
        assert found is not None
        return found._replace(lengths=found.lengths * 0.9)

    best = ALLOCATOR.allocate(p)
    monkeypatch.setattr(segment_qp, "solve_coupled", off)
    answer = ALLOCATOR.allocate(p)
    assert (best.solver, answer.solver) == ("NEWTON", "PIQP")
    assert answer.objective_continuous == pytest.approx(best.objective_continuous, abs=HARDLY)


def test_names_that_are_not_curved_alone_are_left_to_piqp(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = with_factors(charged(make, (), "long only", 60), alone=0.0)
    assert _asked(p, monkeypatch) == [False]
    assert ALLOCATOR.allocate(p).solver == "PIQP"


def test_without_factors_it_is_not_begun(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(_asked(charged(make, (*ALL, "sleeves"), "shorts", 12), monkeypatch))
