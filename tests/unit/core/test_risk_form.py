"""Risk over a horizon, and its factors where they are few."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.ports import RiskEstimate
from coordinator.core.risk_form import risk_over


def estimate(rows: int, names: int) -> RiskEstimate:
    rng = np.random.default_rng(3)
    return RiskEstimate(
        rng.normal(size=(rows, names)) * 0.01, np.full(names, 1e-4), 0.1, 50.0, rows
    )


def test_few_factors_over_a_horizon_are_its_covariance() -> None:
    told = estimate(3, 20)
    risk = risk_over(5.0, told.covariance(), told)
    assert risk.factors is not None
    assert np.allclose(risk.factors.covariance(), risk.covariance, rtol=1e-12, atol=0.0)
    assert np.allclose(risk.covariance, 5.0 * told.covariance())
    with pytest.raises(ValueError, match="read-only"):
        risk.covariance[0, 0] = 1.0


@pytest.mark.parametrize("told", [None, estimate(6, 20)])
def test_many_factors_or_none_are_left_out(told: RiskEstimate | None) -> None:
    assert risk_over(5.0, estimate(3, 20).covariance(), told).factors is None


def test_rows_that_are_no_factors_are_left_out() -> None:
    rows = RiskEstimate(np.ones((2, 20)), np.ones(20), 0.0, 10.0)
    assert risk_over(1.0, rows.covariance(), rows).factors is None
