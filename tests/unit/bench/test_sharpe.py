"""Sharpe ratios: blocks cover what they should, and deflation gives the figures of its paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from coordinator.core.ports import Floats
from tests.bench.sharpe import (
    YEAR,
    counts_of,
    deflated,
    drawdown,
    drawn_blocks,
    expected_most,
    probability,
    sharpe,
    sharpe_drawn,
)


def autoregressive(rng: np.random.Generator, *, sessions: int, phi: float) -> Floats:
    """AR(1) around 0."""
    noise = rng.normal(size=sessions + 100)
    found = np.zeros(sessions + 100)
    for at in range(1, len(found)):
        found[at] = phi * found[at - 1] + noise[at]
    return found[100:]


def covered(*, length: int, phi: float, series: int = 400, sessions: int = 500) -> float:
    """Share of series whose interval of drawn blocks holds the true mean."""
    rng = np.random.default_rng(11)
    counts = counts_of(drawn_blocks(sessions, length=length, count=500, rng=rng))
    some = np.array([autoregressive(rng, sessions=sessions, phi=phi) for _ in range(series)])
    low, high = np.quantile(some @ counts.T / sessions, (0.025, 0.975), axis=1)
    return float(((low < 0.0) & (high > 0.0)).mean())


def test_an_interval_of_blocks_covers_the_mean_of_a_series_that_remembers() -> None:
    """Sessions drawn one by one would not: that is what blocks are for."""
    assert covered(length=20, phi=0.3) == pytest.approx(0.95, abs=0.035)
    assert covered(length=20, phi=0.0) == pytest.approx(0.95, abs=0.035)
    assert covered(length=1, phi=0.3) < 0.88


def test_blocks_are_runs_of_sessions_that_wrap_round() -> None:
    rows = drawn_blocks(50, length=20, count=300, rng=np.random.default_rng(1))
    assert rows.shape == (300, 50)
    steps = np.diff(rows, axis=1) % 50
    inside = np.ones(49, dtype=bool)
    inside[[19, 39]] = False  # where the next block begins
    assert (steps[:, inside] == 1).all()
    assert np.bincount(rows.ravel(), minlength=50).min() > 200  # no session is left out at the edge
    assert counts_of(rows).sum(axis=1).tolist() == [50.0] * 300


def test_a_ratio_of_a_draw_is_that_of_the_sessions_drawn() -> None:
    rng = np.random.default_rng(2)
    series = rng.normal(0.001, 0.01, (3, 60))
    rows = drawn_blocks(60, length=7, count=5, rng=rng)
    found = sharpe_drawn(series, counts_of(rows))
    for at, row in enumerate(rows):
        assert found[:, at] == pytest.approx(sharpe(series[:, row]))
    assert sharpe(series)[0] == pytest.approx(
        series[0].mean() / series[0].std() * math.sqrt(252), rel=1e-12
    )
    assert sharpe(np.zeros(10)) == 0.0


def test_the_deflated_ratio_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2014, the numerical example.

    An annualised ratio of 2.5 over 1,250 sessions of 250 a year, skewness -3, kurtosis 10, the best
    of 100 trials whose annualised ratios vary by 1/2: SR0 = 0.1132 a session, DSR = 0.9004. Of 46
    trials it would be 0.9505; of 88 had returns been normal, 0.9505.
    """
    variance = 0.5 / 250.0
    ratio = 2.5 / math.sqrt(250.0)

    def of(trials: int, skewness: float, kurtosis: float) -> float:
        most = expected_most(trials, variance)
        return probability(ratio, most, sessions=1_250, skewness=skewness, kurtosis=kurtosis)

    assert expected_most(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert of(100, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)
    assert of(46, -3.0, 10.0) == pytest.approx(0.9505, abs=5e-5)
    assert of(88, 0.0, 3.0) == pytest.approx(0.9505, abs=5e-5)


def test_the_best_of_many_trials_without_skill_is_as_large_as_said() -> None:
    ratios = np.random.default_rng(3).normal(0.0, 0.7, (20_000, 50))
    assert expected_most(50, 0.49) == pytest.approx(ratios.max(axis=1).mean(), rel=0.02)
    assert expected_most(1, 0.49) == 0.0


def test_a_series_is_deflated_by_its_own_moments() -> None:
    rng = np.random.default_rng(4)
    series = rng.normal(0.001, 0.01, 500)
    plain = probability(
        float(sharpe(series)) / YEAR, 0.5 / YEAR, sessions=500, skewness=0.0, kurtosis=3.0
    )
    assert deflated(series, most=0.5) == pytest.approx(plain, abs=0.02)
    crashes = series.copy()
    crashes[[100, 300]] -= 0.06
    crashes += series.mean() - crashes.mean()  # the same mean; seldom, large losses
    normal = probability(
        float(sharpe(crashes)) / YEAR, 0.5 / YEAR, sessions=500, skewness=0.0, kurtosis=3.0
    )
    assert deflated(crashes, most=0.5) < normal


def test_a_drawdown_counts_from_the_best_value_and_from_the_start() -> None:
    assert drawdown(np.array([0.1, -0.5, 0.2])) == pytest.approx(0.5)
    assert drawdown(np.array([-0.2, 0.1])) == pytest.approx(0.2)
    assert drawdown(np.array([0.1, 0.1])) == 0.0
    both = drawdown(np.array([[0.1, -0.5], [0.0, -0.1]]))
    assert both == pytest.approx([0.5, 0.1])
