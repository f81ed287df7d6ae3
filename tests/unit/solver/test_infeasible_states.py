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

from coordinator.core.ports import AllocationProblem, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver.violations import measure
from tests.support.limit_reference import limit, state, violations

from .conftest import build

ALLOCATOR = CvxAllocator(SolverSettings())
N = 6
TECH = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
BANKS = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
ALL = [1.0] * N


def held(**changes: Any) -> AllocationProblem:
    """Six names of a tenth each and two fifths of cash."""
    base: dict[str, Any] = {"mu": np.linspace(0.02, -0.01, N), "filled": 0.1, "cash": 0.4}
    return build(N, **{**base, **changes})


def linear(rows: list[float], **given: Any) -> WeightLimit:
    return limit("linear", rows, n=N, **given)


STATES: dict[str, AllocationProblem] = {
    "sector_over_after_a_rally": held(limits=(linear(TECH, upper=0.2),)),
    "sector_over_and_every_name_of_it_halted": held(
        limits=(linear(TECH, upper=0.2),), trade_max=[0, 0, 0, 1, 1, 1]
    ),
    "sector_over_and_too_little_liquidity": held(limits=(linear(TECH, upper=0.1),), trade_max=0.02),
    "sector_over_and_turnover_used_up": held(
        limits=(linear(TECH, upper=0.2), limit("turnover", n=N, upper=0.01))
    ),
    "sector_over_with_sells_working": held(
        limits=(linear(TECH, upper=0.2),), working_sells=[-0.1, 0, 0, 0, 0, 0]
    ),
    "sector_over_only_if_working_buys_fill": held(
        limits=(linear(TECH, upper=0.32),), working_buys=[0.05, 0, 0, 0, 0, 0]
    ),
    "sector_over_and_lots_too_coarse": held(limits=(linear(TECH, upper=0.28),), lot_weight=0.04),
    "sector_under_and_no_cash_to_buy": held(
        limits=(linear(BANKS, lower=0.5),), cash=0.0, trade_max=[0, 0, 0, 1, 1, 1]
    ),
    "sector_under_and_position_limits_in_the_way": held(
        limits=(linear(BANKS, lower=0.5),), position_max=0.12
    ),
    "sector_floors_add_up_to_more_than_all": held(
        limits=(linear(TECH, lower=0.7, name="tech"), linear(BANKS, lower=0.7, name="banks"))
    ),
    "sector_floor_above_its_own_cap": held(limits=(linear(TECH, lower=0.5, upper=0.2),)),
    "two_limits_that_contradict_each_other": held(
        limits=(linear(ALL, upper=0.3, name="low"), linear(ALL, lower=0.8, name="high"))
    ),
    "sector_without_any_instrument_with_a_floor": held(limits=(linear([0.0] * N, lower=0.1),)),
    "net_must_be_zero_in_a_long_only_book": held(limits=(linear(ALL, upper=0.0, lower=0.0),)),
    "factor_out_of_bounds_both_ways": held(
        limits=(
            linear([2.0, 1.0, 0.5, -0.5, -1.0, -2.0], upper=-0.1, name="value"),
            linear([-2.0, -1.0, 0.5, 0.5, 1.0, 2.0], upper=-0.1, name="growth"),
        )
    ),
    "group_gross_over_with_shorts": held(
        filled=[0.3, -0.3, 0, 0, 0, 0], cash=1.0, position_min=-0.5, gross_max=2.0,
        limits=(limit("gross", TECH, n=N, upper=0.2),), trade_max=0.1,
    ),
    "group_gross_over_and_names_not_borrowable": held(
        filled=[0.3, -0.3, 0, 0, 0, 0], cash=1.0, position_min=-0.3, gross_max=2.0,
        limits=(limit("gross", TECH, n=N, upper=0.2),), trade_max=[1, 0, 0, 0, 0, 0],
    ),
    "gross_over_and_sector_floor_needs_more": held(
        gross_max=0.5, limits=(linear(BANKS, lower=0.45),)
    ),
    "volatility_over_in_a_crisis": held(
        covariance=np.full((N, N), 0.04) + 0.01 * np.eye(N),
        limits=(limit("volatility", n=N, upper=0.02),),
    ),
    "volatility_over_and_everything_halted_but_one": held(
        limits=(limit("volatility", n=N, upper=0.001),), trade_max=[0.05, 0, 0, 0, 0, 0]
    ),
    "volatility_below_what_must_hold_allows": held(
        position_min=0.08, limits=(limit("volatility", n=N, upper=0.001),)
    ),
    "volatility_limit_of_zero": held(limits=(limit("volatility", n=N, upper=0.0),)),
    "volatility_and_sector_floor_contradict": held(
        limits=(limit("volatility", n=N, upper=0.003), linear(TECH, lower=0.6))
    ),
    "cash_below_its_floor_and_turnover_small": held(
        cash=0.0, limits=(limit("cash", n=N, lower=0.3), limit("turnover", n=N, upper=0.05))
    ),
    "cash_floor_that_costs_make_unreachable": held(
        cash=0.39, limits=(limit("cash", n=N, lower=1.0),), cost_sell=0.02
    ),
    "cash_floor_and_full_investment_contradict": held(
        limits=(limit("cash", n=N, lower=0.5), linear(ALL, lower=0.9))
    ),
    "overdrawn_after_a_redemption": held(cash=-0.2, limits=(linear(ALL, lower=0.5),)),
    "turnover_budget_overdrawn": held(limits=(limit("turnover", n=N, upper=-0.1),)),
    "everything_halted_and_everything_broken": held(
        trade_max=0.0, cash=-0.1,
        limits=(linear(TECH, upper=0.1), limit("cash", n=N, lower=0.5)),
    ),
    "restricted_name_held_that_a_floor_wants": held(
        position_max=[0, 1, 1, 1, 1, 1], limits=(linear([1.0, 0, 0, 0, 0, 0], lower=0.1),)
    ),
    "position_over_and_its_sector_under": held(
        position_max=0.05, limits=(linear(TECH, lower=0.25),)
    ),
    "every_kind_broken_at_once": held(
        filled=0.3, cash=-0.8, position_max=0.1, gross_max=0.5, trade_max=0.05,
        limits=(
            linear(TECH, upper=0.1), limit("gross", BANKS, n=N, upper=0.1),
            limit("volatility", n=N, upper=0.001), limit("cash", n=N, lower=0.2),
        ),
    ),
}  # fmt: skip


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
