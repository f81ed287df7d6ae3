"""Stage A, first half: live signals become views with a score, a skill and an uncertainty.

Place in the flow: read at the end of a round, before `match` pools them. The formulas are Grinold's
and Idzorek's, in the engine's own notation: score s (about N(0, 1) without skill), skill rho over
the allocation's horizon, view q = s sigma / rho with variance k sigma^2, k = (1 - rho^2) / rho^2.
Sources: Grinold and Kahn 2000, chapters 6 and 11; Idzorek 2005.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio, Source, State, View
from schemas.control import Parameters

__all__ = [
    "Scored",
    "heard",
    "horizon_of",
    "raw_score",
    "score",
    "scored_views",
    "skill",
    "skill_over",
]

_NORMAL = NormalDist()
_SIGN_FACTOR = math.sqrt(2 / math.pi)
SKILL_MAX = 0.5
SKILL_LEAST = 1e-6
"""Less is no skill whatever skill_min says: its view's variance would be beyond any number."""
RAW_MAX = 100.0
SCALE_MIN = 1e-12


@dataclass(frozen=True, slots=True)
class Scored:
    """A view ready to be pooled: row i belongs to one signal.

    pick: its instrument's index in the round's instruments. soon: share of what is to come that
    arrives within one session. score, skill: as in the module's
    notation.
    """

    view: View
    pick: int
    score: float
    skill: float
    soon: float = 0.0

    @property
    def k(self) -> float:
        """Variance of the view in units of its pick's variance."""
        return (1.0 - self.skill**2) / self.skill**2


def raw_score(expected_return: float, *, volatility: float, horizon: float) -> float:
    """A forecast in units of the volatility of its horizon (fraction over sessions).

    Bounded: a forecast over an absurdly short horizon must not swamp its source's spread for good.
    """
    scale = max(volatility * math.sqrt(horizon), SCALE_MIN)
    return max(-RAW_MAX, min(RAW_MAX, expected_return / scale))


def score(view: View, source: Source, parameters: Parameters) -> float:
    """s of one signal, clipped at score_max.

    A direction with strength is the mean of the half-normal's tail it claims; a forecast is divided
    by the source's own spread, blended with the spread that a source of prior skill would have.
    """
    if view.direction is not None:
        if view.strength is None:
            return float(view.direction)
        tail = (1.0 + view.strength) / 2.0
        if tail >= 1.0:  # a strength just below 1 rounds to it
            return view.direction * parameters.score_max
        size = _NORMAL.inv_cdf(tail)
        return view.direction * min(size, parameters.score_max)
    prior = parameters.score_count_prior
    spread = (prior * parameters.skill_prior**2 + source.raw_square_sum) / (
        prior + source.raw_count
    )
    if spread <= 0.0:
        return 0.0
    scaled = view.raw / math.sqrt(spread)
    return max(-parameters.score_max, min(parameters.score_max, scaled))


def skill(view: View, parameters: Parameters) -> float:
    """rho at the signal's own horizon: the prior, or what its confidence is believed to mean."""
    if view.confidence is None:
        return parameters.skill_prior
    edge = math.sin(math.pi * parameters.confidence_slope_prior * view.confidence)
    is_sign = view.direction is not None and view.strength is None
    return _SIGN_FACTOR * edge if is_sign else edge


def arriving(*, horizon: float, age: float, ahead: float) -> float:
    """phi: the part of a forecast that is still to come within `ahead` sessions.

    Its half-life is its horizon, and with the horizon it ends.
    """

    def arrived(x: float) -> float:
        return 2.0 * (1.0 - math.exp2(-min(x, horizon) / horizon))

    return arrived(age + ahead) - arrived(age)


def skill_over(rho: float, *, horizon: float, age: float, ahead: float) -> float:
    """rho over the next `ahead` sessions of a signal of that horizon and age. Bounded by 1/2."""
    phi = arriving(horizon=horizon, age=age, ahead=ahead)
    moved = rho * phi * math.sqrt(horizon / ahead)
    return max(-SKILL_MAX, min(SKILL_MAX, moved))


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
    middle = float(np.median([view.horizon for view in views]))
    return max(middle, parameters.horizon_sessions_min)


def scored_views(
    state: State, views: list[View], *, picks: dict[str, int], ahead: float
) -> tuple[list[Scored], list[View]]:
    """The views that count, in order, and those without effect.

    picks: index per instrument that can be judged. Without effect: direction 0, no price, no skill
    left.
    """
    parameters = state.parameters
    now = state.session_now()
    rows, without = [], []
    for view in views:
        pick = picks.get(view.instrument)
        s = score(view, state.sources[view.source], parameters)
        age = max(0.0, now - view.session)
        rho = skill_over(skill(view, parameters), horizon=view.horizon, age=age, ahead=ahead)
        if pick is None or s == 0.0 or abs(rho) < max(parameters.skill_min, SKILL_LEAST):
            without.append(view)
        else:
            rows.append(Scored(view, pick, s, rho, _soon(view.horizon, age, ahead)))
    return rows, without


def _soon(horizon: float, age: float, ahead: float) -> float:
    all_of_it = arriving(horizon=horizon, age=age, ahead=ahead)
    return min(1.0, arriving(horizon=horizon, age=age, ahead=min(1.0, ahead)) / all_of_it)


def view_returns(rows: list[Scored], volatility: Floats) -> Floats:
    """(m,) q of each row: the return over the horizon that it alone would imply.

    volatility: (n,) per pick over the horizon.
    """
    return np.array([row.score * volatility[row.pick] / row.skill for row in rows])
