"""The figures of the risk model behind a portfolio: age, condition, what is published, bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from coordinator.bootstrap import risk_model
from coordinator.core.bias import told
from coordinator.core.risk import covariance_of
from coordinator.quality.risk import ModelFigures
from coordinator.quality.standing import measure
from tests.journals import DAY, HOUR, T0, Input, Inputs, state_after


def world(make: Inputs, sessions: int = 30, *, stop: int | None = None) -> list[Input]:
    """100 of A and 50 of B; A has no price from the session `stop` on, nor has B."""
    inputs = [make.listed("A"), make.listed("B"), make.listed("C"), make.opened("p", cash="10000")]
    for n in range(sessions):
        prices = {"A": 20 + math.sin(n), "B": 10 + math.cos(3 * n), "C": 5.0}
        kept = {k: v for k, v in prices.items() if stop is None or n < stop or k == "C"}
        inputs.append(make.close(kept, T0 + n * DAY))
        if n == 0:
            inputs.append(make.fill("p", "A", "100", "20", T0 + HOUR))
            inputs.append(make.fill("p", "B", "50", "10", T0 + HOUR))
    return inputs


def figures(inputs: list[Input]) -> ModelFigures:
    state = state_after(inputs)
    return measure(state, state.portfolios["p"], risk_model(), participation=0.1).model


def test_age_counts_sessions_since_the_newest_return_of_what_is_held() -> None:
    assert figures(world(Inputs())).age == 0
    late = figures(world(Inputs(), stop=25))
    assert (late.age, late.sessions) == (5, 30)
    assert late.known == pytest.approx(24 / 30)  # the first session has no return


@pytest.mark.parametrize("model", ["blended", "ewma", "factor"])
def test_the_model_says_what_it_is_made_of(model: str) -> None:
    make = Inputs()
    terms = {"risk_model": model, "risk_factors": 1, "risk_shrinkage": 0.25}
    changed = make.make("control", "ParametersChanged", T0, parameters=terms)
    state = state_after([changed, *world(make)])
    found = measure(state, state.portfolios["p"], risk_model(), participation=0.1).model
    sigma = covariance_of(
        state, ("A", "B"), currency="USD", horizon=1.0, risk_model=risk_model()
    )  # fmt: skip
    values = np.linalg.eigvalsh(sigma)
    assert found.condition == pytest.approx(values[1] / values[0])
    assert (found.model, found.factors) == (model, 1 if model == "factor" else None)
    assert found.shrinkage == pytest.approx(0.25 if model == "ewma" else 60 / 90, abs=0.02)
    assert found.observations == pytest.approx(30, abs=0.1)


def test_bias_is_told_with_its_count_once_there_are_enough() -> None:
    few, enough = figures(world(Inputs(), 15)), figures(world(Inputs(), 40))
    assert (few.bias, few.forecasts) == (None, 14 - 1)
    state = state_after(world(Inputs(), 40))
    assert enough.bias == told(state.biases["p"])
    assert enough.bias is not None
    assert enough.bias.low < enough.bias.bias < enough.bias.high


def published(make: Inputs, at: int, **fields: Any) -> Input:
    terms = {"name": "m", "factors": ["f"], "instruments": ["A", "C"], "loadings": [0.01, 0.02],
             "specific": [1e-4, 1e-4]}  # fmt: skip
    return make.make("market", "RiskModelPublished", at, **(terms | fields))


def test_a_published_model_shows_its_age_and_whether_it_counts() -> None:
    make = Inputs()
    inputs = [*world(make), published(make, T0 + 29 * DAY + HOUR)]
    told_of = []
    for more in range(7):
        found = figures(inputs).published
        assert found is not None
        told_of.append((found.age, found.used, found.covers))
        prices = {"A": 20.0, "B": 10.0, "C": 5.0}
        inputs.append(make.close(prices, T0 + (30 + more) * DAY))
    assert told_of == [(float(n), n < 5, 1) for n in range(7)]


def test_nothing_held_has_no_condition() -> None:
    found = figures([Inputs().opened("p")])
    assert (found.condition, found.age, found.known, found.published) == (None, None, None, None)
