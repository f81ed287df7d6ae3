"""Stage A, first half: live signals become views with a score, a skill and an uncertainty.

Place in the flow: read at the end of a round, before `match` pools them. The formulas are Grinold's
and Idzorek's, in the engine's own notation: score s (about N(0, 1) without skill), skill rho over
the allocation's horizon, view q = s sigma / rho with variance k sigma^2, k = (1 - rho^2) / rho^2.
Sources: Grinold and Kahn 2000, chapters 6 and 11; Idzorek 2005.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist, median

import numpy as np

from coordinator.core.board import Board
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio, Source, State, View
from schemas.control import Parameters

__all__ = [
    "heard",
    "horizon_of",
    "raw_score",
    "scored_views",
    "scores",
    "skill_over",
    "skills",
]

_NORMAL = NormalDist()
_SIGN_FACTOR = math.sqrt(2 / math.pi)
SKILL_MAX = 0.5
SKILL_LEAST = 1e-6
"""Less is no skill whatever skill_min says: its view's variance would be beyond any number."""
RAW_MAX = 100.0
STRENGTHS_MAX = 65_536
"""Strengths whose quantile is kept: a pure function of one number."""
SCALE_MIN = 1e-12


def raw_score(expected_return: float, *, volatility: float, horizon: float) -> float:
    """A forecast in units of the volatility of its horizon (fraction over sessions).

    Bounded: a forecast over an absurdly short horizon must not swamp its source's spread for good.
    """
    scale = max(volatility * math.sqrt(horizon), SCALE_MIN)
    return max(-RAW_MAX, min(RAW_MAX, expected_return / scale))


def scores(
    views: Sequence[View], sources: Mapping[str, Source], parameters: Parameters
) -> list[float]:
    """s of each signal, clipped at score_max.

    A direction with strength is the mean of the half-normal's tail it claims; a forecast is divided
    by the source's own spread, blended with the spread that a source of prior skill would have.
    """
    most = parameters.score_max
    found = []
    for view in views:
        direction, strength = view.direction, view.strength
        if direction is None:
            spread = _spread(sources[view.source], parameters)
            scaled = view.raw / math.sqrt(spread) if spread > 0.0 else 0.0
            found.append(max(-most, min(most, scaled)))
        elif strength is None:
            found.append(float(direction))
        else:
            found.append(direction * min(_half_normal(strength), most))
    return found


def _spread(source: Source, parameters: Parameters) -> float:
    """Mean square of a source's raw scores, with what is assumed before any."""
    prior = parameters.score_count_prior
    seen = prior * parameters.skill_prior**2 + source.raw_square_sum
    return seen / (prior + source.raw_count)


@lru_cache(maxsize=STRENGTHS_MAX)
def _half_normal(strength: float) -> float:
    """The size that a half-normal variable exceeds with probability 1 - strength."""
    tail = (1.0 + strength) / 2.0
    # A strength just below 1 rounds to it.
    return _NORMAL.inv_cdf(tail) if tail < 1.0 else math.inf


def skills(views: Sequence[View], parameters: Parameters) -> list[float]:
    """rho of each at its own horizon: the prior, or what its confidence is believed to mean."""
    prior = parameters.skill_prior
    slope = math.pi * parameters.confidence_slope_prior
    found = []
    for view in views:
        if view.confidence is None:
            found.append(prior)
            continue
        edge = math.sin(slope * view.confidence)
        is_sign = view.direction is not None and view.strength is None
        found.append(_SIGN_FACTOR * edge if is_sign else edge)
    return found


def arriving(horizon: Floats, age: Floats, ahead: float) -> Floats:
    """phi: the part of a forecast that is still to come within `ahead` sessions.

    Its half-life is its horizon, and with the horizon it ends. horizon, age: sessions, any shape.
    """
    begun, ended = np.minimum(age, horizon), np.minimum(age + ahead, horizon)
    part: Floats = 2.0 * (np.exp2(-begun / horizon) - np.exp2(-ended / horizon))
    return part


def skill_over(rho: Floats, *, horizon: Floats, age: Floats, ahead: float) -> Floats:
    """rho over the next `ahead` sessions of signals of that horizon and age. Bounded by 1/2."""
    moved = rho * arriving(horizon, age, ahead) * np.sqrt(horizon / ahead)
    bounded: Floats = np.clip(moved, -SKILL_MAX, SKILL_MAX)
    return bounded


def heard(state: State, portfolio: Portfolio) -> list[View]:
    """Live views that the portfolio listens to, sorted by (instrument, source, strategy)."""
    mandate = portfolio.mandate
    universe = frozenset(mandate.universe)
    sources = frozenset(mandate.sources)
    found = []
    for key in sorted(state.views):
        instrument, source, strategy = key
        if (universe and instrument not in universe) or (sources and source not in sources):
            continue
        known = state.sources[source]
        if known.muted or strategy in known.muted_strategies:
            continue
        if known.strategies and strategy not in known.strategies:
            continue
        found.append(state.views[key])
    return found


def horizon_of(views: list[View], portfolio: Portfolio, parameters: Parameters) -> float:
    """H in sessions: the mandate's, or the median of the live signals', at least the minimum."""
    if portfolio.mandate.horizon_sessions is not None:
        return portfolio.mandate.horizon_sessions
    if not views:
        return parameters.horizon_sessions_min
    middle = median([view.horizon for view in views])
    return max(middle, parameters.horizon_sessions_min)


def scored_views(
    state: State, views: list[View], *, picks: dict[str, int], ahead: float
) -> tuple[Board, list[View]]:
    """The views that count, in order, and those without effect.

    picks: index per instrument that can be judged. Without effect: direction 0, no price, no skill
    left.
    """
    parameters = state.parameters
    pick = np.array([picks.get(view.instrument, -1) for view in views], dtype=np.intp)
    score = np.array(scores(views, state.sources, parameters))
    rho = np.array(skills(views, parameters))
    horizon = np.array([view.horizon for view in views])
    begun = np.array([view.session for view in views])
    age = np.maximum(state.session_now() - begun, 0.0)
    skill = skill_over(rho, horizon=horizon, age=age, ahead=ahead)
    least = max(parameters.skill_min, SKILL_LEAST)
    counts = (pick >= 0) & (score != 0.0) & (np.abs(skill) >= least)
    if not counts.all():
        without = [view for view, used in zip(views, counts, strict=True) if not used]
        views = [view for view, used in zip(views, counts, strict=True) if used]
        pick, score, skill = pick[counts], score[counts], skill[counts]
        horizon, age = horizon[counts], age[counts]
    else:
        without = []
    return Board(views, pick, score, skill, _soon(horizon, age, ahead)), without


def _soon(horizon: Floats, age: Floats, ahead: float) -> Floats:
    """(rows,) share of what is to come that arrives within one session."""
    share = arriving(horizon, age, min(1.0, ahead)) / arriving(horizon, age, ahead)
    return np.minimum(share, 1.0)
