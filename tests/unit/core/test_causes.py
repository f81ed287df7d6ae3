"""What each rule asks for: the stated formulas, in whole steps, inside their bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.causes import (
    Asked,
    drawdown_asked,
    market_volatilities,
    quality_asked,
    volatility_asked,
)
from coordinator.core.skill import Forecasts, horizon_bucket
from coordinator.core.state import Source, State
from schemas.adaptation import DrawdownRule, QualityRule, VolatilityRule
from schemas.control import SourceRegistered
from tests.journals import DAY, T0, Inputs, law
from tests.unit.core.planted import state_of

RULE = DrawdownRule(begins=0.1, full=0.3, risk_aversion=3.0, turnover=0.2, budgets=0.5, step=0.25)


def walk(asked: list[Asked]) -> list[float]:
    """Where a multiplier goes that starts at 1."""
    now, found = 1.0, []
    for one in asked:
        now = one.moved(now)
        found.append(now)
    return found


def test_a_drawdown_moves_along_its_line_in_whole_steps() -> None:
    falls = [0.05, 0.1, 0.149, 0.15, 0.2, 0.26, 0.3, 0.9]
    assert walk([drawdown_asked(RULE, "risk_aversion", fall) for fall in falls]) == [
        1.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0,
    ]  # fmt: skip
    assert walk([drawdown_asked(RULE, "turnover", fall) for fall in falls]) == [
        1.0, 1.0, 1.0, 0.8, 0.6, pytest.approx(0.4), 0.2, 0.2,
    ]  # fmt: skip


def test_what_moved_stays_until_a_whole_step_lies_behind() -> None:
    falls = [0.15, 0.149, 0.101, 0.1, 0.149, 0.16, 0.02]
    multipliers = walk([drawdown_asked(RULE, "risk_aversion", fall) for fall in falls])
    assert multipliers == [1.5, 1.5, 1.5, 1.0, 1.0, 1.5, 1.0]


def test_the_stated_multipliers_are_reached_where_steps_do_not_divide_the_way() -> None:
    odd = DrawdownRule(begins=0.0, full=0.1, risk_aversion=2.0, step=0.3)
    assert drawdown_asked(odd, "risk_aversion", 0.1).low == 2.0
    assert drawdown_asked(odd, "risk_aversion", 0.099).high == 2.0
    assert drawdown_asked(odd, "risk_aversion", 0.0).high == 1.0


@law(60)
@given(
    falls=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
    deeper=st.lists(st.floats(0.0, 0.5), min_size=30, max_size=30),
    step=st.sampled_from([0.01, 0.1, 0.25, 0.3, 1.0]),
)
def test_a_deeper_drawdown_never_lowers_risk_aversion_nor_raises_turnover(
    falls: list[float], deeper: list[float], step: float
) -> None:
    """All along two histories of which one is never less deep, whatever came before."""
    rule = RULE.model_copy(update={"step": step})
    worse = [min(1.0, one + more) for one, more in zip(falls, deeper, strict=False)]
    for name, sign in (("risk_aversion", 1.0), ("turnover", -1.0), ("budgets", -1.0)):
        mild = walk([drawdown_asked(rule, name, fall) for fall in falls])
        hard = walk([drawdown_asked(rule, name, fall) for fall in worse])
        assert all(sign * b >= sign * a for a, b in zip(mild, hard, strict=True))
        end = getattr(rule, name)
        assert all(min(1.0, end) <= one <= max(1.0, end) for one in (*mild, *hard))
        assert drawdown_asked(rule, name, rule.begins).moved(hard[-1]) == 1.0


def test_steps_of_a_rule_that_changed_are_taken_up_at_the_nearest() -> None:
    asked = Asked(1.5, 2.0, "")
    assert [asked.moved(now) for now in (1.0, 1.5, 1.6, 1.9, 2.0, 7.0)] == [
        1.5, 1.5, 1.5, 2.0, 2.0, 2.0,
    ]  # fmt: skip


# -- volatility ------------------------------------------------------------------------------------


def market_of(*sessions: Mapping[str, float | None]) -> State:
    """Closes of two names, one a session."""
    make = Inputs()
    closes = [make.close(prices, T0 + day * DAY) for day, prices in enumerate(sessions)]
    return state_of(make.listed("A"), make.listed("B"), *closes)


def random_market(days: int, scale: float = 0.01) -> tuple[State, np.ndarray]:
    rng = np.random.default_rng(4)
    returns = rng.normal(0.0, scale, (days, 2))
    returns[-5:] *= 4.0
    prices = 50.0 * np.vstack([np.ones(2), np.cumprod(1.0 + returns, axis=0)])
    closes = [dict(zip("AB", map(float, row), strict=True)) for row in prices]
    return market_of(*closes), prices[1:] / prices[:-1] - 1.0


def test_volatility_is_that_of_the_equal_weighted_market() -> None:
    state, returns = random_market(40)
    mean = returns.mean(axis=1)
    short, long = market_volatilities(state, VolatilityRule(sessions=5, sessions_long=30))
    assert short == pytest.approx(np.sqrt((mean[-5:] ** 2).mean()))
    assert long == pytest.approx(np.sqrt((mean[-30:] ** 2).mean()))


@pytest.mark.parametrize(("exponent", "most"), [(1.0, 100.0), (2.0, 100.0), (1.0, 1.6)])
def test_risk_aversion_goes_with_a_power_of_the_ratio_inside_its_bounds(
    exponent: float, most: float
) -> None:
    state, _ = random_market(40)
    rule = VolatilityRule(sessions=5, sessions_long=30, exponent=exponent, most=most, step=0.25)
    short, long = market_volatilities(state, rule)
    wanted = min(most, (short / long) ** exponent)
    asked = volatility_asked(state, rule)
    assert asked.low <= wanted
    assert asked.low == 1.0 + 0.25 * math.floor((wanted - 1.0) / 0.25)
    assert asked.high <= most
    assert f"{short / long:.4g} times" in asked.rule


def test_without_a_history_that_differs_from_the_last_sessions_nothing_is_asked() -> None:
    prices = [{"A": 10.0 * 1.01**n, "B": 9.0 * 0.98**n} for n in range(6)]
    for sessions in range(1, 6):
        state = market_of(*prices[:sessions])
        asked = volatility_asked(state, VolatilityRule(sessions=20, most=9.0, least=0.1))
        assert (asked.low, asked.high) == (1.0, 1.0)


def test_sessions_without_returns_and_prices_that_are_absurd_move_nothing() -> None:
    quiet: list[dict[str, float | None]] = [{"A": 10.0, "B": None}, {"A": None, "B": None}] * 4
    assert volatility_asked(market_of(*quiet), VolatilityRule()).moved(1.0) == 1.0
    wild: list[dict[str, float | None]] = [{"A": 1e-8 if n % 2 else 1e12} for n in range(8)]
    rule = VolatilityRule(sessions=2, sessions_long=9, most=50.0)
    assert 1.0 <= volatility_asked(market_of(*wild), rule).moved(1.0) <= 50.0


# -- signal quality --------------------------------------------------------------------------------


def learned(sz: float, ss: float, **terms: Any) -> tuple[State, Source]:
    state = state_of()
    source = Source(SourceRegistered(event_id="r", event_time=T0, source="s", **terms))
    bucket = horizon_bucket(source.terms.horizon_sessions)
    source.skill.by_horizon[bucket] = Forecasts(sz=sz, ss=ss, weight=ss, outcomes=int(ss))
    return state, source


def test_quality_counts_as_far_as_it_is_sure() -> None:
    rule = QualityRule(deviations=1.0, least=0.0, most=10.0, step=0.01)
    state, source = learned(sz=400.0, ss=3600.0)
    rho = (400.0 * 0.05 + 400.0) / 4000.0
    sure = rho - 0.05 - 1.0 / math.sqrt(4000.0)
    asked = quality_asked(state, rule, source, "any")
    assert asked.low <= 1.0 + sure / 0.05 <= asked.high
    assert asked.high - asked.low == pytest.approx(0.01)
    blunt = quality_asked(state, QualityRule(deviations=10.0), source, "any")
    assert (blunt.low, blunt.high) == (1.0, 1.0)


def test_a_source_that_is_surely_worse_gets_less_down_to_the_bound() -> None:
    state, source = learned(sz=-400.0, ss=3600.0)
    assert quality_asked(state, QualityRule(least=0.25), source, "any").moved(1.0) == 0.25
    assert quality_asked(state, QualityRule(least=0.0), source, "any").moved(1.0) == 0.0


def test_nothing_learned_asks_for_nothing_also_without_a_margin() -> None:
    state, source = learned(sz=0.0, ss=0.0)
    for deviations in (0.0, 1.0):
        asked = quality_asked(state, QualityRule(deviations=deviations), source, "any")
        assert (asked.low, asked.high) == (1.0, 1.0)
    assert quality_asked(state, None, source, "any").moved(2.0) == 1.0


@law(60)
@given(
    scores=st.tuples(st.floats(-900.0, 900.0), st.floats(-900.0, 900.0)), now=st.floats(0.5, 2.0)
)
def test_a_better_record_never_gets_less(scores: tuple[float, float], now: float) -> None:
    rule = QualityRule(deviations=0.5, step=0.1)
    found = []
    for sz in sorted(scores):
        state, source = learned(sz, 3600.0)
        found.append(quality_asked(state, rule, source, "any"))
    worse, better = found
    assert worse.moved(1.0) <= better.moved(1.0)
    assert rule.least <= worse.moved(now) <= rule.most
