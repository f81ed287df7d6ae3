"""Limits while orders are open: what mends a breach gets through, and is ordered once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import WeightLimit
from coordinator.core.state import OpenTrade, State
from schemas.decisions import AllocationDecided
from schemas.mandates import FactorBound, Mandate, SectorBound, SoftLimit
from tests.journals import SECOND, T0, Inputs, events_of, run
from tests.unit.core.test_bounding import of, planted

PINNED: dict[str, Any] = {
    "position_min": -0.1,
    "position_max": 0.1,
    "net_min": -0.05,
    "net_max": 0.05,
}


def decided(inputs: list[Any], at: int) -> list[AllocationDecided]:
    return events_of(run(inputs, end=at + 10 * SECOND), AllocationDecided)


def turned(make: Inputs) -> tuple[list[Any], int]:
    """Two bought and two sold, none filled, then opinions on one of each turn."""
    names = ("A", "B", "C", "D")
    prices = dict(zip(names, (101.0, 103.0, 107.0, 109.0), strict=True))
    found = [*(make.listed(name) for name in names), make.registered("s")]
    found += [make.prices(prices, T0 + SECOND), make.opened("p", T0 + SECOND, mandate=PINNED)]
    at = T0 + 2 * SECOND
    for name, way in zip(names, (1, 1, -1, -1), strict=True):
        found.append(make.signal("s", name, at, direction=way, strength=0.9))
    at += SECOND
    for name, way in (("A", -1), ("C", 1)):
        found.append(make.signal("s", name, at, direction=way, strength=0.9))
    return found, at + SECOND


def test_opinions_that_turn_are_followed_though_open_orders_pin_floor_and_cap() -> None:
    inputs, at = turned(Inputs())
    first, second = decided(inputs, at)
    assert [one.quantity > 0 for one in first.trades] == [True, True, False, False]
    assert [(one.instrument, one.quantity > 0) for one in second.trades] == [
        ("A", False), ("C", True),
    ]  # fmt: skip
    assert second.solver.rung == "solved"


def test_a_breach_is_mended_though_open_orders_pin_floor_and_cap() -> None:
    make = Inputs()
    inputs, at = turned(make)
    inputs.append(make.fill("p", "A", "1300", "101", at))
    inputs.append(make.signal("s", "B", at, direction=1, strength=0.5))
    last = decided(inputs, at)[-1]
    assert last.solver.violation_before > 0.05
    assert last.solver.violation < 1e-6
    (sold,) = (one for one in last.trades if one.instrument == "A")
    assert sold.quantity < -800


def test_orders_pile_up_by_no_lot_a_round_beyond_what_is_stated() -> None:
    make = Inputs()
    inputs, at = turned(make)
    for second in range(8):
        strength = 0.5 + 0.05 * second
        inputs.append(make.signal("s", "B", at + second * SECOND, direction=1, strength=strength))
    rounds = decided(inputs, at + 8 * SECOND)
    prices = {"A": 101.0, "B": 103.0, "C": 107.0, "D": 109.0}
    net = 0.0
    for one in rounds:
        net += sum(float(trade.quantity) * prices[trade.instrument] for trade in one.trades) / 1e6
        assert -0.05 - 1e-9 <= net <= 0.05 + 1e-9, one.round


def selling(quantity: int, **fields: Any) -> State:
    """A at a tenth, that much of it being sold, and nothing bought."""
    state = planted(**fields)
    state.portfolios["p"].open_trades = {"1": OpenTrade("1", "p:1", "A", Decimal(-quantity))}
    return state


def test_a_repair_under_way_is_not_ordered_again_by_a_cap_of_one_instrument() -> None:
    problem = of(selling(60, position_max=0.04)).problem
    assert problem.position_max == pytest.approx([0.1])  # all that is too much is being sold
    found = of(selling(30, position_max=0.04))
    assert found.problem.position_max == pytest.approx([0.07])  # 0.03 more are to be sold
    assert found.boxes.most == pytest.approx([0.04])
    assert of(selling(30, position_max=0.2)).problem.position_max.tolist() == [0.2]


def test_a_repair_under_way_is_not_ordered_again_by_a_cap_of_gross_exposure() -> None:
    assert of(selling(30, gross_max=0.05)).problem.gross_max == pytest.approx(0.08)
    assert of(selling(30, gross_max=0.5)).problem.gross_max == 0.5
    soft = (SoftLimit(limit="gross_max", priority=1),)
    (row,) = of(selling(30, gross_max=0.05, soft=soft)).problem.limits
    assert row.upper == pytest.approx([0.08])


def test_no_second_round_sells_more_because_of_a_cap_that_is_being_mended() -> None:
    """2,000 are held where the cap allows 1,000; the order that mends it stays open."""
    make = Inputs()
    for narrow in ({"position_max": 0.1}, {"gross_max": 0.1}):
        at = T0 + SECOND
        inputs = [make.listed("A"), make.registered("s"), make.prices({"A": 100.0}, at)]
        inputs += [make.opened("p", at, mandate={"position_max": 0.3})]
        inputs += [make.fill("p", "A", "2000", "100", at + SECOND)]
        at += 2 * SECOND
        inputs += [make.make("portfolios", "MandateChanged", at, portfolio="p", mandate=narrow)]
        for second in range(3):
            at += SECOND
            strength = 0.99 - second / 1000
            inputs.append(make.signal("s", "A", at, direction=1, strength=strength))
        first, *later = decided(inputs, at)
        assert first.trades[0].quantity <= -1000
        assert [trade for one in later for trade in one.trades] == []


def test_a_row_that_hardly_depends_on_any_instrument_is_none() -> None:
    state = planted(factors=(FactorBound(factor="value", min=0.05, max=1.0),))
    assert len(of(state).problem.limits) == 1
    for exposure in (1e-310, 1e-17):
        state.market.instruments["A"].factors = (("value", exposure),)
        found = of(state)
        assert found.problem.limits == ()
        assert found.limits.empty == ("factors/value",)
    state.portfolios["p"].mandate = Mandate(sectors=(SectorBound(sector="Gold", max=0.1),))
    assert of(state).limits.empty == ()  # nothing held keeps it


def test_what_no_order_touches_is_as_it_is_stated() -> None:
    state = planted(net_min=-0.1, net_max=0.15, gross_max=0.05, position_max=0.05)
    state.portfolios["p"].open_trades = {}
    found = of(state)
    assert len(found.limits.stated) == 2
    for row, stated in zip(found.problem.limits, found.limits.stated, strict=True):
        assert isinstance(row, WeightLimit)
        assert row is stated
    assert found.problem.gross_max == 0.05
    assert np.array_equal(found.boxes.upper, found.boxes.most)


def test_a_minimum_of_what_no_decision_is_about_is_named() -> None:
    make = Inputs()
    at = T0 + SECOND
    mandate = {"sectors": [{"sector": "Gold", "min": 0.05}]}
    inputs = [make.listed("A"), make.registered("s"), make.prices({"A": 100.0}, at)]
    inputs += [make.opened("p", at, mandate=mandate), make.signal("s", "A", at, direction=1)]
    last = decided(inputs, at)[-1]
    assert last.solver.remarks[-1] == "left out, of no instrument of this decision: sectors/Gold"
