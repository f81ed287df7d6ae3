"""Simulated sources of known information coefficient, and the cases they make together.

Place in the flow: `experiment` lets them speak. A source's score of a name is rho z + sqrt(1 -
rho^2) e, with z what the name will do of its own over the source's horizon and e an error of its
own, or one that its group shares: so its information coefficient is rho, whatever it says of
itself. What it says of itself is the forecast's size and the confidence it states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import norm

from coordinator.core.ports import Floats

__all__ = [
    "CASES",
    "HORIZON",
    "Alpha",
    "Case",
    "Heard",
    "bound",
    "distinct",
    "errors_together",
    "hear",
]

HORIZON = 5
"""Sessions that opinions are held against."""
QUARTER = 60
"""Sessions after which an erratic source draws its sign anew."""
SHARED = 0.9
"""Correlation of the errors of one group."""
CLAIM = 0.1
"""Information coefficient that forecasts are as large as, where nobody knows his own."""

Confidence: TypeAlias = Literal["none", "vague", "loud", "honest"]
"""Stated: not at all; at random from 0.5 to 0.9; always 0.9; the true probability of being right
in the direction, were it not inverted."""
Course: TypeAlias = Literal["steady", "fades", "erratic", "knows"]
"""What becomes of the skill: it stays; turns round in the middle of what is measured; has a sign
drawn anew each quarter; is twice as much for one half of its signals, nothing for the other."""


@dataclass(frozen=True, slots=True)
class Alpha:
    """One source. number: tells sources apart that are otherwise alike.

    claim: the information coefficient its forecasts' size would be right for. share: of the names
    that it speaks of at a time.
    """

    skill: float
    number: int = 0
    horizon: int = HORIZON
    claim: float = CLAIM
    confidence: Confidence = "vague"
    course: Course = "steady"
    group: int | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """Sources that a portfolio hears together.

    told: what to look for, in one sentence. differ: whether what they know differs, and stays so,
    in ways that they do not say themselves: there a record must be worth something.
    """

    name: str
    told: str
    alphas: tuple[Alpha, ...]
    differ: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What one source will say, (t, n); NaN where it is silent.

    score: of unit variance. rho: its true information coefficient, there and then; 0 where silent.
    confidence: as stated; NaN where it is not.
    """

    score: Floats
    rho: Floats
    confidence: Floats


def _case(name: str, told: str, *alphas: Alpha, differ: bool = False) -> Case:
    return Case(name, told, alphas, differ)


CASES = (
    _case(
        "apart",
        "Skills lie apart, forecasts are all of one size, confidence means nothing.",
        *(Alpha(skill) for skill in (0.10, 0.05, 0.02, 0.0)),
        differ=True,
    ),
    _case(
        "dominating",
        "One source knows much, four know next to nothing.",
        Alpha(0.15),
        *(Alpha(0.01, number) for number in range(4)),
        differ=True,
    ),
    _case(
        "overconfident",
        "Two sources without skill forecast five times as much as the one with, and are sure.",
        Alpha(0.08),
        *(Alpha(0.0, number, claim=0.5, confidence="loud") for number in range(2)),
        differ=True,
    ),
    _case(
        "inverted",
        "One of three is wrong more often than right.",
        *(Alpha(skill) for skill in (0.08, 0.05, -0.06)),
        differ=True,
    ),
    _case(
        "copies",
        "Four sources err together, a fifth alone.",
        *(Alpha(0.06, number, group=1) for number in range(4)),
        Alpha(0.06),
        differ=True,
    ),
    _case(
        "sparse",
        "Each source speaks of a fifth of the names at a time, and states no confidence.",
        *(Alpha(skill, confidence="none", share=0.2) for skill in (0.10, 0.08, 0.05)),
        Alpha(0.05, 1, confidence="none", share=0.2),
    ),
    _case(
        "horizons",
        "Forecasts for one session, a week and a month, held against a week.",
        Alpha(0.05, horizon=1, confidence="none"),
        Alpha(0.06, confidence="none"),
        Alpha(0.10, horizon=20, confidence="none"),
    ),
    _case(
        "knowing",
        "Sources know half the time, know when, and say so in their confidence.",
        *(Alpha(0.06, n, confidence="honest", course="knows") for n in range(2)),
    ),
    _case(
        "honest",
        "Each knows its skill and forecasts no more: adding up is then nearly the best there is.",
        *(Alpha(skill, claim=skill, confidence="honest") for skill in (0.10, 0.05, 0.02)),
    ),
    _case(
        "alike",
        "Four sources of one skill: there is nothing to learn, and a plain mean is best.",
        *(Alpha(0.05, number) for number in range(4)),
    ),
    _case(
        "fading",
        "The better of two turns round in the middle of what is measured.",
        Alpha(0.08, course="fades"),
        Alpha(0.05),
    ),
    _case(
        "erratic",
        "Each quarter draws anew which way a source is right: its record misleads.",
        *(Alpha(0.08, number, course="erratic") for number in range(2)),
    ),
    _case(
        "nobody",
        "Nobody knows anything: no rule can win.",
        *(Alpha(0.0, number) for number in range(4)),
    ),
)


def distinct(cases: Sequence[Case]) -> tuple[Alpha, ...]:
    """Every source once, in the order in which it comes: cases may share sources."""
    return tuple(dict.fromkeys(alpha for case in cases for alpha in case.alphas))


def hear(
    alphas: Sequence[Alpha], ahead: Mapping[int, Floats], *, seed: int, middle: int
) -> list[Heard]:
    """What each source will say.

    ahead: (t, n) by horizon, what each name will do of its own, of unit variance. middle: session
    in which skill that fades turns round.
    """
    return [
        _heard(alpha, ahead[alpha.horizon], seed=seed, place=place, middle=middle)
        for place, alpha in enumerate(alphas)
    ]


def _heard(alpha: Alpha, ahead: Floats, *, seed: int, place: int, middle: int) -> Heard:
    rng = np.random.default_rng((seed, 1, place))
    error = rng.standard_normal(ahead.shape)
    if alpha.group is not None:
        common = np.random.default_rng((seed, 2, alpha.group)).standard_normal(ahead.shape)
        error = math.sqrt(SHARED) * common + math.sqrt(1.0 - SHARED) * error
    rho = alpha.skill * _course(alpha.course, ahead.shape, rng, middle=middle)
    score = rho * np.nan_to_num(ahead) + np.sqrt(1.0 - rho**2) * error
    confidence = _confidence(alpha.confidence, score, rho, rng)
    silent = rng.random(ahead.shape) >= alpha.share
    return Heard(
        np.where(silent, np.nan, score),
        np.where(silent, 0.0, rho),
        np.where(silent, np.nan, confidence),
    )


def _course(
    course: Course, shape: tuple[int, ...], rng: np.random.Generator, *, middle: int
) -> Floats:
    """(t, n) how many times its skill a source has then."""
    times: Floats = np.ones(shape)
    if course == "fades":
        times[middle:] = -1.0
    elif course == "erratic":
        signs = rng.choice((-1.0, 1.0), shape[0] // QUARTER + 1)
        times *= signs[np.arange(shape[0]) // QUARTER][:, None]
    elif course == "knows":
        times = np.where(rng.random(shape) < 0.5, 2.0, 0.0)
    return times


def _confidence(kind: Confidence, score: Floats, rho: Floats, rng: np.random.Generator) -> Floats:
    if kind == "vague":
        return rng.uniform(0.5, 0.9, score.shape)
    if kind == "loud":
        return np.full(score.shape, 0.9)
    if kind == "honest":
        found: Floats = norm.cdf(np.abs(rho * score) / np.sqrt(1.0 - rho**2))
        return found
    return np.full(score.shape, np.nan)


def errors_together(alphas: Sequence[Alpha]) -> Floats:
    """(s, s) correlation of the sources' errors."""
    groups = [alpha.group for alpha in alphas]
    alike = np.array([[a is not None and a == b for b in groups] for a in groups])
    found = np.where(alike, SHARED, 0.0)
    np.fill_diagonal(found, 1.0)
    return found


def bound(alphas: Sequence[Alpha], rho: Floats) -> float:
    """The information coefficient of the best linear combination: sqrt(r'R^-1 r) of each name.

    rho: (s, n) as true, 0 where silent. r: correlation of the scores with what comes within
    HORIZON; R: of the scores with each other. Of sources apart it is about sqrt(sum rho^2).
    """
    spans = np.array([alpha.horizon for alpha in alphas], dtype=np.float64)
    overlap = np.sqrt(np.minimum.outer(spans, spans) / np.maximum.outer(spans, spans))
    foretold = np.sqrt(np.minimum(spans, HORIZON) / np.maximum(spans, HORIZON))
    rho = rho.T
    rest = np.sqrt(1.0 - rho**2)
    scores = rho[:, :, None] * rho[:, None, :] * overlap
    scores = scores + rest[:, :, None] * rest[:, None, :] * errors_together(alphas)
    diagonal = np.arange(len(alphas))
    scores[:, diagonal, diagonal] = 1.0
    r = (rho * foretold)[:, :, None]
    explained = (r * np.linalg.solve(scores, r)).sum(axis=(1, 2))
    return math.sqrt(float(explained.mean()))
