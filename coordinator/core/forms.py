"""Forms: what a signal says, whatever its form, as one raw score and a leaning.

Place in the flow: asked when a signal is judged and when its view is made. A raw score is about
what a source of skill rho says of a standardised return: rho times a normal variable; `views` makes
it a score of unit variance. Ranks and directions are scores already. Sources: Grinold and Kahn
2000, chapter 11 (forecasts over their volatility); Sharpe 1974 (what weights imply); Blom 1958
(ranks).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

from schemas.signals import SignalIssued

__all__ = [
    "RAW_MAX",
    "Form",
    "form_of",
    "in_words",
    "leaning",
    "normal_score",
    "raw_score",
    "stated",
]

Form = Literal[
    "direction", "expected_return", "target_weight", "rank", "probability_up", "quintiles"
]
_NORMAL = NormalDist()
RAW_MAX = 100.0
SCALE_MIN = 1e-12
PROBABILITY_LEAST = 1e-6
"""Certainty is no forecast: probabilities are kept this far from 0 and 1."""
QUINTILE_MEANS = (-1.40, -0.53, 0.0, 0.53, 1.40)
"""Mean of a normal variable in each fifth of its distribution."""


def form_of(event: SignalIssued) -> Form:
    """Which of the forms the signal has."""
    if event.direction is not None:
        return "direction"
    if event.expected_return is not None:
        return "expected_return"
    if event.target_weight is not None:
        return "target_weight"
    if event.rank is not None:
        return "rank"
    return "quintiles" if event.probability_up is None else "probability_up"


def stated(event: SignalIssued) -> float | None:
    """The number that the signal states in its form; of quintiles the mean score they expect."""
    form = form_of(event)
    if form == "direction":
        return None
    return _mean_score(event) if form == "quintiles" else float(getattr(event, form))


def raw_score(
    event: SignalIssued, *, volatility: float, horizon: float, risk_aversion: float
) -> float:
    """What the signal says in units of the volatility of its horizon; 0 for a direction.

    volatility: of one session, of what the signal is about. horizon: sessions. risk_aversion: that
    a source of target weights is taken to have, so that a weight w implies w gamma sigma. Bounded:
    a forecast over an absurdly short horizon must not swamp its source's spread for good.
    """
    scale = max(volatility * math.sqrt(horizon), SCALE_MIN)
    if event.expected_return is not None:
        raw = event.expected_return / scale
    elif event.target_weight is not None:
        raw = event.target_weight * risk_aversion * scale
    elif event.rank is not None and event.rank_of is not None:
        raw = normal_score(event.rank, event.rank_of)
    elif event.probability_up is not None:
        raw = _quantile(event.probability_up)
    else:
        raw = _mean_score(event)
    return max(-RAW_MAX, min(RAW_MAX, raw))


def in_words(form: str, number: float) -> str:
    """What a signal that is no direction says, for people. number: as `stated`."""
    return {
        "expected_return": f"expects {number:+.2%}",
        "target_weight": f"holds {number:.1%}",
        "rank": f"rank {number:g}",
        "probability_up": f"{number:.0%} up",
        "quintiles": f"fifths {number:+.2f}",
    }[form]


def leaning(event: SignalIssued) -> float:
    """Above 0 for a signal that speaks for its instrument, below 0 for one against it."""
    if event.direction is not None:
        return float(event.direction)
    return raw_score(event, volatility=1.0, horizon=1.0, risk_aversion=1.0)


def normal_score(rank: float, count: int) -> float:
    """The score expected of that place among so many draws, the largest last (Blom)."""
    return _NORMAL.inv_cdf((rank - 0.375) / (count + 0.25))


def _quantile(probability: float) -> float:
    """The score that a normal variable of unit variance needs to be above 0 so often."""
    kept = min(max(probability, PROBABILITY_LEAST), 1.0 - PROBABILITY_LEAST)
    return _NORMAL.inv_cdf(kept)


def _mean_score(event: SignalIssued) -> float:
    """What the probabilities of the fifths expect of a standardised return."""
    quintiles = event.quintiles or (0.0,) * len(QUINTILE_MEANS)
    whole = sum(quintiles) or 1.0
    return sum(p * m for p, m in zip(quintiles, QUINTILE_MEANS, strict=True)) / whole
