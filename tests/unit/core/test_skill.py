"""Skill: priors, what outcomes make of them, intervals, calibration of stated confidence."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.skill import (
    Forecasts,
    Skill,
    calibrated,
    horizon_bucket,
    learned_skill,
    skill_error,
    skill_interval,
)
from schemas.control import Parameters

USUAL = Parameters()


def told(rho: float, count: int, *, seed: int = 1, horizon: float = 5.0) -> Skill:
    """A source of that skill, after so many outcomes."""
    rng = np.random.default_rng(seed)
    outcomes = rng.standard_normal(count)
    scores = rho * outcomes + math.sqrt(1 - rho**2) * rng.standard_normal(count)
    skill = Skill()
    forecasts = skill.by_horizon.setdefault(horizon_bucket(horizon), Forecasts())
    for score, outcome in zip(scores.tolist(), outcomes.tolist(), strict=True):
        forecasts.add(score, outcome, 1.0)
    return skill


def confident(truth: dict[float, float], count: int, *, seed: int = 1) -> Skill:
    """A source whose confidences are right as often as the truth says, in turn."""
    rng = np.random.default_rng(seed)
    skill = Skill()
    for _ in range(count):
        for stated, rate in truth.items():
            given_rate = calibrated(skill, stated, USUAL)
            hit = bool(rng.random() < rate)
            skill.calibration.add(stated, given_rate, hit=hit, weight=1.0)
    return skill


def test_before_outcomes_a_source_has_the_prior_skill_at_every_horizon() -> None:
    low, high = skill_interval(Skill(), 5.0, USUAL)
    assert learned_skill(Skill(), 5.0, USUAL) == USUAL.skill_prior
    assert (low, high) == pytest.approx((0.05 - 1.96 * 0.05, 0.05 + 1.96 * 0.05), abs=1e-4)


@pytest.mark.parametrize("rho", [0.1, 0.02, 0.0, -0.05])
def test_many_outcomes_say_what_the_skill_is_whatever_its_sign(rho: float) -> None:
    skill = told(rho, 40_000)
    low, high = skill_interval(skill, 5.0, USUAL)
    assert learned_skill(skill, 5.0, USUAL) == pytest.approx(rho, abs=0.015)
    assert low < rho < high
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(40_400), rel=0.05)


def test_the_error_is_the_posteriors_and_the_interval_is_made_of_it() -> None:
    skill = told(0.1, 3_000)
    ss = skill.by_horizon[horizon_bucket(5.0)].ss
    error = skill_error(skill, 5.0, USUAL)
    assert error == pytest.approx((USUAL.skill_count_prior + ss) ** -0.5, rel=1e-12)
    low, high = skill_interval(skill, 5.0, USUAL)
    assert high - low == pytest.approx(2 * NormalDist().inv_cdf(0.975) * error, rel=1e-7)


def test_few_outcomes_move_the_prior_a_little() -> None:
    assert learned_skill(told(-0.5, 20), 5.0, USUAL) == pytest.approx(0.05 - 0.03, abs=0.02)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    wide = Parameters(skill_count_prior=1.0)
    held = 0
    for seed in range(200):
        low, high = skill_interval(told(0.08, 500, seed=seed), 5.0, wide)
        held += low < 0.08 < high
    assert 0.9 <= held / 200 <= 0.99


def test_skill_is_learned_by_horizon() -> None:
    skill = told(0.2, 5_000, horizon=5.0)
    assert learned_skill(skill, 7.9, USUAL) > 0.1
    for other in (3.9, 8.0, 1.0, 0.2):
        assert learned_skill(skill, other, USUAL) == USUAL.skill_prior


def test_what_is_forgotten_leaves_the_prior() -> None:
    skill = told(-0.3, 5_000)
    for _ in range(200):
        skill.fade(0.9)
    assert learned_skill(skill, 5.0, USUAL) == pytest.approx(USUAL.skill_prior, abs=1e-6)


@given(st.floats(0.0, 1.0))
def test_before_outcomes_confidence_means_the_prior_and_is_never_inverted(stated: float) -> None:
    rate = calibrated(Skill(), stated, USUAL)
    assert rate == pytest.approx(0.5 + USUAL.confidence_slope_prior * stated)


CASES = {
    "honest": {0.5: 0.5, 0.6: 0.6, 0.7: 0.7},
    "overconfident": {0.6: 0.52, 0.75: 0.55, 0.9: 0.58},
    "inverted": {0.5: 0.5, 0.6: 0.4, 0.7: 0.3},
    "random": {0.5: 0.5, 0.7: 0.5, 0.9: 0.5},
}


@pytest.mark.parametrize("kind", CASES)
def test_stated_confidence_is_mapped_to_how_often_it_is_right(kind: str) -> None:
    skill = confident(CASES[kind], 4_000)
    for stated, rate in CASES[kind].items():
        assert calibrated(skill, stated, USUAL) == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize("kind", ["overconfident", "inverted", "random"])
def test_calibrated_confidence_beats_what_was_stated_in_both_losses(kind: str) -> None:
    found = confident(CASES[kind], 1_000).calibration
    assert found.brier_calibrated < 0.99 * found.brier_stated
    assert found.log_calibrated < 0.99 * found.log_stated


def test_an_honest_source_loses_next_to_nothing_by_it() -> None:
    found = confident(CASES["honest"], 2_000).calibration
    assert found.brier_calibrated < 1.01 * found.brier_stated


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0, 1)), max_size=50),
    st.floats(0, 1),
)
def test_a_hit_rate_is_always_a_probability(
    outcomes: list[tuple[float, bool, float]], stated: float
) -> None:
    skill = Skill()
    for confidence, hit, weight in outcomes:
        skill.calibration.add(confidence, 0.5, hit=hit, weight=weight)
    assert 0.0 <= calibrated(skill, stated, USUAL) <= 1.0
