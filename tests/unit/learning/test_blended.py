from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.ports import Floats, RiskSettings
from coordinator.learning import PriorBlendedCovariance

PRIOR = RiskSettings(volatility_prior=0.02, correlation_prior=0.3, weight_prior=60.0)
MODEL = PriorBlendedCovariance()


def normal(t: int, n: int, *, sigma: float = 0.01, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(t, n)) * sigma


def test_no_observation_gives_the_prior() -> None:
    expected = 0.02**2 * (0.7 * np.eye(3) + 0.3)
    assert np.allclose(MODEL.covariance(np.zeros((0, 3)), PRIOR), expected)
    assert np.allclose(MODEL.covariance(np.full((50, 3), np.nan), PRIOR), expected)


def test_many_observations_overrule_the_prior() -> None:
    mixing = np.array([[1.0, 0.0], [0.8, 0.6]])
    returns = normal(20_000, 2) @ mixing.T
    assert np.allclose(
        MODEL.covariance(returns, PRIOR), 1e-4 * mixing @ mixing.T, rtol=0.03, atol=0
    )


def test_full_observations_follow_the_stated_formula() -> None:
    returns = normal(30, 3)
    s2 = (15 * 0.02**2 + (returns**2).sum(axis=0)) / (15 + 30)
    u = returns / np.sqrt(s2)
    blend = 60 * (0.7 * np.eye(3) + 0.3) + u.T @ u
    scale = np.sqrt(np.diag(blend))
    expected = blend / np.outer(scale, scale) * np.sqrt(np.outer(s2, s2))
    assert np.allclose(MODEL.covariance(returns, PRIOR), expected, rtol=1e-12)


def test_missing_returns_count_with_the_priors_conditional_moments() -> None:
    """Against the general formulas of the conditional normal distribution, session by session."""
    returns = normal(6, 4)
    returns[[0, 1, 1, 2, 4, 4, 4, 4], [1, 0, 2, 3, 0, 1, 2, 3]] = np.nan
    seen = ~np.isnan(returns)
    s2 = (15 * 0.02**2 + np.nansum(returns**2, axis=0)) / (15 + seen.sum(axis=0))
    prior = 0.7 * np.eye(4) + 0.3
    blend = 60 * prior
    for row, o in zip(returns / np.sqrt(s2), seen, strict=True):
        m = ~o
        pull = prior[np.ix_(m, o)] @ np.linalg.inv(prior[np.ix_(o, o)])
        mean = np.where(o, row, 0.0)
        mean[m] = pull @ row[o]
        rest = np.zeros((4, 4))
        rest[np.ix_(m, m)] = prior[np.ix_(m, m)] - pull @ prior[np.ix_(o, m)]
        blend += np.outer(mean, mean) + rest
    scale = np.sqrt(np.diag(blend))
    expected = blend / np.outer(scale, scale) * np.sqrt(np.outer(s2, s2))
    assert np.allclose(MODEL.covariance(returns, PRIOR), expected, rtol=1e-10)


def test_more_names_than_sessions_with_holes_stay_positive_definite() -> None:
    returns = normal(250, 476)
    returns[np.random.default_rng(1).random(returns.shape) < 0.3] = np.nan
    returns[:, 5] = np.nan
    returns[:, 6] = 0.0
    sigma = MODEL.covariance(returns, PRIOR)
    assert np.array_equal(sigma, sigma.T)
    np.linalg.cholesky(sigma)


def test_one_huge_outlier_does_not_become_the_risk() -> None:
    clean = normal(250, 2)
    wild = clean.copy()
    wild[100, 0] = 5.0
    ratio = np.sqrt(MODEL.covariance(wild, PRIOR) / MODEL.covariance(clean, PRIOR))
    assert 1.0 < ratio[0, 0] < 1.2


def test_constant_prices_leave_a_positive_shrinking_variance() -> None:
    variances = [MODEL.covariance(np.zeros((t, 1)), PRIOR)[0, 0] for t in (0, 10, 250)]
    assert variances[0] > variances[1] > variances[2] > 0


def test_a_new_listings_volatility_follows_its_own_few_returns() -> None:
    returns = normal(250, 2, sigma=0.01)
    returns[:, 1] *= 6
    returns[:220, 1] = np.nan
    volatility = np.sqrt(MODEL.covariance(returns, PRIOR)[1, 1])
    assert 0.04 < volatility < 0.065


@pytest.mark.parametrize(
    ("returns", "prior"),
    [
        (np.zeros(3), PRIOR),
        (np.array([[np.inf]]), PRIOR),
        (np.zeros((1, 1)), RiskSettings(0.0, 0.3, 60.0)),
        (np.zeros((1, 1)), RiskSettings(0.02, 1.0, 60.0)),
        (np.zeros((1, 1)), RiskSettings(0.02, 0.3, 0.0)),
    ],
)
def test_wrong_input_is_refused(returns: Floats, prior: RiskSettings) -> None:
    with pytest.raises(ValueError, match="give"):
        MODEL.covariance(returns, prior)


@given(st.integers(0, 12), st.integers(1, 8), st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_any_holes_and_scales_give_a_finite_positive_definite_matrix(
    t: int, n: int, seed: int, holes: float
) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.standard_cauchy(size=(t, n)) * 10.0 ** rng.integers(-9, 9, n)
    returns[rng.random((t, n)) < holes] = np.nan
    sigma = MODEL.covariance(returns, PRIOR)
    deviation = np.sqrt(np.diag(sigma))
    np.linalg.cholesky(sigma / np.outer(deviation, deviation))


def test_whole_sessions_and_such_with_holes_add_up_in_any_order() -> None:
    returns = np.random.default_rng(3).normal(size=(40, 6)) * 0.02
    returns[::7, 2] = np.nan
    returns[5], returns[10:25, 4] = np.nan, np.nan
    shuffled = np.random.default_rng(4).permutation(returns)
    first, second = (PriorBlendedCovariance().covariance(r, PRIOR) for r in (returns, shuffled))
    assert first == pytest.approx(second, rel=1e-12)
