"""What takes cash is cut until enough is left, and nothing is cut without more being left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver import Charges, limit_of, problem_of
from coordinator.solver.limits import cash_paid
from coordinator.solver.repair_cash import trim_cash
from coordinator.solver.repair_rows import trim_rows
from coordinator.solver.violations import measure


def held(weights: list[float], impact: list[float], lots: list[float]) -> AllocationProblem:
    return problem_of(
        np.zeros(len(weights)), np.eye(len(weights)) * 1e-3, risk_aversion=1.0, weights=weights,
        cash=-0.1, position_max=0.3, gross_max=5.0, lot_weight=lots,
        charges=Charges(impact=np.array(impact)),
    )  # fmt: skip


def test_a_sell_that_brings_cash_stays_where_a_buy_can_go() -> None:
    """Its last piece takes a little, all of it brings much: it is the buy that has to go."""
    p = held([1.0, 0.0], [1.0, 0.0], [0.001, 0.2])
    trades = np.array([-0.45, 0.2])
    excess = measure(p, trades).cash - measure(p, np.zeros(2)).cash
    cut = trim_cash(p, trades, [0, 1], excess)
    assert cut[1] == 0.0
    assert cut[0] <= -0.444
    assert cash_paid(p, cut) <= cash_paid(p, trades) - excess + 1e-12


@pytest.mark.parametrize("lot", [0.0, 0.001, 0.07])
def test_a_sell_is_cut_to_where_it_brings_most_and_no_further(lot: float) -> None:
    p = held([1.0], [1.0], [lot])
    best = (1.0 / 1.5) ** 2  # where 3/2 root is 1
    (cut,) = trim_cash(p, np.array([-0.9]), [0], 1.0)
    assert abs(-cut - best) <= max(lot, 1e-9)
    near = [cash_paid(p, np.array([cut + step])) for step in (-lot, lot)]
    assert cash_paid(p, np.array([cut])) <= min(near)


def test_rows_of_cash_are_kept_the_same_way() -> None:
    p = held([1.0], [1.0], [0.0])
    row = limit_of("reserve", "cash", lower=0.02)
    p = problem_of(
        np.zeros(1), p.covariance, risk_aversion=1.0, weights=[1.0], cash=0.02, limits=[row],
        charges=p.charges,
    )  # fmt: skip
    trades = np.array([-1.0])  # brings 1, and impact takes 1 of it
    assert measure(p, trades).further[0] <= 1e-9
    p = replace(p, cash=0.0)
    nothing = measure(p, np.zeros(1))
    trades = np.array([-1.4])  # takes more than it brings
    (cut,) = trim_rows(p, trades, [0], nothing)
    assert measure(p, np.array([cut])).further[0] <= nothing.further[0] + 1e-9
    assert cut == pytest.approx(-1.0)


@st.composite
def trimmed(draw: st.DrawFn) -> tuple[AllocationProblem, Floats, float]:
    n = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    much = draw(st.sampled_from([0.0, 0.05, 1.0, 30.0]))
    charges = Charges(
        impact=much * rng.uniform(0.1, 1.0, n) if draw(st.booleans()) else None,
        impact_square=much * rng.uniform(0.1, 1.0, n) if draw(st.booleans()) else None,
    )
    lots = draw(st.sampled_from([0.0, 1e-3, 0.05]))
    trades = rng.normal(size=n) * 0.3
    trades = np.sign(trades) * np.floor(np.abs(trades) / lots) * lots if lots else trades
    p = problem_of(
        np.zeros(n), np.eye(n) * 1e-3, risk_aversion=1.0, cash=0.0, cost_buy=0.01, cost_sell=0.02,
        lot_weight=lots, trade_min=draw(st.sampled_from([0.0, 0.02])), charges=charges,
    )  # fmt: skip
    return p, trades, draw(st.sampled_from([1e-6, 0.01, 0.2, 5.0]))


@given(trimmed())
def test_no_cut_leaves_less_cash_and_enough_is_left_where_it_can_be(
    given_: tuple[AllocationProblem, Floats, float],
) -> None:
    p, trades, excess = given_
    cut = trim_cash(p, trades, list(range(len(trades))), excess)
    freed = cash_paid(p, trades) - cash_paid(p, cut)
    assert freed >= 0.0
    assert (np.sign(cut) * np.sign(trades) >= 0.0).all()
    assert (np.abs(cut) <= np.abs(trades) + 1e-12).all()
    assert ((cut == 0.0) | (cut == trades) | (np.abs(cut) >= p.trade_min)).all()
    if p.lot_weight[0] > 0.0:
        counts = cut / p.lot_weight
        assert np.abs(counts - np.rint(counts)).max() <= 1e-6
    buys = np.where(trades > 0.0, trades, 0.0)
    if freed < excess - 1e-8:  # then all that only takes is gone
        assert not (cut[buys > 0.0]).any()
