"""Forms: each one's raw score is what its rule says, bounded, and leans as it is meant."""

from __future__ import annotations

import json
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.forms import (
    QUINTILE_MEANS,
    RAW_MAX,
    form_of,
    leaning,
    normal_score,
    raw_score,
    stated,
)
from schemas.signals import FORMS, SignalIssued

FORM: dict[str, dict[str, Any]] = {
    "direction": {"direction": 1},
    "expected_return": {"expected_return": 0.08},
    "target_weight": {"target_weight": 0.05},
    "rank": {"rank": 9, "rank_of": 10},
    "probability_up": {"probability_up": 0.6},
    "quintiles": {"quintiles": (0.1, 0.1, 0.2, 0.2, 0.4)},
}
OPPOSITE: dict[str, dict[str, Any]] = {
    "direction": {"direction": -1},
    "expected_return": {"expected_return": -0.08},
    "target_weight": {"target_weight": -0.05},
    "rank": {"rank": 2, "rank_of": 10},
    "probability_up": {"probability_up": 0.4},
    "quintiles": {"quintiles": (0.4, 0.2, 0.2, 0.1, 0.1)},
}


def issued(**fields: Any) -> SignalIssued:
    return SignalIssued(
        event_id="1", event_time=0, source="s", strategy="s", instrument="A", **fields
    )


def raw(signal: SignalIssued, *, volatility: float = 0.02, horizon: float = 4.0) -> float:
    return raw_score(signal, volatility=volatility, horizon=horizon, risk_aversion=5.0)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_known_by_its_field_and_its_opposite_says_the_opposite(form: str) -> None:
    one, other = issued(**FORM[form]), issued(**OPPOSITE[form])
    assert form_of(one) == form_of(other) == form
    assert leaning(one) == pytest.approx(-leaning(other))
    assert leaning(one) > 0.0
    if form != "direction":
        assert raw(one) == pytest.approx(-raw(other))


def test_a_forecast_is_in_units_of_the_volatility_of_its_horizon() -> None:
    assert raw(issued(expected_return=0.08)) == pytest.approx(2.0)


def test_a_target_weight_is_the_forecast_that_would_make_it_optimal() -> None:
    sigma = 0.02 * 2.0
    implied = issued(expected_return=0.05 * 5.0 * sigma**2)
    assert raw(issued(target_weight=0.05)) == pytest.approx(raw(implied))


def test_ranks_are_bloms_scores_and_the_largest_is_the_best() -> None:
    scores = np.array([raw(issued(rank=r, rank_of=9)) for r in range(1, 10)])
    assert (np.diff(scores) > 0.0).all()
    assert scores.sum() == pytest.approx(0.0)
    assert scores[-1] == pytest.approx(NormalDist().inv_cdf(8.625 / 9.25))
    assert normal_score(5, 9) == pytest.approx(0.0)


def test_a_probability_is_the_score_that_would_come_out_so_often() -> None:
    assert raw(issued(probability_up=0.975)) == pytest.approx(1.959964, rel=1e-6)
    assert raw(issued(probability_up=0.5)) == 0.0
    assert -5.0 < raw(issued(probability_up=0.0)) < -4.0


def test_the_means_of_fifths_are_those_of_a_normal_variable() -> None:
    edges = [NormalDist().inv_cdf(p) for p in (0.2, 0.4, 0.6, 0.8)]
    density = [0.0, *(NormalDist().pdf(edge) for edge in edges), 0.0]
    means = [5.0 * (density[i] - density[i + 1]) for i in range(5)]
    assert means == pytest.approx(QUINTILE_MEANS, abs=0.005)


def test_fifths_that_nearly_add_up_to_one_are_taken_to() -> None:
    exact, loose = (0.0, 0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.0, 0.501, 0.501)
    assert raw(issued(quintiles=exact)) == pytest.approx(raw(issued(quintiles=loose)))
    assert stated(issued(quintiles=exact)) == pytest.approx(0.965)


@given(
    form=st.sampled_from(["expected_return", "target_weight"]),
    value=st.floats(-10, 10),
    volatility=st.floats(0, 10),
    horizon=st.floats(0, 10_000),
)
def test_no_forecast_can_swamp_its_sources_spread(
    form: str, value: float, volatility: float, horizon: float
) -> None:
    signal = issued(**{form: value})
    assert abs(raw(signal, volatility=volatility, horizon=horizon)) <= RAW_MAX


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "given: none"),
        ({"direction": 1, "rank": 1, "rank_of": 2}, "given: direction, rank"),
        ({"rank": 1}, "rank and rank_of go together"),
        ({"direction": 1, "rank_of": 5}, "rank and rank_of go together"),
        ({"rank": 6, "rank_of": 5}, "rank 6 of 5"),
        ({"quintiles": (0.2, 0.2, 0.2, 0.2, 0.1)}, "add up to 0.9"),
        ({"probability_up": 1.5}, "less than or equal to 1"),
        ({"strength": 0.5, "probability_up": 0.5}, "strength goes with direction"),
        ({"rank": 1, "rank_of": 2, "against": [{"instrument": "B"}]}, "against goes with"),
        ({"target_weight": 0.1, "against": [{"instrument": "B"}]}, "against goes with"),
        ({"direction": 1, "against": [{"instrument": "A"}]}, "none the signal's own"),
        ({"direction": 1, "against": [{"instrument": "B"}] * 2}, "each one once"),
        ({"direction": 1, "against": [{"instrument": "B", "weight": 0.0}]}, "greater than 0"),
    ],
)
def test_a_form_that_is_none_is_refused_with_its_fault(fields: dict[str, Any], said: str) -> None:
    names = {"event_id": "1", "event_time": 0, "source": "s", "strategy": "s", "instrument": "A"}
    with pytest.raises(ValueError, match=said):
        SignalIssued.model_validate_json(json.dumps(names | fields))
