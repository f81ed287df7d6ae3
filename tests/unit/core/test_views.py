"""Stage A, first half: scores, skills, what falls into the horizon, who is heard."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.state import Source, Spread, View
from coordinator.core.views import (
    heard,
    horizon_of,
    scored_views,
    scores,
    skill_over,
    skills,
)
from schemas.control import Parameters, SourceRegistered
from schemas.portfolios import Mandate
from tests.unit.core.planted import Scored, board_of, state_of, view

USUAL = Parameters()


def source(**changes: float) -> Source:
    made = Source(SourceRegistered(event_id="s", event_time=0, source="s"))
    spread = Spread(changes.get("count", 0.0), changes.get("squares", 0.0))
    made.spreads["expected_return"] = spread
    return made


def score(given_view: View, of: Source, parameters: Parameters) -> float:
    (found,) = scores([given_view], {given_view.source: of}, parameters)
    return found


def skill(given_view: View, parameters: Parameters) -> float:
    (found,) = skills([given_view], {given_view.source: source()}, parameters)
    return found


@given(strength=st.floats(0.0, 1.0), direction=st.sampled_from([-1, 0, 1]))
def test_every_strength_has_a_score_within_the_bound(strength: float, direction: int) -> None:
    found = score(view(direction=direction, strength=strength), source(), USUAL)
    assert abs(found) <= USUAL.score_max
    assert found * direction >= 0


@pytest.mark.parametrize("strength", [0.9999999999999999, math.nextafter(1.0, 0.0), 1.0])
def test_a_strength_that_rounds_to_certainty_scores_the_most(strength: float) -> None:
    assert score(view(direction=-1, strength=strength), source(), USUAL) == -USUAL.score_max


def test_a_strength_is_a_quantile_of_the_half_normal() -> None:
    found = score(view(strength=0.6), source(), USUAL)
    assert found == pytest.approx(NormalDist().inv_cdf(0.8))
    assert score(view(direction=-1), source(), USUAL) == -1.0


def test_a_forecast_is_measured_by_its_sources_own_spread() -> None:
    raw = view(direction=None, raw=0.4, form="expected_return")
    fresh = score(raw, source(), USUAL)
    seasoned = score(raw, source(count=10_000, squares=10_000 * 0.04), USUAL)
    assert fresh == USUAL.score_max
    assert seasoned == pytest.approx(0.4 / math.sqrt(0.04), rel=2e-3)


def test_skill_is_the_prior_unless_a_confidence_is_stated() -> None:
    assert skill(view(), USUAL) == USUAL.skill_prior
    half = skill(view(confidence=0.5, strength=0.5), USUAL)
    assert half == pytest.approx(math.sin(math.pi * 0.0399 * 0.5))
    assert skill(view(confidence=0.5), USUAL) == pytest.approx(math.sqrt(2 / math.pi) * half)


def over(rho: float, *, horizon: float, age: float, ahead: float) -> float:
    return float(
        skill_over(np.array(rho), horizon=np.array(horizon), age=np.array(age), ahead=ahead)
    )


@given(horizon=st.floats(0.1, 100), ahead=st.floats(0.1, 100), age=st.floats(0, 200))
def test_skill_over_is_bounded_and_is_gone_after_the_horizon(
    horizon: float, ahead: float, age: float
) -> None:
    found = over(0.3, horizon=horizon, age=age, ahead=ahead)
    assert 0.0 <= found <= 0.5
    assert age < horizon or found == 0.0


def test_a_fresh_signal_of_the_same_horizon_keeps_its_skill() -> None:
    assert over(0.05, horizon=5.0, age=0.0, ahead=5.0) == pytest.approx(0.05)
    parts = over(0.05, horizon=5.0, age=0.0, ahead=2.0) * math.sqrt(2 / 5)
    parts += over(0.05, horizon=5.0, age=2.0, ahead=3.0) * math.sqrt(3 / 5)
    assert parts == pytest.approx(0.05)


def test_an_inverted_skill_stays_inverted() -> None:
    assert over(-0.05, horizon=5.0, age=0.0, ahead=5.0) == pytest.approx(-0.05)


@given(
    confidence=st.sampled_from([0.0, 5e-324, 1e-12, 1.0]),
    skill_min=st.sampled_from([0.0, 0.005]),
    horizon=st.sampled_from([5e-324, 1e-300, 1.0, 10_000.0]),
)
def test_a_view_that_counts_has_a_finite_variance(
    confidence: float, skill_min: float, horizon: float
) -> None:
    state = state_of()
    state.parameters = Parameters(skill_min=skill_min)
    given_view = view(confidence=confidence, horizon=horizon)
    rows, without = scored_views(state, [given_view], picks={"A": 0}, ahead=5.0)
    assert len(rows) + len(without) == 1
    assert np.isfinite(rows.k).all()
    assert (rows.k > 0).all()


def test_views_without_a_price_a_direction_or_time_left_are_without_effect() -> None:
    state = state_of()
    views = [view(), view(direction=0), view(instrument="X"), view(session=-9.0)]
    rows, without = scored_views(state, views, picks={"A": 0}, ahead=5.0)
    assert list(rows.views) == views[:1]
    assert without == views[1:]


def test_k_is_the_variance_that_gives_grinolds_rule() -> None:
    assert board_of([Scored(view(), 0, 1.0, 0.1)]).k == pytest.approx([99.0])


def test_a_portfolio_hears_its_universe_its_sources_and_nobody_muted() -> None:
    state = state_of()
    portfolio = state.portfolios["p"]
    every = [
        view(),
        view(instrument="B"),
        view(instrument="B", source="u"),
        view(strategy="x"),
    ]
    state.views = {one.key: one for one in every}
    assert len(heard(state, portfolio)) == 4
    state.sources["u"].muted = True
    state.sources["s"].muted_strategies = ("x",)
    assert heard(state, portfolio) == [every[0], every[1]]
    portfolio.mandate = Mandate(universe=("B",), sources=("s",))
    assert heard(state, portfolio) == [every[1]]


def test_the_horizon_is_the_mandates_else_the_median_but_no_shorter_than_the_least() -> None:
    portfolio = state_of().portfolios["p"]
    views = [view(horizon=h) for h in (1.0, 8.0, 100.0)]
    assert horizon_of(views, portfolio, USUAL) == 8.0
    assert horizon_of(views[:1], portfolio, USUAL) == USUAL.horizon_sessions_min
    assert horizon_of([], portfolio, USUAL) == USUAL.horizon_sessions_min
    portfolio.mandate = Mandate(horizon_sessions=2.0)
    assert horizon_of(views, portfolio, USUAL) == 2.0


opinions = st.lists(
    st.builds(
        view,
        instrument=st.sampled_from("ABX"),
        source=st.sampled_from("su"),
        direction=st.sampled_from([None, -1, 0, 1]),
        raw=st.sampled_from([-0.5, 0.2]),
        confidence=st.sampled_from([None, 0.7]),
        horizon=st.sampled_from([0.5, 5.0]),
    ),
    min_size=3,
    max_size=4,
)


@given(pool=opinions, rounds=st.lists(st.lists(st.integers(0, 2), min_size=2), max_size=5))
def test_what_was_read_in_rounds_before_changes_no_bit(
    pool: list[View], rounds: list[list[int]]
) -> None:
    warm = state_of()
    for number, chosen in enumerate(rounds):
        views = sorted((pool[i] for i in chosen), key=lambda one: one.key)
        cold = state_of()
        for state in (warm, cold):
            state.sources["s"].spreads["expected_return"] = Spread(9.0 * number, number)
        found, without = scored_views(warm, views, picks={"A": 0, "B": 1}, ahead=5.0)
        anew, others = scored_views(cold, views, picks={"A": 0, "B": 1}, ahead=5.0)
        assert (found.views, found.references, without) == (anew.views, anew.references, others)
        assert (found.sources, found.rows_of(0) if len(found) else ()) == (
            anew.sources,
            anew.rows_of(0) if len(anew) else (),
        )
        for column in ("pick", "source", "score", "skill", "soon", "k", "slot", "first", "count"):
            assert getattr(found, column).tobytes() == getattr(anew, column).tobytes(), column


def test_views_that_could_not_be_read_leave_nothing_half_read() -> None:
    state, views = state_of(), [view(), view(instrument="B")]
    scored_views(state, views, picks={"A": 0, "B": 1}, ahead=5.0)
    strange = [view(signal_id="2", direction=-1), view(source="z", direction=None)]
    with pytest.raises(KeyError):
        scored_views(state, strange, picks={"A": 0, "B": 1}, ahead=5.0)
    found, _ = scored_views(state, views, picks={"A": 0, "B": 1}, ahead=5.0)
    assert found.score.tolist() == [1.0, 1.0]
    assert found.references == ("s/1", "s/1")


def test_of_more_baskets_than_a_round_weighs_the_surest_count() -> None:
    state = state_of()
    state.parameters = Parameters(baskets_max=2)
    views = [
        view(signal_id=str(i), strategy=f"t{i}", strength=strength, against=(("B", 1.0 + i),))
        for i, strength in enumerate((0.2, 0.9, 0.5, 0.1))
    ]
    plain = view(signal_id="p", strategy="z")
    board, without = scored_views(state, [*views, plain], picks={"A": 0, "B": 1}, ahead=5.0)
    assert sorted(one.signal_id for one in board.views) == ["1", "2", "p"]
    assert sorted(one.signal_id for one in without) == ["0", "3"]
