"""Skill: what is known of how well a source forecasts, learned from outcomes, with its uncertainty.

Place in the flow: `outcomes` adds to it when the return that a signal spoke of is known; `views`
reads it. Two questions are learned apart. How much of the standardised return a score foretells is
a regression without constant, z = rho s + noise of unit variance, so that rho is the information
coefficient of scores of unit variance; it is learned by horizon. How often a signal of stated
confidence c is right is a regression of hits on c, about its mean. Both are Bayesian with a
normal prior, whose weight is a number of outcomes, and forget with a half-life. Sources: Grinold
and Kahn 2000, chapter 6; Murphy and Winkler 1977; Gelman et al. 2013, section 14.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from coordinator.core.estimates import DEVIATIONS
from schemas.control import Parameters

__all__ = [
    "Calibration",
    "Forecasts",
    "Skill",
    "calibrated",
    "horizon_bucket",
    "learned_skill",
    "skill_error",
    "skill_interval",
]

BINS = 10
SPREAD_PRIOR = 1.0 / 12.0
"""Variance of a confidence that takes every value alike: what the prior slope rests on."""
LOG_LEAST = 1e-3
"""Probabilities are kept this far from 0 and 1 in the logarithmic loss."""


@dataclass(slots=True)
class Forecasts:
    """Sums over outcomes of one horizon, each with its weight w: of s z, s s, and w alone.

    outcomes: how many there were; raw, without weight and forgetting.
    """

    sz: float = 0.0
    ss: float = 0.0
    weight: float = 0.0
    outcomes: int = 0

    def add(self, score: float, outcome: float, weight: float) -> None:
        """One more outcome."""
        self.sz += weight * score * outcome
        self.ss += weight * score * score
        self.weight += weight
        self.outcomes += 1

    def correct(self, score: float, change: float, weight: float) -> None:
        """An outcome was other by so much. weight: what is left of its own."""
        self.sz += weight * score * change

    def fade(self, by: float) -> None:
        """All that was learned counts less. by: factor below 1."""
        self.sz, self.ss, self.weight = self.sz * by, self.ss * by, self.weight * by


@dataclass(slots=True)
class Calibration:
    """Sums over outcomes of signals with a stated confidence c; y: hit less one half.

    bins: by tenths of the stated confidence, (outcomes, hits, sum of calibrated hit rates). The
    losses are of what was stated and of what it was calibrated to when the signal came, so that no
    outcome judges a map that it made.
    """

    weight: float = 0.0
    c: float = 0.0
    cc: float = 0.0
    y: float = 0.0
    cy: float = 0.0
    outcomes: int = 0
    brier_stated: float = 0.0
    brier_calibrated: float = 0.0
    log_stated: float = 0.0
    log_calibrated: float = 0.0
    bins: list[tuple[int, int, float]] = field(default_factory=lambda: [(0, 0, 0.0)] * BINS)

    def add(self, confidence: float, hit_rate: float, *, hit: bool, weight: float) -> None:
        """One more outcome. hit_rate: what the confidence was calibrated to."""
        y = (1.0 if hit else 0.0) - 0.5
        self.weight += weight
        self.c += weight * confidence
        self.cc += weight * confidence * confidence
        self.y += weight * y
        self.cy += weight * confidence * y
        self.outcomes += 1
        self.brier_stated += (confidence - hit) ** 2
        self.brier_calibrated += (hit_rate - hit) ** 2
        self.log_stated += _log_loss(confidence, hit=hit)
        self.log_calibrated += _log_loss(hit_rate, hit=hit)
        place = min(int(confidence * BINS), BINS - 1)
        count, hits, rates = self.bins[place]
        self.bins[place] = (count + 1, hits + hit, rates + hit_rate)

    def correct(self, confidence: float, hit_rate: float, *, hit: bool, weight: float) -> None:
        """What was taken for a miss was a hit, or the other way round. weight: what is left."""
        turned = 1.0 if hit else -1.0
        self.y += weight * turned
        self.cy += weight * turned * confidence
        self.brier_stated += (confidence - hit) ** 2 - (confidence - (not hit)) ** 2
        self.brier_calibrated += (hit_rate - hit) ** 2 - (hit_rate - (not hit)) ** 2
        self.log_stated += _log_loss(confidence, hit=hit) - _log_loss(confidence, hit=not hit)
        self.log_calibrated += _log_loss(hit_rate, hit=hit) - _log_loss(hit_rate, hit=not hit)
        place = min(int(confidence * BINS), BINS - 1)
        count, hits, rates = self.bins[place]
        self.bins[place] = (count, hits + (1 if hit else -1), rates)

    def fade(self, by: float) -> None:
        """All that was learned counts less; the record of losses stays. by: factor below 1."""
        self.weight, self.c, self.cc = self.weight * by, self.c * by, self.cc * by
        self.y, self.cy = self.y * by, self.cy * by


def _log_loss(probability: float, *, hit: bool) -> float:
    right = probability if hit else 1.0 - probability
    return -math.log(min(max(right, LOG_LEAST), 1.0 - LOG_LEAST))


@dataclass(slots=True)
class Skill:
    """What is known of one source. by_horizon: keyed by `horizon_bucket`."""

    by_horizon: dict[int, Forecasts] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)

    def fade(self, by: float) -> None:
        """A session has passed."""
        for forecasts in self.by_horizon.values():
            forecasts.fade(by)
        self.calibration.fade(by)


def horizon_bucket(horizon: float) -> int:
    """Horizons within a factor of two are learned together: 1 to 2 sessions, 2 to 4, and so on."""
    return math.floor(math.log2(max(horizon, 1.0)))


def learned_skill(skill: Skill, horizon: float, parameters: Parameters) -> float:
    """rho at a horizon: the prior, moved by the outcomes of that horizon."""
    known = skill.by_horizon.get(horizon_bucket(horizon))
    prior = parameters.skill_count_prior
    if known is None:
        return parameters.skill_prior
    return (prior * parameters.skill_prior + known.sz) / (prior + known.ss)


def skill_interval(skill: Skill, horizon: float, parameters: Parameters) -> tuple[float, float]:
    """The middle 95 % of what rho may be."""
    rho = learned_skill(skill, horizon, parameters)
    width = DEVIATIONS * skill_error(skill, horizon, parameters)
    return rho - width, rho + width


def skill_error(skill: Skill, horizon: float, parameters: Parameters) -> float:
    """The standard deviation of what rho may be."""
    known = skill.by_horizon.get(horizon_bucket(horizon))
    count = parameters.skill_count_prior + (0.0 if known is None else known.ss)
    return 1.0 / math.sqrt(count)


def calibrated(skill: Skill, confidence: float, parameters: Parameters) -> float:
    """The hit rate that a stated confidence has, between 0 and 1: 1/2 + m + b (c - mean c).

    m: by how much its hit rate exceeds one half at its mean confidence; b: what more confidence
    adds. Before outcomes both are those of the prior slope, which inverts no confidence.
    """
    known, slope = skill.calibration, parameters.confidence_slope_prior
    prior = parameters.calibration_count_prior
    usual = known.c / known.weight if known.weight > 0.0 else confidence
    spread = max(known.cc - known.c * usual, 0.0)
    together = known.cy - known.y * usual
    m = (known.y + prior * slope * usual) / (known.weight + prior)
    b = (together + prior * SPREAD_PRIOR * slope) / (spread + prior * SPREAD_PRIOR)
    return min(max(0.5 + m + b * (confidence - usual), 0.0), 1.0)
