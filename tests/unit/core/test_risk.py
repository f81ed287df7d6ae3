"""Which published models count, until when, and that decisions are made from them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

from coordinator.bootstrap import risk_model
from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.ports import Floats
from coordinator.core.risk import _repeated, covariance_of, published_now, risk_settings
from coordinator.core.state import State
from schemas.base import parse_time
from schemas.control import Parameters
from schemas.decisions import AllocationDecided
from schemas.verdicts import InputRejected
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run, state_after

NAMES = ("A", "B", "C")
MODEL: dict[str, Any] = {
    "name": "m", "instruments": ["A", "B"], "factors": ["mkt"], "loadings": [0.01, 0.02],
    "specific": [1e-4, 4e-4],
}  # fmt: skip
BLOCK = np.array([[2e-4, 2e-4], [2e-4, 8e-4]])


def published(make: Inputs, at: int, **fields: Any) -> Input:
    return make.make("market", "RiskModelPublished", at, **(MODEL | fields))


def changed(make: Inputs, at: int, **fields: Any) -> Input:
    return make.make("control", "ParametersChanged", at, parameters=fields)


def closes(make: Inputs, first: int, last: int) -> list[Input]:
    prices = (
        {name: 20.0 + math.sin(n * (i + 1)) for i, name in enumerate(NAMES)}
        for n in range(first, last)
    )
    return [make.close(one, T0 + n * DAY) for n, one in enumerate(prices, first)]


def opening(make: Inputs, sessions: int = 10) -> list[Input]:
    listed = [make.listed(name) for name in NAMES]
    return [*listed, make.registered("s"), make.opened("p"), *closes(make, 0, sessions)]


def sigma_of(state: State, *names: str, currency: str = "USD", horizon: float = 1.0) -> Floats:
    return covariance_of(state, names, currency=currency, horizon=horizon, risk_model=risk_model())


def test_a_published_model_counts_for_its_instruments_until_it_is_too_old() -> None:
    make = Inputs()
    inputs = opening(make)
    own = sigma_of(state_after(inputs), "A", "B")
    inputs.append(published(make, T0 + 9 * DAY + HOUR))
    for more in range(7):
        state = state_after([*inputs, *closes(make, 10, 10 + more)])
        found = sigma_of(state, "A", "B", horizon=2.0)
        assert np.allclose(found, 2.0 * BLOCK) == (more < 5)
    assert not np.allclose(own, BLOCK)


def test_a_decision_is_made_from_the_published_model() -> None:
    make = Inputs()
    inputs = opening(make)
    signal = [make.signal("s", "A", T0 + 9 * DAY + 2 * HOUR)]
    model = published(make, T0 + 9 * DAY + HOUR, loadings=[0.1, 0.2], specific=[0.01, 0.04])
    sizes = [
        abs(float(events_of(run(some, end=T0 + 10 * DAY), AllocationDecided)[0].trades[0].quantity))
        for some in ([*inputs, *signal], [*inputs, model, *signal])
    ]
    assert sizes[1] < 0.5 * sizes[0]


def test_the_age_is_by_the_engines_clock_where_that_counts_sessions() -> None:
    make = Inputs()
    inputs = [changed(make, T0 - HOUR, sessions="clock", risk_published_sessions_max=2)]
    inputs += [*opening(make, 2), published(make, T0 + DAY)]
    ages = (T0 + 2 * DAY, T0 + 3 * DAY - SECOND, T0 + 3 * DAY)
    used = [published_now(state_after(inputs, end=end)) is not None for end in ages]
    assert used == [True, True, False]


def test_instruments_of_another_currency_are_not_the_services_to_say() -> None:
    make = Inputs()
    inputs = [make.rate("EUR/USD", 1.1, T0), make.listed("E", currency="EUR"), *opening(make)]
    model = published(make, T0 + 9 * DAY + HOUR, instruments=["A", "E"])
    state = state_after([*inputs, model])
    assert sigma_of(state, "A", "E")[0, 0] == pytest.approx(BLOCK[0, 0])
    assert sigma_of(state, "A", "E")[1, 1] != pytest.approx(BLOCK[1, 1])
    assert sigma_of(state, "E", currency="EUR")[0, 0] == pytest.approx(BLOCK[1, 1])


def test_the_one_that_the_parameters_name_counts() -> None:
    make = Inputs()
    inputs = [changed(make, T0 - HOUR, risk_published="m"), *opening(make)]
    inputs += [published(make, T0 + 9 * DAY + HOUR), published(make, T0 + 9 * DAY + HOUR, name="o")]
    log = run([*inputs], end=T0 + 10 * DAY)
    (refused,) = events_of(log, InputRejected)
    assert (refused.reason, refused.detail) == ("unsupported", "risk_published says m")
    state = state_after([*inputs, changed(make, T0 + 10 * DAY, risk_published="o")])
    assert state.published is not None
    assert published_now(state) is None


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"instruments": ["A", "X"]}, "unknown_instrument", "X"),
        ({"instruments": ["A", "A"]}, "contradictory", "instruments: A stands there twice"),
        ({"loadings": [0.01, 20.0]}, "out_of_range",
         "B: a volatility of 20 a session is not within 1e-06 to 10"),
        ({"loadings": [0.0, 0.02], "specific": [0.0, 4e-4]}, "out_of_range",
         "A: a volatility of 0 a session is not within 1e-06 to 10"),
        ({"factor_covariance": [-1.0]}, "out_of_range",
         "factor_covariance: variance of mkt is -1"),
        ({"factors": ["f", "g"], "loadings": [1, 0, 0, 1], "factor_covariance": [4, 1, 2, 4]},
         "out_of_range", "factor_covariance: (f, g) is 1, (g, f) is 2"),
        ({"factors": ["f", "g"], "loadings": [1, 0, 0, 1], "factor_covariance": [1, 2, 2, 1]},
         "out_of_range",
         "factor_covariance: not positive semidefinite, its smallest eigenvalue is -1"),
        ({"factors": ["f", "f"], "loadings": [1, 0, 0, 1]}, "contradictory",
         "factors: f stands there twice"),
        ({"event_time": T0 + 11 * DAY}, "future", ""),
        ({"event_time": T0 - DAY}, "stale", "older than lateness_ms_max"),
    ],
)  # fmt: skip
def test_an_unsound_model_is_refused_whole_and_says_which_number(
    fields: dict[str, Any], reason: str, detail: str
) -> None:
    make = Inputs()
    inputs = [*opening(make), published(make, T0 + 9 * DAY + HOUR, **fields)]
    (refused,) = events_of(run(inputs, end=T0 + 10 * DAY), InputRejected)
    assert (refused.event, refused.reason, refused.detail) == ("RiskModelPublished", reason, detail)
    assert state_after(inputs).published is None


def test_the_name_that_is_told_twice_is_the_first_repeated_one_however_many_there_are() -> None:
    assert _repeated(["A", "B", "C", "B", "A"]) == "B"
    assert _repeated(["A", "B"]) is None
    many = [f"N{i}" for i in range(50_000)]
    began = process_time()
    assert _repeated([*many, "N7"]) == "N7"
    assert process_time() - began < 1.0  # comparing each with all before takes tens of seconds


def test_a_model_of_an_earlier_time_does_not_take_a_later_ones_place() -> None:
    make = Inputs()
    late = {"event_time": T0 + 9 * DAY, "specific": [1.0, 1.0]}
    inputs = [*opening(make), published(make, T0 + 9 * DAY + HOUR)]
    inputs.append(published(make, T0 + 9 * DAY + 2 * HOUR, **late))
    (refused,) = events_of(run(inputs, end=T0 + 10 * DAY), InputRejected)
    assert (refused.reason, refused.detail) == ("stale", "m is known of a later time")
    assert np.allclose(sigma_of(state_after(inputs), "A", "B"), BLOCK)


def test_none_is_used_where_the_parameters_want_none() -> None:
    make = Inputs()
    inputs = [*opening(make), changed(make, T0 + 9 * DAY, risk_published_sessions_max=0)]
    inputs.append(published(make, T0 + 9 * DAY + HOUR))
    (refused,) = events_of(run(inputs, end=T0 + 10 * DAY), InputRejected)
    assert refused.reason == "unsupported"


def test_the_pages_example_is_a_model_that_counts() -> None:
    page = (Path(__file__).parents[3] / "ops" / "docs" / "risk.md").read_text(encoding="utf-8")
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    make, at = Inputs(), parse_time(example.pop("event_time"))
    listed = [make.listed(name, at) for name in example["instruments"]]
    state = state_after([*listed, make.make("market", example.pop("type"), at, **example)])
    found = sigma_of(state, "AAPL", "XOM")
    assert np.sqrt(np.diag(found)) == pytest.approx([0.01642, 0.02039], abs=1e-5)


def test_a_published_model_survives_a_restart_to_the_last_bit() -> None:
    make = Inputs()
    state = state_after([*opening(make), published(make, T0 + 9 * DAY + HOUR)])
    again = decode_state(encode_state(state))
    assert encode_state(again) == encode_state(state)
    assert np.array_equal(sigma_of(again, *NAMES), sigma_of(state, *NAMES))


def test_every_setting_of_the_models_is_a_parameter() -> None:
    plain = risk_settings(Parameters())
    other = risk_settings(
        Parameters(
            risk_model="ewma", risk_volatility_prior=0.5, risk_correlation_prior=0.5,
            risk_weight_prior=5.0, risk_volatility_half_life_sessions=5.0,
            risk_correlation_half_life_sessions=6.0, risk_shrinkage=0.5, risk_factors=3,
        )
    )  # fmt: skip
    assert all(getattr(plain, name) != getattr(other, name) for name in plain.__slots__)


def test_the_model_that_the_parameters_choose_is_the_one_that_is_asked() -> None:
    make = Inputs()
    inputs = opening(make, 30)
    found = [
        sigma_of(state_after([*inputs, changed(make, T0 + 30 * DAY, risk_model=kind)]), *NAMES)
        for kind in ("blended", "ewma", "factor")
    ]
    assert not any(np.allclose(found[i], found[j], rtol=1e-3) for i, j in ((0, 1), (0, 2), (1, 2)))
