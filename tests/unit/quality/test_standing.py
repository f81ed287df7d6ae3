"""Standing: risk, gains and liquidity of a portfolio against what can be reckoned by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from coordinator.core.ports import Floats, RiskEstimate, RiskSettings
from coordinator.quality.standing import Standing, measure
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    state_after,
)

CLOSES = 40


class Told:
    """A risk model that says what it was given."""

    def __init__(self, *rows: tuple[float, ...]) -> None:
        self.matrix = np.array(rows)

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        size = returns.shape[1]
        return self.matrix if self.matrix.shape == (size, size) else np.eye(size) * 1e-4

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        size = returns.shape[1]
        return RiskEstimate(np.zeros((0, size)), np.full(size, 1e-4), 0.25, float(len(returns)))


def world(make: Inputs, *more: Input) -> list[Input]:
    """Forty sessions of two names, one of which moves twice as much; 100 of A and -50 of B."""
    inputs = [make.listed("A", sector="Tech"), make.listed("B"), make.opened("p", cash="10000")]
    for n in range(CLOSES):
        step = math.sin(n)
        prices = {"A": 20.0 * (1 + 0.01 * step), "B": 10.0 * (1 + 0.02 * step)}
        inputs.append(make.close(prices, T0 + n * DAY + HOUR))
    end = T0 + CLOSES * DAY
    inputs += [make.fill("p", "A", "100", "20", end), make.fill("p", "B", "-50", "10", end)]
    return [*inputs, make.prices({"A": 20.0, "B": 10.0}, end + SECOND), *more]


def told(inputs: list[Input], model: Any, participation: float = 0.1) -> Standing:
    state = state_after(inputs)
    return measure(state, state.portfolios["p"], model, participation=participation)


def test_parametric_risk_is_that_of_a_normal_distribution() -> None:
    found = told(world(Inputs()), Told((4e-4, 1e-4), (1e-4, 9e-4))).risk
    weights = np.array([0.2, -0.05])
    sigma = math.sqrt(weights @ np.array([[4e-4, 1e-4], [1e-4, 9e-4]]) @ weights)
    assert found.volatility == pytest.approx(sigma)
    assert found.volatility_year == pytest.approx(sigma * math.sqrt(252))
    assert found.var == pytest.approx(-stats.norm.ppf(0.05, scale=sigma))
    tail = stats.norm.expect(lambda x: x, scale=sigma, ub=-found.var, conditional=True)
    assert found.shortfall == pytest.approx(-tail)


def test_parts_of_the_risk_add_up_to_all_of_it() -> None:
    found = told(world(Inputs()), Told((4e-4, 1e-4), (1e-4, 9e-4)))
    assert sum(one.risk_share for one in found.holdings) == pytest.approx(1.0)


def test_historical_risk_is_that_of_todays_weights_in_past_sessions() -> None:
    found = told(world(Inputs()), Told()).risk
    prices = np.array([[20 * (1 + 0.01 * math.sin(n)), 10 * (1 + 0.02 * math.sin(n))]
                       for n in range(CLOSES)])  # fmt: skip
    past = np.vstack([np.zeros(2), prices[1:] / prices[:-1] - 1]) @ np.array([0.2, -0.05])
    worst = np.sort(past)[:2]
    assert found.sessions == CLOSES
    assert found.var_historical == pytest.approx(-worst[1])
    assert found.shortfall_historical == pytest.approx(-worst.mean())


def test_beta_is_to_the_equal_weighted_market() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p", cash="10000")]
    inputs += [make.close({"A": 20.0 + math.sin(n)}, T0 + n * DAY + HOUR) for n in range(CLOSES)]
    inputs.append(make.fill("p", "A", "250", "20", T0 + CLOSES * DAY))
    inputs.append(make.prices({"A": 20.0}, T0 + CLOSES * DAY + SECOND))
    assert told(inputs, Told()).risk.beta == pytest.approx(0.5)


def test_few_sessions_tell_nothing_of_a_tail_or_a_beta() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p"), make.close({"A": 10.0}, T0 + HOUR)]
    inputs.append(make.fill("p", "A", "1", "10", T0 + 2 * HOUR))
    found = told(inputs, Told()).risk
    assert (found.var_historical, found.shortfall_historical, found.beta) == (None, None, None)


def test_selling_takes_as_long_as_the_volume_lets_it() -> None:
    found = told(world(Inputs()), Told(), participation=0.01)
    assert [one.sessions_to_sell for one in found.holdings] == pytest.approx([0.01, 0.005])
    assert found.sessions_to_sell == pytest.approx(0.01)
    assert [one.average_cost for one in found.holdings] == [20.0, 10.0]


def test_gains_add_up_and_what_rates_did_is_told_apart() -> None:
    make = Inputs()
    inputs = [make.rate("EUR/USD", 1.0, T0), make.listed("E", currency="EUR"), make.opened("p")]
    inputs += [
        make.moved("p", "1000", T0 + HOUR, currency="EUR"),
        make.fill("p", "E", "10", "50", T0 + HOUR, fee="1"),
        make.fill("p", "E", "-4", "60", T0 + 2 * HOUR),
        make.rate("EUR/USD", 1.5, T0 + 3 * HOUR),
        make.prices({"E": 70.0}, T0 + 3 * HOUR),
    ]
    gains = told(inputs, Told()).gains
    assert (gains.realised, gains.unrealised, gains.charges) == (60.0, 180.0, 1.5)
    parts = gains.realised + gains.unrealised - gains.charges + gains.currencies
    assert float(gains.gain) == pytest.approx(parts)
    assert gains.currencies == pytest.approx(500.0)  # 1,000 EUR were put in at 1.0


def test_nothing_held_risks_nothing() -> None:
    make = Inputs()
    found = told([make.opened("p")], Told())
    assert (found.risk.volatility, found.holdings, found.sessions_to_sell) == (0.0, (), None)


def test_factors_are_weights_times_exposures_and_the_market_is_the_beta_of_limits() -> None:
    make = Inputs()
    exposed = [{"factor": "value", "exposure": 0.5}]
    inputs = [make.listed("A", factors=exposed), make.listed("B"), make.opened("p", cash="10000")]
    inputs.append(make.close({"A": 20.0, "B": 10.0}, T0 + HOUR))
    inputs += [make.fill("p", "A", "100", "20", T0 + 2 * HOUR),
               make.fill("p", "B", "-50", "10", T0 + 2 * HOUR)]  # fmt: skip
    found = told(inputs, Told())
    factors = {one.factor: one.exposure for one in found.factors}
    assert factors == {"market": pytest.approx(0.2 - 0.05), "value": pytest.approx(0.1)}
