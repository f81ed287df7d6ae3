"""A problem under its mandate: boxes and who gave them, rows with names, bounds and tiers."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.core.allocate import Situation, situation
from coordinator.core.boxes import still_to_reach
from coordinator.core.limits import surplus_share
from coordinator.core.ports import WeightLimit
from coordinator.core.state import OpenTrade, State
from coordinator.learning import ChosenRisk
from schemas.mandates import (
    FactorBound,
    LotMultiple,
    Mandate,
    MustHold,
    PositionBound,
    SectorBound,
    SoftLimit,
)
from tests.journals import T0, Inputs
from tests.unit.core.planted import state_of, view


def planted(**fields: Any) -> State:
    """A held at a tenth of 10,000, B being bought for a tenth; A of Tech, B of nothing known."""
    make = Inputs()
    exposures = [{"factor": "value", "exposure": 2.0}]
    state = state_of(
        make.listed("A", sector="Tech", factors=exposures), make.listed("B"), make.listed("C"),
        make.registered("s"), make.opened("p"),
        make.close({"A": 10.0, "B": 20.0, "C": 40.0}, T0),
    )  # fmt: skip
    portfolio = state.portfolios["p"]
    portfolio.positions = {"A": Decimal(100)}
    portfolio.accounts["USD"].cash = Decimal(9000)
    portfolio.open_trades = {"1": OpenTrade("1", "p:1", "B", Decimal(50))}
    portfolio.mandate = Mandate(**fields)
    made = view()
    state.views[made.key] = made
    return state


def of(state: State) -> Situation:
    found = situation(state, state.portfolios["p"], ChosenRisk())
    assert found is not None
    return found


def rows_of(**fields: Any) -> dict[str, WeightLimit]:
    limits = of(planted(**fields)).problem.limits
    assert len({limit.name for limit in limits}) == len(limits)
    return {limit.name: limit for limit in limits}


def soft(limit: Any, priority: int = 1, about: str | None = None) -> SoftLimit:
    return SoftLimit(limit=limit, about=about, priority=priority)


def test_a_mandate_of_old_fields_has_no_rows() -> None:
    found = of(planted(position_max=0.3, position_min=-0.1, gross_max=0.9))
    assert found.problem.limits == ()
    assert found.problem.position_max.tolist() == [0.3, 0.3]
    assert found.problem.position_min.tolist() == [-0.1, -0.1]
    assert found.boxes.upper_by == ("position_max", "position_max")
    assert found.boxes.trade_by == ("trade_max", "trade_max")


def test_own_bounds_take_the_place_of_the_general_ones_side_by_side() -> None:
    bound = PositionBound(instrument="A", max=0.25)
    found = of(planted(position_max=0.1, positions=(bound,)))
    assert found.problem.position_max.tolist() == [0.25, 0.1]
    assert found.problem.position_min.tolist() == [0.0, 0.0]
    assert found.boxes.upper_by == ("positions", "position_max")
    assert found.boxes.lower_by == ("position_min", "position_min")


def test_what_must_be_held_is_in_the_problem_though_nobody_speaks_of_it() -> None:
    found = of(planted(must_hold=(MustHold(instrument="C", min=0.05),)))
    assert found.problem.instruments == ("A", "B", "C")
    assert found.problem.position_min.tolist() == [0.0, 0.0, 0.05]
    assert found.boxes.lower_by[2] == "must_hold"
    short = PositionBound(instrument="C", min=-0.2, max=-0.1)
    assert of(planted(positions=(short,))).problem.position_max.tolist() == [0.1, 0.1, -0.1]


def test_an_unlisted_name_that_must_be_held_is_waited_for() -> None:
    found = of(planted(must_hold=(MustHold(instrument="Z", min=0.05),)))
    assert found.problem.instruments == ("A", "B")


def test_restricted_names_may_only_fall_to_nothing() -> None:
    found = of(planted(position_max=0.5, position_min=-0.5, restricted=("A", "B")))
    assert found.problem.position_max == pytest.approx([0.1, 0.1])  # held, and on its way
    assert found.problem.position_min.tolist() == [0.0, 0.0]
    assert found.boxes.upper_by == found.boxes.lower_by == ("restricted", "restricted")
    state = planted(position_max=0.5, position_min=-0.5, restricted=("A",))
    state.portfolios["p"].positions = {"A": Decimal(-100)}
    state.portfolios["p"].accounts["USD"].cash = Decimal(11_000)
    problem = of(state).problem
    assert (problem.position_min[0], problem.position_max[0]) == pytest.approx((-0.1, 0.0))


def test_a_position_is_no_larger_than_can_be_sold_in_the_days_allowed() -> None:
    """A million units a session; a tenth of it in a ten-thousandth of a session is ten units."""
    fields: dict[str, Any] = {"days_to_liquidate_max": 1e-4, "position_max": 0.5}
    found = of(planted(**fields))
    assert found.problem.position_max == pytest.approx([100 / 10_000, 200 / 10_000])
    assert found.boxes.upper_by == ("days_to_liquidate_max",) * 2
    wider = of(planted(**fields, participation=0.2, position_min=-0.5)).problem
    assert wider.position_min == pytest.approx([-0.02, -0.04])


def test_what_has_no_known_volume_may_not_be_increased() -> None:
    state = planted(days_to_liquidate_max=5.0, position_max=0.5)
    state.market.volumes[:, :2] = np.nan
    problem = of(state).problem
    assert problem.position_max == pytest.approx([0.1, 0.1])
    assert problem.position_min.tolist() == [0.0, 0.0]
    state.portfolios["p"].mandate = Mandate(volume_share_max=0.01, position_max=0.5)
    found = of(state)
    assert found.problem.position_max == pytest.approx([0.1, 0.1])
    assert found.boxes.upper_by == ("volume_share_max",) * 2
    assert (found.problem.trade_max > 1.0).all()  # it may be sold as fast as anybody likes


def test_a_trade_is_no_larger_than_its_share_of_the_volume() -> None:
    found = of(planted(volume_share_max=1e-5))
    assert found.problem.trade_max == pytest.approx([100 / 10_000, 200 / 10_000])
    assert found.boxes.trade_by == ("volume_share_max",) * 2
    state = planted(volume_share_max=1e-5)
    state.market.instruments["A"].halted = True
    halted = of(state)
    assert halted.problem.trade_max[0] == 0.0
    assert halted.boxes.trade_by == ("trade_max", "volume_share_max")


def test_sectors_and_factors_are_rows_over_their_instruments() -> None:
    rows = rows_of(
        sectors=(SectorBound(sector="Steel", max=0.1), SectorBound(sector="Tech", max=0.3)),
        factors=(FactorBound(factor="market", max=1.2), FactorBound(factor="value", min=-0.1)),
    )
    assert rows["sectors"].labels == ("Tech",)  # nobody of Steel is there to be traded
    assert rows["sectors"].rows.tolist() == [[1.0, 0.0]]
    assert (rows["sectors"].lower.tolist(), rows["sectors"].upper.tolist()) == ([-math.inf], [0.3])
    assert rows["factors"].labels == ("market", "value")
    assert rows["factors"].rows[1].tolist() == [2.0, 0.0]
    assert rows["factors"].rows[0] == pytest.approx([1.0, 1.0])
    assert rows["factors"].lower.tolist() == [-math.inf, -0.1]
    assert {limit.tier for limit in rows.values()} == {0}


def test_totals_are_single_rows_of_their_kind() -> None:
    rows = rows_of(net_min=-0.2, net_max=0.4, leverage_max=1.5, volatility_max=0.1)
    kinds = {name: limit.kind for name, limit in rows.items()}
    assert kinds == {"net_min": "linear", "net_max": "linear", "leverage_max": "gross",
                     "volatility_max": "volatility"}  # fmt: skip
    assert all(limit.labels == ("",) for limit in rows.values())
    assert rows["net_min"].lower.tolist() == [-0.2]
    assert rows["leverage_max"].rows.tolist() == [[1.0, 1.0]]
    assert rows["volatility_max"].upper == pytest.approx([0.1 * math.sqrt(5 / 252)])


def test_cash_in_other_currencies_counts_to_the_leverage_whatever_its_sign() -> None:
    state = planted(leverage_max=1.5)
    state.market.observe_rate("EUR/USD", 2.0, 1)
    state.portfolios["p"].account("EUR").cash = Decimal(-500)
    state.portfolios["p"].accounts["USD"].cash = Decimal(10_000)
    (leverage,) = of(state).problem.limits
    assert leverage.upper == pytest.approx([1.4])


def test_exposure_shrinks_as_the_drawdown_nears_its_limit() -> None:
    assert surplus_share(0.0, 0.2) == 1.0
    assert surplus_share(0.2, 0.2) == surplus_share(0.5, 0.2) == 0.0
    # The floor is 0.8 of the best value: at 0.9 of it, 0.1 / 0.9 lies above, of 0.2 at the best.
    assert surplus_share(0.1, 0.2) == pytest.approx((0.1 / 0.9) / 0.2)
    state = planted(drawdown_max=0.2, gross_max=0.9)
    growth = state.portfolios["p"].growth
    growth.nav, growth.best = 10_000.0 / 0.9, 1.0
    (limit,) = of(state).problem.limits
    assert (limit.name, limit.kind) == ("drawdown_max", "gross")
    assert limit.upper == pytest.approx([0.9 * (0.1 / 0.9) / 0.2])


def test_a_soft_limit_leaves_its_bound_out_of_reach_and_is_a_row_of_its_tier() -> None:
    found = of(
        planted(
            gross_max=0.9, cash_floor=0.2, turnover_max=0.3, position_max=0.2, net_max=0.5,
            soft=(soft("cash_floor", 2), soft("gross_max", 3), soft("net_max", 4),
                  soft("position_max", 5), soft("turnover_max", 7)),
        )
    )  # fmt: skip
    problem = found.problem
    assert problem.gross_max > 2.0
    assert problem.cash_floor < -2.0
    assert problem.turnover_max > 2.0
    assert (problem.position_max > 1.0).all()
    assert [(one.name, one.kind, one.tier) for one in problem.limits] == [
        ("cash_floor", "cash", 2), ("gross_max", "gross", 3), ("net_max", "linear", 4),
        ("position_max", "linear", 5), ("turnover_max", "turnover", 7),
    ]  # fmt: skip
    cash, gross, _, position, turnover = problem.limits
    assert cash.lower.tolist() == [0.2]
    assert gross.upper.tolist() == [0.9]
    assert turnover.upper.tolist() == [0.3]
    assert position.labels == ("A", "B")
    assert position.rows.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert position.upper.tolist() == [0.2, 0.2]


def test_entries_of_one_field_may_be_of_several_tiers() -> None:
    limits = of(
        planted(
            sectors=(SectorBound(sector="Tech", max=0.3),),
            must_hold=(MustHold(instrument="B", min=0.15), MustHold(instrument="C", min=0.1)),
            soft=(soft("must_hold", 2), soft("must_hold", 9, "C"), soft("sectors", 1, "Tech")),
        )
    ).problem.limits
    assert [(one.name, one.labels, one.tier) for one in limits] == [
        ("sectors", ("Tech",), 1), ("must_hold", ("B",), 2), ("must_hold", ("C",), 9),
    ]  # fmt: skip
    (held,), (wanted,) = (one.lower.tolist() for one in limits[1:])
    assert (held, wanted) == pytest.approx((0.05, 0.1))  # B is being bought for 0.1


def test_soft_bounds_of_one_instrument_leave_the_others_hard() -> None:
    bound = PositionBound(instrument="A", max=0.25)
    found = of(planted(position_max=0.1, positions=(bound,), soft=(soft("positions", 1, "A"),)))
    assert found.problem.position_max[0] > 1.0
    assert found.problem.position_max[1] == 0.1
    (limit,) = found.problem.limits
    assert (limit.name, limit.labels, limit.upper.tolist()) == ("positions", ("A",), [0.25])
    assert limit.lower.tolist() == [-math.inf]


def test_soft_liquidity_is_a_row_of_each_instrument() -> None:
    fields: dict[str, Any] = {"days_to_liquidate_max": 1e-4, "position_max": 0.5}
    found = of(planted(**fields, soft=(soft("days_to_liquidate_max"),))).problem
    (limit,) = found.limits
    assert limit.labels == ("A", "B")
    assert limit.upper == pytest.approx([0.01, 0.02])
    assert found.position_max.tolist() == [0.5, 0.5]


def test_trades_are_multiples_of_lots_and_a_whole_holding_may_leave_whole() -> None:
    state = planted(lot_multiple=10, lots=(LotMultiple(instrument="B", multiple=3),))
    state.market.instruments["A"].full_exit_odd_lot = False
    state.market.instruments["B"].full_exit_odd_lot = False
    state.portfolios["p"].positions = {"A": Decimal(105), "B": Decimal("1.5")}
    problem = of(state).problem
    assert problem.lot_weight == pytest.approx(np.array([100, 60]) / problem.nav)
    assert problem.exit_odd_lot.tolist() == [True, False]


@pytest.mark.parametrize(
    ("floor", "held", "low", "high", "left"),
    [
        (0.2, 0.0, 0.0, 0.2, 0.0),  # all of it is on its way
        (0.2, 0.0, 0.0, 0.15, 0.05),  # the rest is asked for
        (0.2, 0.0, 0.0, 0.5, 0.0),  # more than enough is, and nothing is sold for that
        (0.2, 0.3, 0.1, 0.3, 0.2),  # open sells may break it, so they are made good for
        (0.2, 0.3, 0.3, 0.4, 0.2),  # kept as it is
        (0.2, 0.1, 0.0, 0.2, 0.1),  # half is held, sells are open and buys, too
    ],
)
def test_an_order_on_its_way_to_a_floor_is_not_given_again(
    floor: float, held: float, low: float, high: float, left: float
) -> None:
    assert still_to_reach(floor, held=held, low=low, high=high) == pytest.approx(left)


def test_a_purchase_under_way_counts_for_what_must_be_held_and_against_a_cap() -> None:
    found = of(planted(must_hold=(MustHold(instrument="B", min=0.1),), net_max=0.15))
    assert found.problem.position_min == pytest.approx([0.0, 0.0])
    (net,) = found.problem.limits
    assert net.upper.tolist() == [0.15]  # 0.1 is held and 0.1 may come: that has to be undone
    state = planted(net_max=0.05)
    state.portfolios["p"].open_trades = {"1": OpenTrade("1", "p:1", "A", Decimal(-30))}
    (net,) = of(state).problem.limits
    assert net.upper == pytest.approx([0.08])  # 0.03 of the 0.05 too much is being sold
