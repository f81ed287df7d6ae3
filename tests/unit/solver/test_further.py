from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.solver import further as further_module
from coordinator.solver.further import excess, further_of, prepare, used
from coordinator.solver.room import make_room
from coordinator.solver.violations import broken_names, measure
from tests.support.limit_reference import limit

from .conftest import Make


def test_rows_are_one_sided_of_one_scale_and_in_the_order_of_kinds(make: Make) -> None:
    p = make(
        2, filled=[0.2, 0.1], cash=0.7,
        limits=(
            limit("cash", n=2, lower=0.4, name="c"),
            limit("linear", [[4.0, 0.0], [0.0, -2.0]], n=2, lower=[-np.inf, -0.6], upper=[0.4, 0.5],
                  tier=2, name="l"),
            limit("gross", [0.0, 0.5], n=2, upper=0.2, name="g"),
        ),
    )  # fmt: skip
    further = further_of(p)
    assert tuple(further.counts) == (3, 1, 0, 0, 1)
    assert further.linear.tolist() == [[1.0, 0.0], [0.0, -1.0], [0.0, 1.0]]
    assert further.bound == pytest.approx([0.1, 0.25, 0.3, 0.4, -0.4])
    assert further.side.tolist() == [1.0, 1.0, -1.0, 1.0, -1.0]
    assert further.scale.tolist() == [4.0, 2.0, 2.0, 0.5, 1.0]
    assert further.tier.tolist() == [2, 2, 2, 0, 0]
    assert further.source == ((1, 0), (1, 1), (1, 1), (2, 0), (0, 0))
    assert used(p, np.zeros(2)) == pytest.approx([0.2, -0.1, 0.1, 0.1, -0.7])
    assert excess(p, np.zeros(2)) == pytest.approx([0.1, 0.0, 0.0, 0.0, 0.0])


def test_rows_are_put_together_once_for_a_prepared_problem(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make(2, limits=(limit("linear", [1.0, 1.0], n=2, upper=0.4),))
    p = prepare(plain)
    first = further_of(p)
    monkeypatch.setattr(further_module, "linear_before", None)
    assert further_of(p) is first
    assert further_of(replace(p, risk_aversion=9.0)) is first
    assert measure(p, np.zeros(2)).further.shape == (1,)


def test_what_has_no_rows_is_the_problem_without_limits(make: Make) -> None:
    plain = make(2)
    assert prepare(plain) is plain
    assert prepare(replace(plain, limits=(limit("linear", [1.0, 1.0], n=2),))).limits == ()


def test_the_room_of_a_sum_is_that_of_its_tightest_bound(make: Make) -> None:
    p = make(
        2, filled=0.2, cash=0.6, cash_floor=0.1, turnover_max=0.3, covariance=np.eye(2) * 0.04,
        limits=(
            limit("cash", n=2, lower=0.35), limit("cash", n=2, lower=0.2, tier=1, name="soft"),
            limit("turnover", n=2, upper=0.25), limit("turnover", n=2, upper=0.4, name="wide"),
            limit("volatility", n=2, upper=0.3), limit("volatility", n=2, upper=0.1, tier=2),
        ),
    )  # fmt: skip
    room = make_room(p)
    assert (room.cash, room.turnover, room.volatility) == pytest.approx((0.25, 0.25, 0.1))
    allowed = measure(p, np.zeros(2))
    eased = replace(allowed, further=np.array([0.0, 0.25, 0.0, 0.0, 0.2, 0.0]))
    room = make_room(p, eased)
    assert (room.cash, room.turnover) == pytest.approx((0.4, 0.25))
    assert room.volatility == pytest.approx(0.3)


def test_bounds_out_of_reach_are_pulled_in(make: Make) -> None:
    p = make(
        2, trade_max=0.1, limits=(
            limit("linear", [1.0, 1.0], n=2, upper=1e9), limit("gross", [1.0, 1.0], n=2, upper=1e9),
            limit("volatility", n=2, upper=1e9),
        ),
    )  # fmt: skip
    room = make_room(p)
    assert max(room.linear[0], room.groups[0], room.volatility) < 2.0


def test_broken_rows_are_named_by_limit_label_and_side(make: Make) -> None:
    rows = limit("linear", np.eye(2), n=2, lower=[0.3, 0.0], upper=[1.0, 0.1], name="sector")
    p = make(2, filled=0.2, cash=0.6, limits=(rows, replace(rows, tier=1, name="wish")))
    assert broken_names(p, measure(p, np.zeros(2))) == ("sector/r1", "sector/r0 (floor)")


def test_a_bound_that_overflows_in_the_unit_of_its_row_is_none(make: Make) -> None:
    p = make(2, limits=(limit("linear", [1e-310, 0.0], n=2, lower=0.05, upper=0.1),))
    assert len(further_of(p).bound) == 0
