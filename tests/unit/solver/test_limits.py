"""Each kind of limit, alone and together, against the same problem stated plainly."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, LimitReading, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver.by_model import optimise_model
from coordinator.solver.room import make_room
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solve import optimise
from tests.support.limit_reference import limit, state, violations

from .conftest import Make, build

SETTINGS = SolverSettings()
ALLOCATOR = CvxAllocator(SETTINGS)
N = 12
SECTORS = np.kron(np.eye(3), np.ones(4))
FACTOR = np.linspace(-2.0, 2.0, N)
HUNDREDTH_BP = 1e-6

KINDS = {
    "linear": limit("linear", SECTORS, n=N, upper=[0.2, 0.15, 0.3], lower=[0.05, -0.05, -0.1]),
    "factor": limit("linear", FACTOR, n=N, upper=0.15, lower=-0.15, name="factor"),
    "gross": limit("gross", SECTORS, n=N, upper=[0.25, 0.2, 0.4]),
    "volatility": limit("volatility", n=N, upper=0.012),
    "turnover": limit("turnover", n=N, upper=0.2),
    "cash": limit("cash", n=N, lower=0.35),
}
SETS = [set_ for size in (1, 2, 3, 6) for set_ in combinations(KINDS, size)]


def problem(*kinds: str, working: bool = False) -> AllocationProblem:
    rng = np.random.default_rng(3)
    p = build(
        N, mu=rng.normal(size=N) * 0.02 + 0.005, filled=np.full(N, 0.03), cash=0.64,
        position_min=-0.3, gross_max=1.4, limits=tuple(KINDS[kind] for kind in kinds),
    )  # fmt: skip
    if not working:
        return p
    return replace(
        p,
        working_buys=np.where(np.arange(N) % 3 == 0, 0.01, 0.0),
        working_sells=np.where(np.arange(N) % 4 == 0, -0.02, 0.0),
    )


@pytest.mark.parametrize("working", [False, True])
@pytest.mark.parametrize("kinds", SETS, ids="+".join)
def test_the_answer_is_that_of_the_plain_statement(kinds: tuple[str, ...], working: bool) -> None:
    p = problem(*kinds, working=working)
    answer, stated = ALLOCATOR.allocate(p), state(p)
    best = stated.best([0.0] * len(stated.rows))
    assert np.isfinite(best)
    assert abs(answer.objective_continuous - best) <= HUNDREDTH_BP
    assert max(excess for _, excess in violations(p, answer.trades).values()) <= 2e-7


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_the_answer(kind: str) -> None:
    free = ALLOCATOR.allocate(problem()).objective_continuous
    assert ALLOCATOR.allocate(problem(kind)).objective_continuous < free - 1e-4


@pytest.mark.parametrize("kinds", [set_ for set_ in SETS if "volatility" not in set_], ids="+".join)
def test_segments_and_the_model_agree(kinds: tuple[str, ...]) -> None:
    p, shelf = problem(*kinds, working=True), ModelShelf(4)
    room = make_room(p)
    one = optimise(p, room, shelf, SETTINGS, "PIQP")
    other = optimise_model(p, room, shelf, SETTINGS, "CLARABEL")
    for found in (one, other):
        assert found.gap <= HUNDREDTH_BP
        assert found.excess <= HUNDREDTH_BP
    assert np.allclose(one.prices.linear, other.prices.linear, atol=1e-5)
    assert np.allclose(one.prices.groups, other.prices.groups, atol=1e-5)


def readings(p: AllocationProblem, name: str) -> list[LimitReading]:
    return [one for one in ALLOCATOR.allocate(p).limits if one.limit == name]


def moved(given: WeightLimit, step: float) -> WeightLimit:
    """The limit with every bound changed."""
    return replace(given, lower=given.lower + step, upper=given.upper + step)


@pytest.mark.parametrize("kind", KINDS)
def test_shadow_prices_of_a_limit_are_what_moving_its_bounds_gains(kind: str) -> None:
    p, step = problem(kind), 1e-5
    prices = sum(one.shadow_price for one in readings(p, KINDS[kind].name))
    values = [
        ALLOCATOR.allocate(replace(p, limits=(moved(KINDS[kind], at),))).objective_continuous
        for at in (step, -step)
    ]
    assert abs(prices) > 1e-3
    assert prices == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-2)


def test_a_reading_names_row_side_use_and_bound_in_the_limits_own_unit() -> None:
    p = problem("factor")
    upper, lower = readings(p, "factor")
    w = p.filled + ALLOCATOR.allocate(p).trades
    assert (upper.side, lower.side, upper.bound, lower.bound) == ("upper", "lower", 0.15, -0.15)
    assert upper.used == lower.used == pytest.approx(FACTOR @ w)
    assert upper.shadow_price >= 0.0 >= lower.shadow_price
    rows = readings(problem("linear"), "linear")
    assert [(one.label, one.side) for one in rows] == [
        (label, side) for label in ("r0", "r1", "r2") for side in ("upper", "lower")
    ]


def test_every_force_on_every_trade_adds_up() -> None:
    """gamma Sigma w = mu - cost - the rows' prices, at each name that is inside its own bounds."""
    p = problem(*KINDS)
    answer = ALLOCATOR.allocate(p)
    z, w = answer.continuous, p.filled + answer.continuous
    force = p.mu - p.risk_aversion * p.covariance @ w
    force -= np.where(z > 0, p.cost_buy, -p.cost_sell)
    for one in answer.limits:
        row = {"r0": 0, "r1": 1, "r2": 2}.get(one.label or "", 0)
        if one.limit in ("linear", "gross") and one.instrument is None:
            sign = np.sign(w) if one.limit == "gross" else 1.0
            force -= one.shadow_price * SECTORS[row] * sign
        elif one.limit == "factor":
            force -= one.shadow_price * FACTOR
        elif one.limit == "volatility":
            force -= one.shadow_price * (p.covariance @ w) / np.sqrt(w @ p.covariance @ w)
        elif one.limit in ("turnover", "turnover_max"):
            force -= one.shadow_price * np.sign(z) / 2
        elif one.limit in ("cash", "cash_floor"):
            force += one.shadow_price * (1 + np.where(z > 0, p.cost_buy, -p.cost_sell))
        elif one.limit == "gross_max":
            force -= one.shadow_price * np.sign(w)
    inside = (np.abs(z) > 1e-5) & (np.abs(w) > 1e-5) & (w > p.position_min + 1e-5)
    assert inside.sum() >= 4
    assert np.abs(force[inside]).max() <= 1e-6


def test_of_two_bounds_on_one_sum_the_tighter_has_the_price(make: Make) -> None:
    p = make(3, mu=0.05, cash_floor=0.1, limits=(limit("cash", n=3, lower=0.3),))
    by_name = {one.limit: one.shadow_price for one in ALLOCATOR.allocate(p).limits}
    assert by_name["cash_floor"] == 0.0
    assert by_name["cash"] < -1e-3
    loose = replace(p, limits=(limit("cash", n=3, lower=0.05),))
    by_name = {one.limit: one.shadow_price for one in ALLOCATOR.allocate(loose).limits}
    assert by_name["cash_floor"] < -1e-3
    assert by_name["cash"] == 0.0


def test_a_volatility_limit_that_does_not_bind_needs_no_cone() -> None:
    p = replace(problem(), limits=(limit("volatility", n=N, upper=5.0),))
    answer = ALLOCATOR.allocate(p)
    assert (answer.rung, answer.solver, answer.remarks) == ("solved", "PIQP", ())
    assert answer.trades.tobytes() == ALLOCATOR.allocate(problem()).trades.tobytes()


def test_a_limit_without_bounds_changes_nothing() -> None:
    p = replace(problem(), limits=(limit("linear", SECTORS, n=N),))
    assert ALLOCATOR.allocate(p).trades.tobytes() == ALLOCATOR.allocate(problem()).trades.tobytes()


def test_rows_of_any_scale_give_the_same_trades() -> None:
    small = limit("linear", SECTORS * 1e-7, n=N, upper=np.array([0.2, 0.1, 0.3]) * 1e-7)
    large = limit("linear", SECTORS * 1e9, n=N, upper=np.array([0.2, 0.1, 0.3]) * 1e9)
    trades = [
        ALLOCATOR.allocate(replace(problem(), limits=(one,))).trades for one in (small, large)
    ]
    assert np.allclose(trades[0], trades[1], atol=1e-9)


def test_working_trades_count_whichever_fill(make: Make) -> None:
    p = make(
        2, mu=0.05, filled=[0.1, 0.0], working_buys=[0.05, 0.0], working_sells=[0.0, -0.1],
        cash=2.0, gross_max=3.0, position_min=-1.0,
        limits=(limit("linear", [1.0, 1.0], n=2, upper=0.4, lower=0.1),),
    )  # fmt: skip
    answer = ALLOCATOR.allocate(p)
    assert answer.trades.sum() == pytest.approx(0.4 - 0.15, abs=1e-6)  # all buys, no sell fills
    short = ALLOCATOR.allocate(replace(p, mu=np.full(2, -0.05)))
    assert short.trades.sum() == pytest.approx(0.1 - (0.1 - 0.1), abs=1e-6)  # the sell alone fills


def test_names_left_out_at_first_join_where_a_floor_needs_them(make: Make) -> None:
    rows = np.zeros(120)
    rows[100:] = 1.0
    p = make(
        120, mu=np.where(rows > 0, -0.02, 0.02), limits=(limit("linear", rows, n=120, lower=0.1),)
    )
    answer, stated = ALLOCATOR.allocate(p), state(p)
    assert answer.trades[100:].sum() == pytest.approx(0.1, abs=1e-6)
    assert answer.objective_continuous >= stated.best([0.0]) - HUNDREDTH_BP
