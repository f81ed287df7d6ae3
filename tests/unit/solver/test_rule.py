from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.solver.rule import reduce_breaches
from coordinator.solver.violations import measure
from tests.support.limit_reference import limit

from .conftest import Make


def test_nothing_breached_trades_nothing(make: Make) -> None:
    p = make(2, filled=0.2, cash=0.6)
    assert not np.any(reduce_breaches(p, measure(p, np.zeros(2))))


def test_gross_and_cash_breaches_are_sold_down_in_proportion(make: Make) -> None:
    p = make(2, filled=[0.9, 0.3], cash=-0.2, gross_max=1.0, cost_sell=0.0)
    trades = reduce_breaches(p, measure(p, np.zeros(2)))
    assert np.allclose(trades, [-0.15, -0.05])
    assert measure(p, trades).largest < 1e-12


def test_turnover_bounds_the_reduction(make: Make) -> None:
    p = make(2, filled=[0.9, 0.9], cash=-0.8, position_max=0.5, turnover_max=0.1)
    trades = reduce_breaches(p, measure(p, np.zeros(2)))
    assert np.isclose(np.abs(trades).sum() / 2, 0.1)


def test_a_forced_buy_without_cash_is_left_out(make: Make) -> None:
    p = make(2, filled=[0.0, 0.9], position_min=[0.1, 0.0], position_max=0.5, cash=0.0)
    p_halted = make(1, filled=[0.0], position_min=[0.1], cash=0.0)
    assert reduce_breaches(p, measure(p, np.zeros(2)))[1] < 0
    assert not np.any(reduce_breaches(p_halted, measure(p_halted, np.zeros(1))))


@pytest.mark.parametrize("open_buy", [0.0, 0.099, 0.1009])
def test_a_purchase_that_may_pass_its_cap_keeps_no_other_breach_from_being_reduced(
    make: Make, open_buy: float
) -> None:
    p = make(
        2, filled=[0.3, 0.0], working_buys=[0.0, open_buy], cash=0.7, position_max=0.1,
        covariance=np.eye(2) * 1e-4,
    )  # fmt: skip
    assert reduce_breaches(p, measure(p, np.zeros(2))) == pytest.approx([-0.2, 0.0])


def test_names_are_reduced_one_by_one_where_all_together_would_break_another_limit(
    make: Make,
) -> None:
    """The floor of the second name's sector refuses any part of all trades together."""
    p = make(2, filled=[0.3, 0.3], cash=0.4, position_max=0.1)
    p = replace(p, limits=(limit("linear", [0.0, 1.0], n=2, lower=0.3),))
    assert reduce_breaches(p, measure(p, np.zeros(2))) == pytest.approx([-0.2, 0.0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("held", [5e-324, 1e-310, 0.2])
@pytest.mark.parametrize("kind", ["cash", "linear", "gross"])
def test_what_is_next_to_nothing_is_sold_whole_without_a_word(
    make: Make, held: float, kind: str
) -> None:
    given = {
        "cash": limit("cash", n=2, lower=2.0),
        "linear": limit("linear", [1.0, 1.0], n=2, upper=-0.1),
        "gross": limit("gross", [1.0, 1.0], n=2, upper=-0.1),
    }[kind]
    p = make(2, filled=[held, 0.0], cash=1.0, cost_sell=0.0, limits=(given,))
    assert reduce_breaches(p, measure(p, np.zeros(2))).tolist() == [-held, 0.0]
