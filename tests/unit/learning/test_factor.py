"""Common factors: against numpy's own decompositions, and how many there are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import Floats, RiskSettings
from coordinator.learning import FactorCovariance, PriorBlendedCovariance
from coordinator.learning.factor import factors_told

PRIOR = RiskSettings(0.02, 0.3, 60.0, model="factor", volatility_half_life=1e15,
                     correlation_half_life=1e15)  # fmt: skip
MODEL = FactorCovariance()


def returns_of(t: int, n: int, factors: int, *, seed: int = 0) -> Floats:
    """Returns of equally strong factors."""
    rng = np.random.default_rng(seed)
    found: Floats = rng.normal(size=(t, factors)) @ rng.normal(size=(factors, n))
    return 0.01 * (found + 1.5 * rng.normal(size=(t, n)))


def correlation(sigma: Floats) -> Floats:
    deviation = np.sqrt(np.diag(sigma))
    found: Floats = sigma / np.outer(deviation, deviation)
    return found


@pytest.mark.parametrize(("t", "n"), [(200, 12), (20, 60)])
def test_loadings_are_principal_components_of_the_blended_correlations(t: int, n: int) -> None:
    """Without fading A is what `blended` has; rows' rows has all of it but the prior's diagonal."""
    returns = returns_of(t, n, 2)
    blended = PriorBlendedCovariance().estimate(returns, PRIOR)
    scale = np.sqrt(np.diag(blended.covariance()))
    rows = blended.rows / scale
    _, sizes, right = np.linalg.svd(rows, full_matrices=False)
    loadings = right[:3].T * sizes[:3]
    C = loadings @ loadings.T
    np.fill_diagonal(C, 1.0)
    assert (np.diag(loadings @ loadings.T) < 0.95).all()
    found = MODEL.covariance(returns, replace(PRIOR, factors=3))
    assert np.allclose(found, C * np.outer(scale, scale), rtol=1e-8, atol=1e-12)


def test_a_name_that_is_all_factor_keeps_a_twentieth_of_its_own() -> None:
    returns = np.tile(returns_of(2_000, 1, 1), 40)
    found = correlation(MODEL.covariance(returns, replace(PRIOR, factors=1)))
    assert found[0, 1] == pytest.approx(0.95)
    np.linalg.cholesky(found)


def test_the_signs_of_what_is_put_in_do_not_matter() -> None:
    returns = returns_of(100, 15, 3)
    flip = np.where(np.arange(15) % 2, -1.0, 1.0)
    settings = replace(PRIOR, factors=3, correlation_prior=0.0)
    one, other = MODEL.covariance(returns, settings), MODEL.covariance(returns * flip, settings)
    assert np.allclose(other, one * np.outer(flip, flip), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("factors", [1, 2, 5])
def test_as_many_factors_are_told_as_there_are(factors: int) -> None:
    returns = returns_of(500, 80, factors)
    prior = replace(PRIOR, correlation_prior=0.0, weight_prior=1.0, factors=0)
    assert MODEL.estimate(returns, prior).factors == factors


def test_the_number_told_makes_the_stated_criterion_least() -> None:
    values = np.sort(np.random.default_rng(0).exponential(size=9))[::-1] * 2
    n, t = 30, 77.5
    left = [(n - values[:k].sum()) / n for k in range(1, 10)]
    penalty = (n + t) / (n * t) * np.log(min(n, t))
    best = 1 + int(np.argmin([np.log(v) + k * penalty for k, v in enumerate(left, 1)]))
    assert factors_told(values, names=n, sessions=t) == best


def test_no_more_factors_are_taken_than_there_can_be() -> None:
    assert MODEL.estimate(returns_of(30, 3, 1), replace(PRIOR, factors=50)).factors == 3
    assert MODEL.estimate(np.zeros((0, 9)), replace(PRIOR, factors=50)).factors == 1
