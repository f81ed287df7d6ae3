from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver import rounding as rounding_module
from coordinator.solver.rounding import Lots, round_trades
from coordinator.solver.violations import measure

from .conftest import Make, build


@pytest.fixture(autouse=True)
def _no_swaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rounding and its repairs do, before lots are moved for what that is worth."""
    monkeypatch.setattr(rounding_module, "improve", lambda _problem, trades, _wanted, _kept: trades)


def rounded(p: AllocationProblem, wanted: list[float]) -> Lots:
    before = measure(p, np.zeros(len(wanted)))
    return round_trades(p, np.array(wanted), before=before, allowed=before)


def test_trades_round_toward_zero(make: Make) -> None:
    lots = rounded(make(3, lot_weight=0.01, filled=[0, 0, 0.5], cash=0.5), [0.0299, 0.03, -0.0299])
    assert list(lots.counts) == [2.0, 3.0, -2.0]


def test_mandatory_reductions_round_away_from_zero(make: Make) -> None:
    p = make(2, lot_weight=0.01, filled=[0.525, 0.1], cash=0.3, position_max=0.5)
    assert list(rounded(p, [-0.025, -0.025]).counts) == [-3.0, -2.0]


def test_mandatory_reduction_never_exceeds_what_can_be_traded(make: Make) -> None:
    p = make(1, lot_weight=0.01, filled=[0.525], position_max=0.5, trade_max=0.025)
    assert list(rounded(p, [-0.025]).counts) == [-2.0]


def test_small_trades_are_dropped_but_not_full_exits(make: Make) -> None:
    p = make(3, lot_weight=0.001, filled=[0.1, 0.004, 0.1], cash=0.7, trade_min=0.005)
    assert list(rounded(p, [-0.004, -0.004, 0.006]).counts) == [0.0, -4.0, 6.0]


def test_dust_is_not_traded_where_quantities_are_continuous(make: Make) -> None:
    assert list(rounded(make(2), [4e-7, 0.1]).trades) == [0.0, 0.1]


def test_odd_lot_is_sold_only_as_a_full_exit(make: Make) -> None:
    p = make(2, lot_weight=0.01, filled=[0.034, 0.034], cash=0.9)
    lots = rounded(p, [-0.034, -0.0339])
    assert lots.trades[0] == -0.034
    assert lots.counts == pytest.approx([-3.4, -3.0])


def test_odd_remainder_stays_where_the_market_buys_whole_lots_only(make: Make) -> None:
    p = make(2, lot_weight=0.01, filled=[0.034, 0.034], cash=0.9, exit_odd_lot=[False, True])
    lots = rounded(p, [-0.034, -0.034])
    assert lots.counts == pytest.approx([-3.0, -3.4])
    assert p.filled + lots.trades == pytest.approx([0.004, 0.0])


def test_whole_lots_are_sold_whole_wherever_odd_ones_are_not(make: Make) -> None:
    p = make(1, lot_weight=0.01, filled=[0.03], cash=0.9, exit_odd_lot=False)
    assert list(rounded(p, [-0.03]).trades) == [-0.03]


def test_less_than_a_lot_cannot_be_sold_even_when_it_must(make: Make) -> None:
    p = make(1, lot_weight=0.01, filled=[0.004], cash=0.9, position_max=0.0, exit_odd_lot=False)
    assert list(rounded(p, [-0.004]).trades) == [0.0]
    assert list(rounded(replace(p, exit_odd_lot=np.array([True])), [-0.004]).trades) == [-0.004]


def test_odd_lot_is_kept_while_an_order_is_working(make: Make) -> None:
    p = make(1, lot_weight=0.01, filled=[0.034], working_buys=[0.01], cash=0.9)
    assert list(rounded(p, [-0.034]).counts) == [-3.0]


def test_whole_lots_held_are_sold_as_whole_numbers(make: Make) -> None:
    p = make(1, lot_weight=0.1, filled=[0.1 * 3], cash=0.7)
    assert list(rounded(p, [-0.3]).counts) == [-3.0]


def test_buys_are_trimmed_by_worth_when_a_dropped_sale_does_not_pay(make: Make) -> None:
    p = make(
        3, mu=[0.0, 0.01, 0.05], lot_weight=[0.2, 0.01, 0.01], filled=[0.3, 0, 0], cash=0.05,
        cost_buy=0.0, cost_sell=0.0,
    )  # fmt: skip
    lots = rounded(p, [-0.15, 0.1, 0.1])
    assert list(lots.counts) == [0.0, 0.0, 5.0]
    assert measure(p, lots.trades).cash == 0.0


def test_breached_gross_is_finished_by_one_more_lot(make: Make) -> None:
    p = make(2, lot_weight=0.04, filled=[0.6, 0.6], cash=-0.1, cash_floor=-1.0, gross_max=1.0)
    lots = round_trades(
        p,
        np.array([-0.1, -0.1]),
        before=measure(p, np.zeros(2)),
        allowed=measure(p, np.array([-0.1, -0.1])),
    )
    assert sorted(lots.counts) == [-3.0, -2.0]


def test_what_cannot_be_repaired_is_held_and_said(make: Make) -> None:
    p = make(2, filled=0.0, cash=1.0)
    lots = rounded(p, [0.0, -0.1])
    assert list(lots.trades) == [0.0, 0.0]
    assert lots.held
    assert "held" in lots.remarks[0]


@given(
    st.lists(st.floats(-0.29, 0.29), min_size=2, max_size=2),
    st.sampled_from([0.01, 0.03, 0.07]),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([0.05, 0.15, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_rounding_loses_at_most_a_lot_against_the_best_grid_point(
    wanted: list[float], lot: float, cash: float, turnover: float
) -> None:
    """Among all whole-lot points between no trade and the wanted one, by brute force."""
    p = build(
        2, mu=[0.05, 0.04], filled=0.3, lot_weight=lot, cash=cash, turnover_max=turnover,
        gross_max=0.9, cost_buy=0.0, cost_sell=0.0,
    )  # fmt: skip
    z = np.array(wanted)
    answer = rounded(p, wanted).trades
    grid = [g for g in points(z, lot) if not measure(p, g).worse_than(measure(p, z * 0))]
    assert any(np.allclose(answer, g, atol=1e-9) for g in grid)
    if not measure(p, np.trunc(z / lot + np.sign(z) * 1e-6) * lot).largest:
        nearest = min(float(np.abs(z - g).sum()) for g in grid)
        assert np.abs(z - answer).sum() <= nearest + 1e-9


def points(z: Floats, lot: float) -> list[Floats]:
    counts = [range(int(abs(x) / lot + 1e-6) + 1) for x in z]
    return [np.sign(z) * lot * np.array(c, dtype=float) for c in product(*counts)]


def test_mandatory_reduction_does_not_overshoot_the_opposite_limit(make: Make) -> None:
    p = make(1, lot_weight=0.01, filled=[0.535], cash=0.4, position_max=0.5, position_min=0.5)
    assert list(rounded(p, [-0.035]).counts) == [-3.0]


def test_one_trade_that_breaks_a_limit_does_not_hold_the_others(make: Make) -> None:
    # Selling short what is not held cannot be trimmed into order; the sale of what is held stays.
    p = make(2, filled=[0.0, 0.5], cash=0.5)
    lots = rounded(p, [-0.1, -0.2])
    assert list(lots.trades) == [0.0, -0.2]
    assert not lots.held


def test_mandatory_reduction_past_zero_becomes_an_exit(make: Make) -> None:
    p = make(1, lot_weight=0.01, filled=[0.025], cash=0.9, position_max=0.001)
    assert list(rounded(p, [-0.024]).trades) == [-0.025]
