"""Charges and sleeves: the same answers by every way, against a reference that shares no code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import (
    AllocationProblem,
    Charges,
    Floats,
    RiskEstimate,
    Sleeves,
    WeightLimit,
)
from coordinator.solver import CvxAllocator, ProblemError, SolverSettings
from coordinator.solver import curved as curved_module
from coordinator.solver.by_model import optimise_model
from coordinator.solver.certificate import upper_bound
from coordinator.solver.quick import optimise_segments
from coordinator.solver.room import make_room
from coordinator.solver.segment_qp import solve_parts
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.sizes import best_sizes
from coordinator.solver.solution import Solution
from coordinator.solver.worth import marginal_value, objective, size_slopes
from tests.bench import qp
from tests.support.allocation_reference import reference

from .conftest import Make

SETTINGS = SolverSettings()
SHELF = ModelShelf(100)
ALLOCATOR = CvxAllocator(SETTINGS)
HUNDREDTH_BP = 1e-6
RESIDUAL = 1e-6


def _vector(rng: np.random.Generator, n: int, low: float, high: float) -> Floats:
    return rng.uniform(low, high, n)


CHARGES: dict[str, Callable[[np.random.Generator, int], dict[str, Any]]] = {
    "robustness": lambda rng, n: {"robustness": _vector(rng, n, 0, 0.004)},
    "impact": lambda rng, n: {"impact": _vector(rng, n, 0, 0.1)},
    "impact of some": lambda rng, n: {"impact": np.where(rng.random(n) < 0.5, 0.0, 0.05)},
    "square": lambda rng, n: {"impact_square": _vector(rng, n, 0, 0.3)},
    "borrow": lambda rng, n: {"borrow": _vector(rng, n, 0, 0.004)},
    "carry": lambda rng, n: {"carry": _vector(rng, n, -0.002, 0.002)},
    "turnover": lambda rng, n: {"turnover": 0.004},
    "diversification": lambda rng, n: {"diversification": 3.0},
    "tracking": lambda rng, n: {"tracking": 4.0, "benchmark": np.full(n, 1.0 / n)},
    "tracking cash": lambda rng, n: {"tracking": 4.0},
    "linear": lambda rng, n: {
        "linear_buy": _vector(rng, n, 0.0, 0.002), "linear_sell": _vector(rng, n, 0, 0.002),
    },
}  # fmt: skip
ALL = tuple(name for name in CHARGES if name not in ("impact of some", "tracking cash"))
STATES: dict[str, dict[str, Any]] = {
    "long only": {},
    "shorts": {"position_min": -0.1, "gross_max": 1.5},
    "cash binds": {"cash_floor": 0.3},
    "turnover binds": {"turnover_max": 0.05},
    "working": {"working_buys": 0.004, "working_sells": -0.003, "position_min": -0.1},
    "halted": {"trade_max": 0.0},
}


def sleeves_of(problem: AllocationProblem, rng: np.random.Generator, **changes: Any) -> Sleeves:
    """Four strategies over some of the names each, one of them the opposite of another."""
    n, s = len(problem.mu), 4
    targets = rng.normal(size=(n, s)) * (rng.random((n, s)) < 0.5) + 1e-3
    targets[:, 3] = -targets[:, 2]
    sigma = np.sqrt(np.einsum("is,ij,js->s", targets, problem.covariance / 5.0, targets))
    given: dict[str, Any] = {
        "names": tuple(f"s/{i}" for i in range(s)),
        "targets": targets / sigma,
        "size_max": np.full(s, 0.02),
        "wished": rng.uniform(0.0, 0.03, s),
        "wish_weight": np.full(s, 2.0),
        "house_weight": 0.5,
    }
    return Sleeves(**{**given, **changes})


def charged(make: Make, kinds: tuple[str, ...], state: str, n: int) -> AllocationProblem:
    rng = np.random.default_rng(n)
    held = np.where(rng.random(n) < 0.5, rng.uniform(0.0, 1.2 / max(n, 10), n), 0.0)
    fields = {"filled": held, "cash": 1.0 - float(held.sum()), **STATES[state]}
    base = make(n, position_max=0.2, **fields)
    base = replace(base, mu=base.mu + 0.01)
    given: dict[str, Any] = {}
    for kind in kinds:
        if kind in CHARGES:
            given |= CHARGES[kind](rng, n)
    problem = replace(base, charges=Charges(**given))
    if "sleeves" in kinds:
        problem = replace(problem, sleeves=sleeves_of(problem, rng))
    return problem


VOLATILITY = WeightLimit(
    "volatility", "volatility", ("",), np.zeros((1, 1)), np.full(1, -np.inf), np.full(1, 0.005), 0
)
SETS = [*((name,) for name in CHARGES), ("sleeves",), ALL, (*ALL, "sleeves")]


@pytest.mark.parametrize("n", [1, 6, 40])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kinds", SETS, ids=lambda kinds: "+".join(kinds)[:30])
def test_the_answer_is_the_reference_s_and_its_forces_add_up(
    make: Make, kinds: tuple[str, ...], state: str, n: int
) -> None:
    p = charged(make, kinds, state, n)
    answer = ALLOCATOR.allocate(p)
    if state == "halted":
        assert not answer.trades.any()
        return
    assert answer.rung == "solved", answer.remarks
    sizes = best_sizes(p, answer.continuous)
    assert abs(objective(p, answer.continuous, sizes) - reference(p)) <= HUNDREDTH_BP
    assert answer.gap <= HUNDREDTH_BP
    total = np.sum([force.pulls for force in answer.forces], axis=0)
    assert np.abs(total).max() <= RESIDUAL


@pytest.mark.parametrize("kinds", SETS, ids=lambda kinds: "+".join(kinds)[:30])
def test_the_fast_way_needs_no_other(make: Make, kinds: tuple[str, ...]) -> None:
    for state in ("long only", "shorts", "cash binds", "turnover binds"):
        answer = ALLOCATOR.allocate(charged(make, kinds, state, 40))
        assert answer.solver == "PIQP", (state, answer.remarks)


@pytest.mark.parametrize("kinds", SETS, ids=lambda kinds: "+".join(kinds)[:30])
def test_the_model_through_cvxpy_agrees(make: Make, kinds: tuple[str, ...]) -> None:
    p = charged(make, kinds, "shorts", 12)
    ours = optimise_segments(p, make_room(p), SETTINGS)
    model = optimise_model(p, make_room(p), SHELF, SETTINGS, "CLARABEL")
    assert model.gap <= HUNDREDTH_BP
    assert abs(
        objective(p, ours.trades, ours.sizes) - objective(p, model.trades, model.sizes)
    ) <= HUNDREDTH_BP / 10  # fmt: skip


@pytest.mark.parametrize("kinds", [("impact", "square", "robustness", "borrow"), (*ALL, "sleeves")])
def test_no_trades_beat_the_bound_whatever_the_prices(make: Make, kinds: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    p = charged(make, kinds, "shorts", 8)
    room = make_room(p)
    found = optimise_segments(p, room, SETTINGS)
    low, high = room.box
    best = objective(p, found.trades, found.sizes)
    for _ in range(200):
        where = np.clip(found.trades + rng.normal(size=8) * 0.05, low, high)
        sizes = found.sizes
        if p.sleeves is not None:
            sizes = np.clip(sizes + rng.normal(size=len(sizes)) * 0.01, 0.0, p.sleeves.size_max)
        prices = replace(
            found.prices, cash=float(rng.uniform(0, 0.02)), gross=float(rng.uniform(0, 0.01))
        )
        assert upper_bound(p, room, where, prices, sizes) >= best - 1e-12


@pytest.mark.parametrize("kinds", [ALL, (*ALL, "sleeves")])
def test_slopes_are_those_of_finite_differences(make: Make, kinds: tuple[str, ...]) -> None:
    p = charged(make, kinds, "shorts", 6)
    bare = replace(
        p, cost_buy=p.cost_buy * 0, cost_sell=p.cost_sell * 0,
        charges=replace(
            p.charges, impact=None, robustness=None, borrow=None, turnover=0.0, linear_buy=None,
            linear_sell=None,
        ),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    z = rng.normal(size=6) * 0.02
    a = np.zeros(0) if p.sleeves is None else rng.uniform(0, 0.02, 4)
    for slope, at in ((marginal_value(bare, z, a), z), (size_slopes(bare, z, a), a)):
        for i in range(len(at)):
            step = np.zeros_like(at)
            step[i] = 1e-6
            more, less = (
                objective(bare, *((z + side * step, a) if at is z else (z, a + side * step)))
                for side in (1.0, -1.0)
            )
            assert slope[i] == pytest.approx((more - less) / 2e-6, abs=1e-7)


def test_impact_is_paid_from_cash(make: Make) -> None:
    p = make(5, mu=0.3, position_max=1.0, cash_floor=0.2)
    p = replace(p, charges=Charges(impact=np.full(5, 0.1)))
    answer = ALLOCATOR.allocate(p)
    bought = answer.continuous
    spent = float(bought.sum() + p.cost_buy @ bought + (0.1 * bought**1.5).sum())
    assert spent == pytest.approx(0.8, abs=1e-7)


def test_a_breached_cash_floor_is_restored_with_impact_counted(make: Make) -> None:
    p = make(6, filled=0.2, cash=-0.2, cash_floor=0.05, gross_max=2.0)
    p = replace(p, charges=Charges(impact=np.full(6, 0.08)))
    answer = ALLOCATOR.allocate(p)
    assert answer.rung == "relaxed"
    assert answer.violation <= 1e-6


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("robustness", lambda w, z, cov: np.abs(w).sum()),
        ("turnover", lambda w, z, cov: np.abs(z).sum()),
        ("impact", lambda w, z, cov: (np.abs(z) ** 1.5).sum()),
        ("impact_square", lambda w, z, cov: (z**2).sum()),
        ("diversification", lambda w, z, cov: np.diag(cov) @ w**2),
        ("tracking", lambda w, z, cov: (w - 1 / 12) @ cov @ (w - 1 / 12)),
        ("borrow", lambda w, z, cov: np.maximum(-w, 0.0).sum()),
    ],
)
def test_more_of_a_charge_never_gets_more_of_what_it_charges(
    make: Make, name: str, measure: Callable[[Floats, Floats, Floats], float]
) -> None:
    base = charged(make, (), "shorts", 12)
    used = []
    for much in (0.0, 0.5, 1.0, 2.0, 4.0):
        unit = np.full(12, 0.002)
        scalars = {"turnover": 0.002, "diversification": 2.0, "tracking": 4.0}
        given: dict[str, Any] = {name: much * scalars.get(name, unit)}
        if name == "tracking":
            given["benchmark"] = np.full(12, 1 / 12)
        z = ALLOCATOR.allocate(replace(base, charges=Charges(**given))).continuous
        used.append(float(measure(base.start + z, z, base.covariance)))
    assert all(later <= before + 1e-9 for before, later in pairwise(used))
    assert used[-1] < used[0]


def test_factors_give_what_the_whole_covariance_gives(make: Make) -> None:
    rng = np.random.default_rng(3)
    rows, rest = rng.normal(size=(3, 20)) * 0.02, rng.uniform(5e-4, 2e-3, 20)
    factors = RiskEstimate(rows, rest, 0.0, 100.0, 3)
    whole = make(20, covariance=factors.covariance(), position_max=0.2)
    split = replace(whole, factors=factors)
    for solver in ("PIQP", "CLARABEL"):
        settings = SolverSettings(solver=solver)
        one, other = (CvxAllocator(settings).allocate(p) for p in (whole, split))
        assert np.abs(one.continuous - other.continuous).max() <= 1e-5
        assert one.objective_continuous == pytest.approx(other.objective_continuous, abs=1e-9)


def test_limits_of_a_mandate_hold_beside_all_charges(make: Make) -> None:
    p = charged(make, (*ALL, "sleeves"), "shorts", 12)
    halves = np.stack([np.arange(12) < 6, np.arange(12) >= 6]).astype(float)
    limits = (
        WeightLimit("sectors", "linear", ("a", "b"), halves, np.full(2, -0.1), np.full(2, 0.15), 0),
        WeightLimit("leverage", "gross", ("",), np.ones((1, 12)), np.full(1, -np.inf),
                    np.full(1, 0.5), 0),
    )  # fmt: skip
    p = replace(p, limits=limits, filled=p.filled * 0.2, cash=1.0 - 0.2 * float(p.filled.sum()))
    answer = ALLOCATOR.allocate(p)
    sizes = best_sizes(p, answer.continuous)
    assert abs(objective(p, answer.continuous, sizes) - reference(p)) <= HUNDREDTH_BP
    total = np.sum([force.pulls for force in answer.forces], axis=0)
    assert np.abs(total).max() <= RESIDUAL


# -- sleeves ------------------------------------------------------------------------------------


def test_a_strategy_s_budget_bounds_its_size_and_the_house_takes_the_rest(make: Make) -> None:
    p = charged(make, ("sleeves",), "shorts", 12)
    assert p.sleeves is not None
    tight = replace(p, sleeves=replace(p.sleeves, size_max=np.full(4, 0.001)))
    answer = ALLOCATOR.allocate(tight)
    assert (answer.sizes <= 0.001 + 1e-12).all()
    assert (answer.sizes >= 0.0).all()


def test_opposite_strategies_net_before_anything_is_traded(make: Make) -> None:
    p = make(8, mu=0.0, position_min=-0.5, gross_max=3.0)
    wished = np.array([0.0, 0.0, 0.01, 0.01])
    sleeves = sleeves_of(p, np.random.default_rng(8), wished=wished, wish_weight=np.full(4, 50.0))
    answer = ALLOCATOR.allocate(replace(p, sleeves=sleeves))
    assert np.abs(answer.continuous).sum() <= 1e-6
    assert answer.sizes[2] == pytest.approx(0.01, rel=1e-3)
    assert answer.sizes[3] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("state", ["long only", "shorts", "cash binds"])
def test_the_house_book_s_bound_is_kept_where_it_can_be(make: Make, state: str) -> None:
    p = charged(make, ("sleeves",), state, 12)
    assert p.sleeves is not None
    free = ALLOCATOR.allocate(p)
    used = np.abs(p.start + free.continuous - p.sleeves.targets @ free.sizes).sum()
    bound = replace(p, sleeves=replace(p.sleeves, house_max=0.7 * float(used)))
    answer = ALLOCATOR.allocate(bound)
    assert answer.rung == "solved", answer.remarks
    book = np.abs(p.start + answer.continuous - p.sleeves.targets @ answer.sizes).sum()
    assert book <= 0.7 * used + 1e-6
    assert abs(answer.objective_continuous - reference(bound)) <= HUNDREDTH_BP
    total = np.sum([force.pulls for force in answer.forces], axis=0)
    assert np.abs(total).max() <= 1e-5


def test_the_house_book_s_bound_gives_way_before_any_other(make: Make) -> None:
    p = charged(make, ("sleeves",), "long only", 12)
    assert p.sleeves is not None
    must = replace(p, position_min=np.full(12, 0.02), cash_floor=0.05, gross_max=1.5)
    none = replace(must, sleeves=replace(p.sleeves, house_max=0.0, size_max=np.zeros(4)))
    answer = ALLOCATOR.allocate(none)
    assert answer.rung == "relaxed"
    assert any("house_max" in remark for remark in answer.remarks)
    assert answer.violation <= 1e-6


@pytest.mark.parametrize("seed", range(60))
def test_forces_add_up_where_a_volatility_limit_binds_beside_impact(make: Make, seed: int) -> None:
    p = make(4, position_min=-0.2, position_max=0.2, gross_max=2.0, cash_floor=-1.0)
    rng = np.random.default_rng(seed)
    limit = replace(VOLATILITY, rows=np.zeros((1, 4)))
    p = replace(
        p, mu=rng.normal(size=4) * 0.01, limits=(limit,), charges=Charges(impact=np.full(4, 0.02))
    )
    answer = ALLOCATOR.allocate(p)
    total = np.sum([force.pulls for force in answer.forces], axis=0)
    assert np.abs(total).max() <= RESIDUAL


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_impact_s_weight_counts_in_the_objective_and_cash_pays_it_whole(
    make: Make, weight: float
) -> None:
    p = charged(make, ("impact",), "cash binds", 6)
    p = replace(p, charges=replace(p.charges, impact_weight=weight), mu=p.mu + 0.05)
    answer = ALLOCATOR.allocate(p)
    assert abs(answer.objective_continuous - reference(p)) <= HUNDREDTH_BP
    total = np.sum([force.pulls for force in answer.forces], axis=0)
    assert np.abs(total).max() <= RESIDUAL
    assert p.charges.impact is not None
    z = answer.continuous
    costs = p.cost_buy @ np.maximum(z, 0.0) + p.cost_sell @ np.maximum(-z, 0.0)
    paid = float(z.sum() + costs + (p.charges.impact * np.abs(z) ** 1.5).sum())
    assert p.cash - paid >= p.cash_floor - 1e-7


def test_costs_that_are_taken_back_whole_are_no_fault(make: Make) -> None:
    buy, sell = 0.00025, 0.0003
    p = make(3, cost_buy=buy, cost_sell=sell)
    back = Charges(linear_buy=np.full(3, -buy) - 1e-20, linear_sell=np.full(3, -sell))
    assert ALLOCATOR.allocate(replace(p, charges=back)).rung == "solved"


def test_how_far_the_house_book_is_used_is_read_after_lots_too(make: Make) -> None:
    p = charged(make, ("sleeves",), "shorts", 12)
    assert p.sleeves is not None
    p = replace(p, lot_weight=np.full(12, 0.05), sleeves=replace(p.sleeves, house_max=0.05))
    answer = ALLOCATOR.allocate(p)
    (reading,) = [one for one in answer.limits if one.limit == "house_max"]
    assert p.sleeves is not None
    book = p.start + answer.trades - p.sleeves.targets @ answer.sizes
    assert reading.used == pytest.approx(float(np.abs(book).sum()))
    assert any("house_max" in remark for remark in answer.remarks) == (reading.used > 0.0501)


def test_how_arrays_lie_in_memory_changes_no_bit(make: Make) -> None:
    p = charged(make, ("impact", "robustness"), "shorts", 12)
    wide = np.zeros((12, 24))
    wide[:, ::2] = p.covariance
    strided = replace(p, covariance=wide[:, ::2], mu=np.repeat(p.mu, 2)[::2])
    fortran = replace(p, covariance=np.asfortranarray(p.covariance))
    first, *others = [ALLOCATOR.allocate(one).trades.tobytes() for one in (p, strided, fortran)]
    assert others == [first, first]
    single = ALLOCATOR.allocate(replace(p, mu=p.mu.astype(np.float32)))
    assert single.rung == "solved"
    with pytest.raises(ProblemError, match="mu"):
        ALLOCATOR.allocate(replace(p, mu=np.array(["a"] * 12)))


def test_both_sides_of_an_equality_beside_impact_are_solved_in_one_programme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An interior point prices both sides; two equations that say the same may never end."""
    solves: list[Solution] = []

    def counted(*given: Any) -> Solution:
        solves.append(solve_parts(*given))
        return solves[-1]

    monkeypatch.setattr(curved_module, "solve_parts", counted)
    rounds = [qp.problem_of(one) for one in qp.draw(20, rounds=60, impact=True)]
    for p in rounds:
        found = optimise_segments(p, make_room(p), SETTINGS)
        assert abs(found.gap) <= 1e-12
        assert abs(float(found.trades.sum())) <= 1e-12
    assert len(solves) == len(rounds)
