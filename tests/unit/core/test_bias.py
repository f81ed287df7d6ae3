"""Whether the bias of a portfolio's forecasts is what its definition says, and survives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from coordinator.bootstrap import risk_model
from coordinator.core.bias import Bias, forecasts_end, told
from coordinator.core.checkpoint import decode_state, encode_state, portfolio_digest
from coordinator.core.ports import Floats, RiskEstimate, RiskSettings
from coordinator.core.risk import covariance_of, published_now, risk_settings
from coordinator.log.memory import MemoryLog
from tests.journals import DAY, HOUR, T0, Input, Inputs, engine, lay, state_after, zero_clock


def walk(
    n: int, *, names: str = "AB", sigma: float = 0.02, seed: int = 0
) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    prices = 20.0 * np.cumprod(1.0 + sigma * rng.standard_normal((n, len(names))), axis=0)
    return [dict(zip(names, row.tolist(), strict=True)) for row in prices]


def held(make: Inputs, prices: list[dict[str, float]], **parameters: Any) -> list[Input]:
    """100 of A and -50 of B from the first session on, of a portfolio that decides nothing."""
    settings = {"learning": False, "risk_bias_half_life_sessions": 10.0} | parameters
    inputs = [make.make("control", "ParametersChanged", T0, parameters=settings)]
    inputs += [make.listed("A"), make.listed("B"), make.opened("p", cash="10000")]
    inputs.append(make.close(prices[0], T0 + HOUR))
    inputs += [make.fill("p", "A", "100", "20", T0 + 2 * HOUR)]
    inputs += [make.fill("p", "B", "-50", "20", T0 + 2 * HOUR)]
    return inputs + [
        make.close(one, T0 + n * DAY + HOUR) for n, one in enumerate(prices[1:], start=1)
    ]


def by_hand(prices: list[dict[str, float]], **parameters: Any) -> list[float]:
    """Standardised returns, each forecast from a state of what was known at the close before."""
    found = []
    for n in range(1, len(prices) - 1):
        state = state_after(held(Inputs(), prices[: n + 1], **parameters))
        worth = {name: float(state.portfolios["p"].positions[name]) * prices[n][name]
                 for name in "AB"}  # fmt: skip
        nav = float(state.portfolios["p"].cash) + sum(worth.values())
        weights = np.array([worth["A"], worth["B"]]) / nav
        sigma = state.market.risk(
            ("A", "B"), currency="USD", horizon=1.0, risk_model=risk_model(),
            settings=risk_settings(state.parameters),
        ).covariance  # fmt: skip
        moves = np.array([prices[n + 1][name] / prices[n][name] - 1 for name in "AB"])
        found.append(float(weights @ moves) / math.sqrt(weights @ sigma @ weights))
    return found


class Counted:
    """The risk model, and the shapes of what it was asked for."""

    def __init__(self) -> None:
        self.model, self.asked = risk_model(), list[tuple[int, ...]]()

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        self.asked.append(returns.shape)
        return self.model.covariance(returns, settings)

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        self.asked.append(returns.shape)
        return self.model.estimate(returns, settings)


def many(make: Inputs, *, service: bool) -> list[Input]:
    """Five portfolios with names of their own, one of them in euros; ten sessions."""
    prices = walk(10, names="ABCDE", seed=7)
    inputs = [make.listed(name) for name in "ABCDE"]
    inputs += [make.rate("EUR/USD", 1.1, T0), make.opened("e", currency="EUR", cash="10000")]
    inputs += [make.opened(f"p{n}", cash="10000") for n in range(4)]
    inputs.append(make.close(prices[0], T0 + HOUR))
    held = {"p0": "AB", "p1": "BC", "p2": "CA", "p3": "D", "e": "AE"}
    inputs += [
        make.fill(name, one, str(10 * (1 + n)), "20", T0 + 2 * HOUR)
        for name, names in held.items()
        for n, one in enumerate(names)
    ]
    for n, one in enumerate(prices[1:], start=1):
        inputs.append(make.close(one, T0 + n * DAY + HOUR))
        if service and n == 7:
            model = {"name": "m", "instruments": ["A", "B"], "factors": ["mkt"],
                     "loadings": [0.01, 0.02], "specific": [1e-4, 4e-4]}  # fmt: skip
            inputs.append(make.make("market", "RiskModelPublished", T0 + 8 * DAY, **model))
    return inputs


@pytest.mark.parametrize("service", [False, True])
def test_a_close_asks_once_for_each_currency_and_each_forecast_is_of_its_own_names(
    service: bool,
) -> None:
    state, counted = state_after(many(Inputs(), service=service)), Counted()
    before = {name: bias.forecast for name, bias in state.biases.items()}
    forecasts_end(state, counted)
    assert counted.asked == [(10, 2), (10, 4)]  # euros: A, E; dollars: A to D
    assert (published_now(state) is not None) == service
    for name, bias in state.biases.items():
        currency, own = state.portfolios[name].currency, tuple(bias.weights)
        # Every return is known, so that `blended` says the same of names whatever others it sees;
        # a name that a service leaves out follows those of the union that it speaks of.
        names = tuple("AE" if currency == "EUR" else "ABCD") if service else own
        sigma = covariance_of(state, names, currency=currency, horizon=1.0, risk_model=risk_model())
        weights = np.array([bias.weights.get(one, 0.0) for one in names])
        assert bias.forecast == pytest.approx(math.sqrt(weights @ sigma @ weights), rel=1e-9)
        assert bias.forecast == before[name]
    assert len({round(one, 9) for one in before.values()}) == 5


def test_where_a_model_depends_on_the_set_of_names_the_forecast_is_that_of_the_union() -> None:
    make = Inputs()
    factor = {"risk_model": "factor", "risk_factors": 1}
    control = make.make("control", "ParametersChanged", T0, parameters=factor)
    state = state_after([control, *many(make, service=False)])
    names = ("A", "B", "C", "D")
    whole = risk_model().estimate(
        state.market.returns_in("USD", names), risk_settings(state.parameters)
    )
    bias = state.biases["p1"]
    weights = np.array([bias.weights.get(name, 0.0) for name in names])
    assert bias.forecast == pytest.approx(math.sqrt(weights @ whole.covariance() @ weights))
    own = risk_model().estimate(
        state.market.returns_in("USD", ("B", "C")), risk_settings(state.parameters)
    )
    alone = math.sqrt(own.variance(np.array(list(bias.weights.values()))))
    assert bias.forecast != pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("model", ["blended", "ewma", "factor"])
def test_forecasts_and_what_came_are_those_of_the_weights_held_at_each_close(model: str) -> None:
    prices = walk(9)
    bias = state_after(held(Inputs(), prices, risk_model=model)).biases["p"]
    fade = 0.5**0.1
    z = np.array(by_hand(prices, risk_model=model))
    weights = fade ** np.arange(len(z))[::-1]
    assert bias.count == len(z) == 7
    sums = (weights.sum(), (weights**2).sum(), weights @ z**2, weights @ z**4)
    assert (bias.total, bias.squared, bias.second, bias.fourth) == pytest.approx(sums, rel=1e-9)


def test_right_forecasts_have_a_bias_of_one_and_the_interval_knows_fat_tails() -> None:
    rng, normal, fat = np.random.default_rng(0), Bias({}), Bias({})
    for _ in range(2_000):
        normal.add(rng.standard_normal(), fade=1.0)
        fat.add(rng.standard_t(5) / math.sqrt(5 / 3), fade=1.0)
    for bias in (normal, fat):
        found = told(bias)
        assert found is not None
        assert found.low < 1.0 < found.high
    one, other = told(normal), told(fat)
    assert one is not None
    assert other is not None
    # 1.96 / sqrt(2 N) is what a normal distribution gives.
    assert one.high - one.low == pytest.approx(2 * 1.96 / math.sqrt(2 * 2_000), rel=0.1)
    assert other.high - other.low > 1.2 * (one.high - one.low)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng, within = np.random.default_rng(1), 0
    for _ in range(400):
        bias = Bias({})
        for z in 1.3 * rng.standard_normal(250):
            bias.add(z, fade=1.0)
        found = told(bias)
        assert found is not None
        within += found.low <= 1.3 <= found.high
    assert 0.91 <= within / 400 <= 0.98


def test_few_forecasts_tell_nothing() -> None:
    bias = Bias({})
    assert told(None) is None
    for n in range(20):
        assert told(bias) is None, n
        bias.add(1.0, fade=1.0)
    assert told(bias) is not None


def test_underestimated_risk_shows() -> None:
    calm, wild = walk(60, sigma=0.005), walk(40, sigma=0.05, seed=3)
    scale = {name: calm[-1][name] / wild[0][name] for name in "AB"}
    prices = calm + [{k: v * scale[k] for k, v in one.items()} for one in wild[1:]]
    quiet = told(state_after(held(Inputs(), calm, risk_weight_prior=1.0)).biases["p"])
    loud = told(state_after(held(Inputs(), prices, risk_weight_prior=1.0)).biases["p"])
    assert quiet is not None
    assert loud is not None
    assert loud.bias > 1.3 > quiet.bias
    assert loud.low > 1.0


def test_a_session_with_unknown_returns_does_not_count_and_a_small_part_is_unmoved() -> None:
    prices = walk(6)
    gap = [one if n != 4 else {"A": one["A"]} for n, one in enumerate(prices)]
    small = [
        {name: price / (100 if name == "B" else 1) for name, price in one.items()} for one in gap
    ]
    counts = [state_after(held(Inputs(), some)).biases["p"].count for some in (prices, gap, small)]
    # B is unknown in the session that misses it and in the one after, as that has no close before.
    assert counts == [4, 2, 4]


def test_nothing_held_has_no_forecast_and_what_is_sold_ends_it() -> None:
    make, prices = Inputs(), walk(6)
    inputs = held(make, prices[:4])
    at = T0 + 3 * DAY + 2 * HOUR
    inputs += [make.fill("p", "A", "-100", "20", at), make.fill("p", "B", "50", "20", at)]
    inputs += [make.close(prices[n], T0 + n * DAY + HOUR) for n in (4, 5)]
    bias = state_after(inputs).biases["p"]
    # The forecast made at the close before counts: it is of those weights, not of the trades.
    assert (bias.count, bias.forecast, bias.weights) == (3, 0.0, {})


def test_none_is_kept_where_the_parameters_want_none() -> None:
    assert state_after(held(Inputs(), walk(5), risk_bias_half_life_sessions=0)).biases == {}


def test_a_restart_amid_the_sessions_changes_nothing() -> None:
    log = lay(held(Inputs(), walk(12)), MemoryLog(clock=zero_clock), shards=1, end=T0 + 20 * DAY)
    records = list(log.read("journal", 0))
    for cut in range(8, len(records), 3):
        one, other = engine(0, 1), engine(0, 1)
        for record in records[:cut]:
            one.step(record)
        other.restore(one.checkpoint())
        for record in records[cut:]:
            assert other.step(record) == one.step(record)
        assert other.checkpoint() == one.checkpoint()


def test_a_price_beyond_all_measure_leaves_a_state_that_can_be_read_back() -> None:
    make, prices = Inputs(), walk(4)
    inputs = held(make, prices)
    inputs.append(make.close({"A": 9e11, "B": 1e-8}, T0 + 9 * DAY))
    inputs.append(make.close({"A": 2e-9, "B": 9e11}, T0 + 10 * DAY))
    state = state_after([*inputs, make.close(prices[0], T0 + 11 * DAY)])
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)
    assert all(map(math.isfinite, (state.biases["p"].second, state.biases["p"].fourth)))


def test_no_forecast_is_in_a_portfolios_own_digest() -> None:
    state = state_after(held(Inputs(), walk(6)))
    before = portfolio_digest(state.portfolios["p"])
    state.biases["p"].add(3.0, fade=1.0)
    assert portfolio_digest(state.portfolios["p"]) == before
