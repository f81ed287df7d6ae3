"""Bets: as many as are independent, between one and all, by the transformation that moves least."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, stats

from coordinator.core.ports import Floats
from coordinator.quality.bets import effective_bets, minimum_torsion


def covariance(seed: int, size: int) -> Floats:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size)) * rng.uniform(0.005, 0.05, size=size)
    found: Floats = root.T @ root + 1e-6 * np.eye(size)
    return found


def tracking(torsion: Floats, sigma: Floats) -> float:
    """Sum of the variances of t'X - X, each over that of its instrument."""
    apart = torsion - np.eye(len(sigma))
    return float((np.diag(apart @ sigma @ apart.T) / np.diag(sigma)).sum())


@pytest.mark.parametrize("seed", range(5))
def test_the_bets_are_uncorrelated_and_no_other_ones_are_closer_to_the_instruments(
    seed: int,
) -> None:
    sigma = covariance(seed, 6)
    torsion = minimum_torsion(sigma)
    turned = torsion @ sigma @ torsion.T
    scale = np.sqrt(np.outer(np.diag(turned), np.diag(turned)))
    assert np.abs(turned / scale - np.eye(6)).max() < 1e-8
    least = tracking(torsion, sigma)
    alone = np.sqrt(np.diag(sigma))
    whitened = np.linalg.inv(linalg.sqrtm(sigma / np.outer(alone, alone)).real) / alone
    others = [np.linalg.inv(np.linalg.cholesky(sigma)), np.linalg.eigh(sigma)[1].T, whitened]
    rotations = stats.ortho_group(6, seed=seed).rvs(20)
    others += [rotation @ whitened for rotation in rotations]
    # Near ones, too: what is smallest here is smallest among its neighbours.
    unit = torsion / np.sqrt(np.diag(turned))[:, None]
    rng = np.random.default_rng(seed)
    for size in (1e-1, 1e-2, 1e-3):
        skew = rng.normal(size=(6, 6)) * size
        others.append(linalg.expm(skew - skew.T) @ unit)
    for other in others:
        # Of the same directions the lengths that track best.
        lengths = [row @ sigma[:, i] / (row @ sigma @ row) for i, row in enumerate(other)]
        assert tracking(np.array(lengths)[:, None] * other, sigma) >= least - 1e-9


def test_uncorrelated_instruments_are_their_own_bets() -> None:
    sigma = np.diag([1e-4, 4e-4, 9e-4])
    assert minimum_torsion(sigma) == pytest.approx(np.eye(3))
    equal = 1.0 / np.sqrt(np.diag(sigma))
    assert effective_bets(equal, sigma) == pytest.approx(3.0)
    parts = np.array([1.0, 4.0, 9.0]) / 14.0
    expected = np.exp(stats.entropy(parts))
    assert effective_bets(np.ones(3), sigma) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_there_is_at_least_one_bet_and_no_more_than_instruments_are_held(seed: int) -> None:
    sigma, rng = covariance(seed, 8), np.random.default_rng(seed)
    weights = rng.normal(size=8) * (rng.uniform(size=8) > 0.3)
    bets = effective_bets(weights, sigma)
    held = int((weights != 0.0).sum())
    assert bets is not None
    assert 1.0 - 1e-9 <= bets <= held + 1e-9
    assert effective_bets(3.0 * weights, sigma) == pytest.approx(bets)


def test_one_instrument_is_one_bet_and_none_is_none() -> None:
    sigma = covariance(3, 4)
    assert effective_bets(np.array([0.0, -0.4, 0.0, 0.0]), sigma) == pytest.approx(1.0)
    assert effective_bets(np.zeros(4), sigma) is None


def test_bets_say_how_evenly_risk_is_spread_not_how_alike_the_instruments_are() -> None:
    close = np.full((3, 3), 0.999e-4) + 0.001e-4 * np.eye(3)
    apart = np.full((3, 3), 0.2e-4) + 0.8e-4 * np.eye(3)
    for sigma in (close, apart):  # Meucci et al. 2015: of a market of alikes, alike weights are all
        assert effective_bets(np.ones(3), sigma) == pytest.approx(3.0)
    uneven = effective_bets(np.array([1.0, 0.1, 0.1]), apart)
    assert uneven is not None
    assert 1.0 < uneven < 2.0
