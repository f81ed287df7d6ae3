"""Estimates from windows with gaps: volatility, beta, averages; blended with what is assumed."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.estimates import averages, betas, blended_volatility, mean_known
from schemas.control import Parameters

NAN = float("nan")
FEW = Parameters(risk_weight_prior=1e-9, risk_volatility_prior=0.02)


def test_volatility_is_assumed_where_nothing_is_known_and_seen_where_much_is() -> None:
    rng = np.random.default_rng(1)
    seen = rng.standard_normal(20_000) * 0.01
    returns = np.column_stack([seen, np.full(20_000, NAN)])
    found = blended_volatility(returns, Parameters(risk_volatility_prior=0.02))
    assert found == pytest.approx([0.01, 0.02], rel=0.02)


def test_beta_is_to_the_equal_weighted_market_and_one_where_nothing_is_known() -> None:
    rng = np.random.default_rng(1)
    market = rng.standard_normal(5_000) * 0.01
    returns = np.column_stack([0.5 * market, 1.5 * market, np.full(5_000, NAN)])
    found = betas(returns, np.array([True, True, True]), FEW)
    assert found == pytest.approx([0.5, 1.5, 1.0], abs=1e-3)


def test_what_is_not_held_is_no_part_of_the_market() -> None:
    rng = np.random.default_rng(1)
    one, rate = rng.standard_normal((2, 5_000)) * 0.01
    found = betas(np.column_stack([one, rate]), np.array([True, False]), FEW)
    assert found == pytest.approx([1.0, 0.0], abs=0.05)


def test_averages_are_of_what_is_known() -> None:
    found = averages(np.array([[1.0, NAN, NAN], [3.0, NAN, 5.0]]))
    assert found[[0, 2]].tolist() == [2.0, 5.0]
    assert np.isnan(found[1])
    assert mean_known(np.array([1.0, NAN, 3.0])) == 2.0
    assert mean_known(np.array([NAN])) == 0.0
