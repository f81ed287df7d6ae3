"""Fading sessions: against the formulas, and the shrinkage against scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import Floats, RiskSettings
from coordinator.learning import FadingCovariance
from coordinator.learning.ewma import least_error_shrinkage
from coordinator.learning.returns import Evidence, evidence, windowed

PRIOR = RiskSettings(0.02, 0.3, 60.0, model="ewma", volatility_half_life=10.0,
                     correlation_half_life=30.0)  # fmt: skip
MODEL = FadingCovariance()


def normal(t: int, n: int, *, sigma: float = 0.01, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(t, n)) * sigma


def shrinkage_of(x: Floats, weights: Floats, rho: float) -> float:
    rows = x * np.sqrt(weights)[:, None]
    whole = Evidence(rows, np.zeros(x.shape[1]), weights, np.zeros(x.shape))
    return least_error_shrinkage(whole, rho)


@pytest.mark.parametrize(
    ("t", "n", "seed", "expected"),
    [
        # sklearn.covariance.ledoit_wolf_shrinkage(x, assume_centered=True), scikit-learn 1.9.1.
        (60, 20, 0, 0.12864587889225704),
        (250, 80, 1, 0.04791982134298971),
        (40, 120, 2, 0.2634120949983287),
    ],
)
def test_equal_weights_towards_no_correlation_are_the_shrinkage_of_scikit_learn(
    t: int, n: int, seed: int, expected: float
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(t, n)) + 0.7 * rng.normal(size=(t, 1))
    x = x / np.sqrt((x**2).mean(axis=0))
    assert shrinkage_of(x, np.full(t, 1 / t), 0.0) == pytest.approx(expected, rel=1e-12)


def test_unequal_weights_follow_the_stated_sum() -> None:
    x, weights = normal(30, 6, sigma=1.0), np.linspace(1, 3, 30)
    weights /= weights.sum()
    S = sum(w * np.outer(row, row) for w, row in zip(weights, x, strict=True))
    P = 0.7 * np.eye(6) + 0.3
    error = sum(
        w**2 * ((np.outer(row, row) - S) ** 2).sum() for w, row in zip(weights, x, strict=True)
    )
    assert shrinkage_of(x, weights, 0.3) == pytest.approx(error / ((S - P) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_the_stated_sum_has_what_holes_count_for(rho: float) -> None:
    """Half the names listed late, single holes, a session without a return."""
    returns, n, t = normal(40, 6, sigma=1.0, seed=4), 6, 40
    returns[:20, 3:] = np.nan
    returns[np.random.default_rng(1).random((t, n)) < 0.1] = np.nan
    returns[30] = np.nan
    weights = 2.0 ** (-np.arange(t)[::-1] / 30)
    window = windowed(returns, replace(PRIOR, volatility_prior=1.0))
    sigma = np.sqrt(np.nanvar(returns, axis=0))
    seen = evidence(window, sigma, weights, rho=rho, prior=1e-12)
    P = (1 - rho) * np.eye(n) + rho
    each = []
    for row in window.clipped / sigma:
        known = row != 0.0
        kept, gone = np.ix_(known, known), np.ix_(~known, ~known)
        pull = P[np.ix_(~known, known)] @ np.linalg.inv(P[kept])
        u = row.copy()
        u[~known] = pull @ row[known]
        E = np.outer(u, u)
        E[gone] += P[gone] - pull @ P[np.ix_(known, ~known)]
        each.append(E)
    shares = weights / weights.sum()
    S = sum(w * E for w, E in zip(shares, each, strict=True))
    error = sum(w**2 * ((E - S) ** 2).sum() for w, E in zip(shares, each, strict=True))
    expected = error / ((S - P) ** 2).sum()
    assert 0.05 < expected < 0.95
    assert least_error_shrinkage(seen, rho) == pytest.approx(expected, rel=1e-9)


def test_a_whole_window_follows_the_stated_formula() -> None:
    returns, t = normal(40, 4), 40
    age = np.arange(t)[::-1]
    fast, slow = 2.0 ** (-age / 10), 2.0 ** (-age / 30)

    def volatility(w: Floats) -> Floats:
        q, m = PRIOR.weight_prior / 4, w.mean()
        found: Floats = np.sqrt((q * m * 0.02**2 + w @ returns**2) / (q * m + w.sum()))
        return found

    u = returns / volatility(slow)
    S = (u * slow[:, None]).T @ u / slow.sum()
    C = 0.6 * S + 0.4 * (0.7 * np.eye(4) + 0.3)
    scale = volatility(fast) / np.sqrt(np.diag(C))
    found = MODEL.covariance(returns, replace(PRIOR, shrinkage=0.4))
    assert np.allclose(found, C * np.outer(scale, scale), rtol=1e-9)


def test_a_stated_share_counts_but_a_few_returns_never_say_all() -> None:
    assert MODEL.estimate(normal(200, 5), replace(PRIOR, shrinkage=0.5)).shrinkage == 0.5
    few = MODEL.estimate(normal(2, 5), replace(PRIOR, shrinkage=0.0))
    assert few.shrinkage == pytest.approx(4 / (4 + few.observations))
    assert few.observations == pytest.approx(2, rel=1e-3)


def test_volatility_follows_the_last_sessions_and_correlation_less_so() -> None:
    calm, wild = normal(200, 2, seed=1), normal(20, 2, sigma=0.04, seed=2)
    now = np.sqrt(np.diag(MODEL.covariance(np.vstack([calm, wild]), PRIOR)))
    then = np.sqrt(np.diag(MODEL.covariance(np.vstack([wild, calm]), PRIOR)))
    assert (now > 2.5 * then).all()


def test_a_missing_return_is_no_zero() -> None:
    returns = normal(120, 2, seed=3)
    returns[:, 1] = returns[:, 0]
    holey = returns.copy()
    holey[60:110, 1] = np.nan
    zeros = np.nan_to_num(holey)

    def volatility(r: Floats) -> float:
        return float(np.sqrt(MODEL.covariance(r, PRIOR)[1, 1]))

    assert volatility(zeros) < 0.8 * volatility(holey)


@pytest.mark.parametrize("half_life", [0.0, -1.0])
def test_a_half_life_that_is_none_is_refused(half_life: float) -> None:
    with pytest.raises(ValueError, match="half-lives above 0"):
        MODEL.covariance(normal(5, 2), replace(PRIOR, volatility_half_life=half_life))
