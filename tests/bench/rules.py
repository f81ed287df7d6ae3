"""What others make of the same signals: the rules that our combination is measured beside.

Place in the flow: asked by the benchmarks that measure information coefficients. Each rule sees
what the sources say, and nothing of what came of it before: it has no memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from coordinator.core.ports import Floats

__all__ = ["RULES", "Said", "correlation", "interval", "opinions"]

RULES = (
    "last wins",
    "accumulate",
    "equal vote",
    "confidence-weighted mean",
    "Idzorek by confidence",
)
UNSTATED = 0.5
"""Confidence of a signal that states none."""
CERTAIN = 0.999
"""The most confidence that Idzorek's tilt takes: at 1 it would listen to nobody else."""


@dataclass(frozen=True, slots=True)
class Said:
    """The live signals of one moment, by source and name.

    score: (s, n) what is forecast, in units of the name's volatility; NaN where the source is
    silent. confidence: (s, n) as stated, NaN where it is not. arrival: (s, n) the larger the later.
    """

    score: Floats
    confidence: Floats
    arrival: Floats


def opinions(said: Said) -> dict[str, Floats]:
    """(n,) by rule; 0 of a name that nobody speaks of."""
    silent = np.isnan(said.score)
    score = np.where(silent, 0.0, said.score)
    stated = np.where(np.isnan(said.confidence), UNSTATED, said.confidence)
    confidence = np.where(silent, 0.0, np.clip(stated, 0.0, CERTAIN))
    voices = np.maximum((~silent).sum(axis=0), 1)
    latest = np.where(silent, -math.inf, said.arrival).argmax(axis=0)
    sure = confidence / (1.0 - confidence)  # 1 / omega, where omega is the view's variance
    return {
        "last wins": score[latest, np.arange(score.shape[1])],
        "accumulate": score.sum(axis=0),
        "equal vote": np.sign(score).sum(axis=0) / voices,
        "confidence-weighted mean": _weighted(confidence, score),
        # The view's full return, of which the stated confidence says how far to go there.
        "Idzorek by confidence": (score * sure).sum(axis=0) / (1.0 + sure.sum(axis=0)),
    }


def _weighted(weight: Floats, score: Floats) -> Floats:
    total = weight.sum(axis=0)
    found: Floats = (weight * score).sum(axis=0) / np.where(total > 0.0, total, 1.0)
    return found


def correlation(opinion: Floats, outcome: Floats) -> float:
    """Across names; 0 where everybody is thought of alike."""
    return float(np.corrcoef(opinion, outcome)[0, 1]) if opinion.std() > 0.0 else 0.0


def interval(values: Floats) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (Student's), of independent values."""
    count = len(values)
    if count < 2:
        return float(values.mean()), math.inf
    error = float(values.std(ddof=1)) / math.sqrt(count)
    return float(values.mean()), float(t.ppf(0.975, count - 1)) * error
