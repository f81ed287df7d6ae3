"""What a decision says of its limits: names, tiers, and by how much each gave way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.core.decide import close_round
from coordinator.core.limit_lines import limit_uses
from coordinator.core.ports import Allocation, AllocationProblem, LimitReading
from coordinator.core.state import OpenTrade
from coordinator.learning import ChosenRisk
from schemas.decisions import AllocationDecided, LimitUse
from schemas.mandates import MustHold, SectorBound, SoftLimit
from tests.unit.core.test_bounding import of, planted


def answer(*readings: LimitReading, n: int = 2) -> Allocation:
    nothing = np.zeros(n)
    return Allocation(
        nothing, nothing, nothing, "solved", "fake", "ok", 1, 0.0, 0.0, 0.0, 0.0, readings, ()
    )


def uses(readings: list[LimitReading], **mandate: Any) -> list[LimitUse]:
    return list(limit_uses(of(planted(**mandate)), answer(*readings)))


SOFT: dict[str, Any] = {
    "sectors": (SectorBound(sector="Tech", min=0.2, max=0.3),),
    "must_hold": (MustHold(instrument="B", min=0.05),),
    "net_max": 0.4,
    "soft": (
        SoftLimit(limit="must_hold", priority=4),
        SoftLimit(limit="sectors", about="Tech", priority=2),
    ),
}


def test_a_sector_is_no_instrument_and_a_soft_one_says_its_priority() -> None:
    readings = [
        LimitReading("net_max", None, 0.35, 0.4, 0.0),
        LimitReading("sectors", None, 0.32, 0.3, 0.01, "Tech", "upper", 2, 0.02),
        LimitReading("sectors", None, 0.15, 0.2, -0.01, "Tech", "lower", 2, 0.05),
        LimitReading("must_hold", None, 0.05, 0.05, -0.02, "B", "lower", 4),
    ]
    net, over, under, held = uses(readings, **SOFT)
    assert (net.about, net.instrument, net.priority, net.given) == (None, None, None, 0.0)
    assert (over.about, over.instrument, over.priority) == ("Tech", None, 2)
    assert over.given == pytest.approx(0.02)
    assert under.given == pytest.approx(0.05)
    assert (held.instrument, held.about, held.priority, held.given) == ("B", None, 4, 0.0)


def test_a_row_without_a_label_is_of_the_whole_portfolio() -> None:
    (net,) = uses([LimitReading("net_max", "", 0.41, 0.4, 0.0)], net_max=0.4)
    assert (net.instrument, net.about, net.priority) == (None, None, None)
    assert net.given == pytest.approx(0.01)


def test_a_box_has_the_name_of_the_limit_that_gave_it() -> None:
    readings = [
        LimitReading("position_max", "A", 0.1, 0.1, 0.02),
        LimitReading("position_min", "C", 0.05, 0.05, -0.01),
        LimitReading("trade_max", "B", 0.02, 0.02, 0.0),
        LimitReading("position_max", "B", 0.1, 0.1, 0.0),
    ]
    found = uses(
        readings, position_max=0.5, restricted=("A",), volume_share_max=1e-5,
        must_hold=(MustHold(instrument="C", min=0.05),),
    )  # fmt: skip
    assert [(one.limit, one.instrument) for one in found] == [
        ("restricted", "A"), ("must_hold", "C"), ("volume_share_max", "B"), ("position_max", "B"),
    ]  # fmt: skip


def test_a_soft_limit_gave_way_by_what_the_allocator_says_and_no_more() -> None:
    tight = LimitReading("sectors", None, 0.3 + 5e-7, 0.3, 0.01, "Tech", "upper", 2)
    moved = LimitReading("sectors", None, 0.3, 0.3, 0.01, "Tech", "upper", 2, 0.004)
    assert [one.given for one in uses([tight, moved], **SOFT)] == [0.0, 0.004]


def test_a_box_of_a_name_whose_general_bound_is_soft_has_its_own_limits_name() -> None:
    soft = (SoftLimit(limit="position_max", priority=3),)
    reading = LimitReading("position_max", "A", 0.1, 0.1, 0.02)
    (found,) = uses([reading], position_max=0.05, restricted=("A",), soft=soft)
    assert (found.limit, found.priority, found.given) == ("restricted", None, 0.0)


def test_a_hard_bound_that_is_broken_says_by_how_much() -> None:
    readings = [
        LimitReading("gross_max", None, 1.02, 1.0, 0.0),
        LimitReading("cash_floor", None, -0.01, 0.0, 0.0, side="lower"),
        LimitReading("position_min", "A", -0.3, 0.0, 0.0, side="lower"),
        LimitReading("turnover_max", None, 1.0 + 1e-9, 1.0, 0.0),
    ]
    assert [one.given for one in uses(readings)] == pytest.approx([0.02, 0.01, 0.3, 0.0])


def test_single_instruments_are_told_where_they_bind_and_a_soft_total_once() -> None:
    soft = (
        SoftLimit(limit="gross_max", priority=2),
        SoftLimit(limit="position_max", priority=1),
    )
    readings = [
        LimitReading("gross_max", None, 0.5, 21.0, 0.0),
        LimitReading("gross_max", None, 0.5, 0.4, 0.0, "", "upper", 2, 0.1),
        LimitReading("position_max", None, 0.05, 0.1, 0.0, "A", "upper", 1),
        LimitReading("position_max", None, 0.1, 0.1, 0.0, "B", "upper", 1),
    ]
    gross, position = uses(readings, gross_max=0.4, soft=soft)
    assert (gross.bound, gross.priority, gross.given) == pytest.approx((0.4, 2, 0.1))
    assert (position.instrument, position.priority, position.given) == ("B", 1, 0.0)


def test_a_decision_carries_what_the_allocator_read_of_every_limit() -> None:
    class Reads:
        def allocate(self, problem: AllocationProblem) -> Allocation:
            self.problem = problem
            rows = [
                LimitReading(limit.name, None, 0.5, upper, 0.0, label, tier=limit.tier)
                for limit in problem.limits
                for label, upper in zip(limit.labels, limit.upper.tolist(), strict=True)
                if np.isfinite(upper)
            ]
            return answer(*rows, n=len(problem.instruments))

    state = planted(**(SOFT | {"volatility_max": 0.1}))
    events = close_round(state, state.portfolios["p"], allocator=Reads(), risk_model=ChosenRisk())
    (decided,) = [one for one in events if isinstance(one, AllocationDecided)]
    told = [(one.limit, one.about, one.priority) for one in decided.limits]
    assert told == [("net_max", None, None), ("volatility_max", None, None), ("sectors", "Tech", 2)]
    assert decided.mandate_version == 1


def test_a_limit_under_repair_is_told_as_it_is_stated_and_as_broken() -> None:
    state = planted(
        sectors=(SectorBound(sector="Tech", max=0.04),), position_max=0.05, gross_max=0.06,
    )  # fmt: skip
    state.portfolios["p"].open_trades = {"1": OpenTrade("1", "p:1", "A", Decimal(-60))}
    found = of(state)
    problem = found.problem
    (row,) = problem.limits
    assert [row.upper[0], problem.position_max[0], problem.gross_max] == pytest.approx([0.1] * 3)
    readings = [
        LimitReading("sectors", None, 0.1, float(row.upper[0]), 0.0, "Tech"),
        LimitReading("position_max", "A", 0.1, float(problem.position_max[0]), 0.0),
        LimitReading("gross_max", None, 0.1, problem.gross_max, 0.0),
    ]
    told = limit_uses(found, answer(*readings, n=1))
    assert [one.bound for one in told] == [0.04, 0.05, 0.06]
    assert [one.given for one in told] == pytest.approx([0.06, 0.05, 0.04])


def test_only_the_broken_side_of_a_limit_of_two_sides_says_given() -> None:
    readings = [
        LimitReading("sectors", None, 0.35, 0.3, 0.0, "Tech", "upper"),
        LimitReading("sectors", None, 0.35, 0.2, 0.0, "Tech", "lower"),
    ]
    found = uses(readings, sectors=SOFT["sectors"])
    assert [one.given for one in found] == pytest.approx([0.05, 0.0])


def test_a_price_without_end_is_the_largest_that_can_be_told() -> None:
    (found,) = uses([LimitReading("net_max", None, 0.4, 0.4, 1.8e279)], net_max=0.4)
    assert found.shadow_price == 1e18


def test_what_only_some_open_orders_could_break_is_not_said_to_be_broken() -> None:
    state = planted(net_min=0.05, net_max=0.15)
    state.portfolios["p"].open_trades = {
        "1": OpenTrade("1", "p:1", "A", Decimal(-80)), "2": OpenTrade("2", "p:1", "B", Decimal(40)),
    }  # fmt: skip
    found = of(state)
    floor, cap = found.problem.limits
    readings = [
        LimitReading("net_min", None, 0.02, float(floor.lower[0]), 0.0, side="lower"),
        LimitReading("net_max", None, 0.18, float(cap.upper[0]), 0.0),
    ]
    assert floor.lower[0] < 0.02
    assert cap.upper[0] > 0.18
    told = limit_uses(found, answer(*readings))
    assert [(one.bound, one.given) for one in told] == [(0.05, 0.0), (0.15, 0.0)]
