"""The recorded agents under each rule: lots, price limits, and nothing claimed."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.ports import Floats
from replay.demo.recording import load
from schemas.control import Parameters
from tests.bench.agents import HORIZON, OURS
from tests.bench.conflict_agents import TARIFF, desk_of, market_of, measured, prior
from tests.bench.rules import RULES
from tests.bench.tradebooks import Moment, Standing, played_out
from tests.bench.ways import allocating


def test_nobody_trades_with_us_beyond_a_price_limit() -> None:
    market = market_of(load())
    assert market.buyable is not None
    assert market.sellable is not None
    up = market.opens[1:] / market.closes[:-1] - 1.0
    assert (market.buyable[1:] | (up > 0.0995)).all()
    assert market.buyable[1:][up < 0.099].all()
    assert market.sellable[1:][up > -0.099].all()


def test_orders_are_whole_lots_and_never_short() -> None:
    recording = load()
    market, desk = market_of(recording), desk_of(recording)
    rng = np.random.default_rng(1)
    covariance = prior(Parameters(), len(recording.instruments))
    opinions = {at: rng.normal(0.0, 0.1, len(recording.instruments)) for at in range(10)}
    decide, held = allocating(opinions, scale=1.0, desk=desk), np.zeros(len(desk.names))

    def noted(standing: Standing) -> Floats:
        units = decide(standing)
        np.add(held, market.fillable(units, standing.moment.session + 1), out=held)
        assert np.array_equal(units % desk.lots, np.zeros(len(units)))
        assert (held >= 0.0).all()
        return units

    sigma = np.sqrt(np.diag(covariance) / HORIZON)
    moments = [Moment(at, covariance, sigma) for at in opinions]
    made = played_out(market, moments, noted, nav=1e7, tariff=TARIFF)
    assert made.turnover.max() <= 0.1 + 1e-3  # the mandate's, at prices of the next open
    assert held.sum() > 0.0
    assert set(desk.lots.tolist()) == {100.0, 200.0}


def test_the_prior_covariance_knows_no_price() -> None:
    parameters = Parameters()
    found = prior(parameters, 3)
    assert np.diag(found) == pytest.approx(5 * parameters.risk_volatility_prior**2)
    assert found[0, 1] / found[0, 0] == pytest.approx(parameters.risk_correlation_prior)


def test_every_rule_is_measured_and_nothing_is_claimed() -> None:
    found = measured()
    assert found["claim"].startswith("none")
    assert set(found["rules"]) == {OURS, *RULES}
    assert found["sessions"] == 28
    assert found["sharpe_error"] == pytest.approx(3.0)
    for one in found["rules"].values():
        low, high = one["net_sharpe"]["blocks"]
        assert high - low > 4.0  # nobody can tell
        assert one["cost"]["mean"] > 0.0
    assert len(found["agents"]) == 7
