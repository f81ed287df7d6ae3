"""States that no trades can put right, or not at once, by the name a portfolio manager gives them.

Shared by the tests of the allocator and by the bench that puts the same states to its peers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from coordinator.core.ports import AllocationProblem, WeightLimit
from tests.support.limit_reference import limit
from tests.unit.solver.conftest import build

__all__ = ["STATES", "N"]

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
