"""What can be said of a series of returns: Sharpe ratio, drawdown, blocks drawn anew, deflation.

Place in the flow: `rule_figures` makes tables of them. Series are by session in the last axis;
Sharpe ratios are annualised unless said, and of returns in excess of what money would have earned.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kurtosis, norm, skew

from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.ports import Floats

__all__ = [
    "counts_of",
    "deflated",
    "drawdown",
    "drawn_blocks",
    "expected_most",
    "probability",
    "sharpe",
    "sharpe_drawn",
]

YEAR = math.sqrt(SESSIONS_A_YEAR)
EULER = 0.5772156649015329


def sharpe(series: Floats) -> Floats:
    """(...,) mean over standard deviation; 0 where nothing moves."""
    return _ratio(series.mean(axis=-1), (series**2).mean(axis=-1))


def _ratio(mean: Floats, squares: Floats) -> Floats:
    spread = np.sqrt(np.maximum(squares - mean**2, 0.0))
    found: Floats = np.where(spread > 1e-15, mean / np.maximum(spread, 1e-15), 0.0) * YEAR
    return found


def drawdown(series: Floats) -> Floats:
    """(...,) largest loss from a best value so far, which begins at 1; a fraction, >= 0."""
    path = np.cumprod(1.0 + series, axis=-1)
    best = np.maximum(np.maximum.accumulate(path, axis=-1), 1.0)
    found: Floats = (1.0 - path / best).max(axis=-1)
    return found


def drawn_blocks(
    sessions: int, *, length: int, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """(count, sessions) sessions drawn in blocks that wrap round: the circular block bootstrap.

    Source: Politis and Romano 1992, "A circular block-resampling procedure for stationary data".
    """
    starts = rng.integers(0, sessions, (count, -(-sessions // length)))
    rows = (starts[:, :, None] + np.arange(length)).reshape(count, -1)[:, :sessions]
    found: NDArray[np.intp] = rows % sessions
    return found


def counts_of(rows: NDArray[np.intp]) -> Floats:
    """(b, t) how often each session was drawn."""
    count, sessions = rows.shape
    flat = (np.arange(count)[:, None] * sessions + rows).ravel()
    found = np.bincount(flat, minlength=count * sessions).reshape(count, sessions)
    return found.astype(np.float64)


def sharpe_drawn(series: Floats, counts: Floats) -> Floats:
    """(s, b) Sharpe ratio of each series, (s, t), in each draw."""
    sessions = series.shape[-1]
    return _ratio(series @ counts.T / sessions, series**2 @ counts.T / sessions)


def expected_most(trials: int, variance: float) -> float:
    """The largest Sharpe ratio to be expected of trials without skill; unit of sqrt(variance).

    variance: of the trials' Sharpe ratios. Source: Bailey and Lopez de Prado 2014, "The Deflated
    Sharpe Ratio", equation for SR0.
    """
    if trials < 2:
        return 0.0
    first, second = norm.ppf(1.0 - 1.0 / trials), norm.ppf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * float((1.0 - EULER) * first + EULER * second)


def probability(
    ratio: float, above: float, *, sessions: int, skewness: float, kurtosis: float
) -> float:
    """That the true Sharpe ratio is above another; both are of one session, not annualised.

    kurtosis: 3 of the normal distribution. Source: as `expected_most`, the probabilistic Sharpe
    ratio.
    """
    spread = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return float(norm.cdf((ratio - above) * math.sqrt(sessions - 1) / math.sqrt(spread)))


def deflated(series: Floats, *, most: float) -> float:
    """Probability that one series' true Sharpe ratio is above `most`, annualised."""
    return probability(
        float(sharpe(series)) / YEAR,
        most / YEAR,
        sessions=len(series),
        skewness=float(skew(series)),
        kurtosis=float(kurtosis(series, fisher=False)),
    )
