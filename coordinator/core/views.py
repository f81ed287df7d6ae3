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
from itertools import compress
from statistics import NormalDist, median
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.core.board import Board, Indices, Layout, lay_out
from coordinator.core.normalise import is_crossed
from coordinator.core.picks import ALONE, Legs, Picks, is_plain, picked
from coordinator.core.ports import Floats
from coordinator.core.skill import calibrated, learned_skill
from coordinator.core.state import Portfolio, Source, State, View
from schemas.control import Parameters

__all__ = [
    "Columns",
    "heard",
    "horizon_of",
    "scored_views",
    "scores",
    "skill_over",
    "skills",
]

_NORMAL = NormalDist()
_SIGN_FACTOR = math.sqrt(2 / math.pi)
ALONE_SCORED: Mapping[str, float] = MappingProxyType({})
"""No view is normalised across names."""
SKILL_MAX = 0.5
SKILL_LEAST = 1e-6
"""Less is no skill whatever skill_min says: its view's variance would be beyond any number."""
STRENGTHS_MAX = 65_536
"""Strengths whose quantile is kept: a pure function of one number."""


def scores(
    views: Sequence[View],
    sources: Mapping[str, Source],
    parameters: Parameters,
    *,
    crossed: Mapping[str, float] = ALONE_SCORED,
) -> list[float]:
    """s of each signal, clipped at score_max.

    A direction with strength is the mean of the half-normal's tail it claims, a rank a score
    already. A forecast is divided by the source's own spread, blended with the spread that a source
    of prior skill would have, or normalised across what its strategy forecasts.

    crossed: scores of views that are normalised so, by their references; one that has none there
    scores nothing.
    """
    most = parameters.score_max
    found = []
    for view in views:
        direction, strength = view.direction, view.strength
        if direction is None:
            source = sources[view.source]
            if is_crossed(view, source):
                score = crossed.get(view.reference, 0.0)
            else:
                score = _alone(view, source, parameters)
            found.append(max(-most, min(most, score)))
        elif strength is None:
            found.append(float(direction))
        else:
            found.append(direction * min(_half_normal(strength), most))
    return found


def _alone(view: View, source: Source, parameters: Parameters) -> float:
    """A rank, or what a forecast is beside its source's spread."""
    if not view.is_forecast:
        return view.raw
    spread = _spread(source, view.form, parameters)
    return view.raw / math.sqrt(spread) if spread > 0.0 else 0.0


def _spread(source: Source, form: str, parameters: Parameters) -> float:
    """Mean square of a source's raw scores of a form, with what is assumed before any."""
    prior, known = parameters.score_count_prior, source.spreads.get(form)
    count, squares = (0.0, 0.0) if known is None else (known.count, known.squares)
    whole = prior + count
    return (prior * parameters.skill_prior**2 + squares) / whole if whole > 0.0 else 0.0


@lru_cache(maxsize=STRENGTHS_MAX)
def _half_normal(strength: float) -> float:
    """The size that a half-normal variable exceeds with probability 1 - strength."""
    tail = (1.0 + strength) / 2.0
    # A strength just below 1 rounds to it.
    return _NORMAL.inv_cdf(tail) if tail < 1.0 else math.inf


def skills(
    views: Sequence[View], sources: Mapping[str, Source], parameters: Parameters
) -> list[float]:
    """rho of each at its own horizon, as learned: of its source, or of what its confidence means.

    A hit rate p is a correlation of sin(pi (p - 1/2)) between normal variables; of a bare sign it
    takes a factor more.
    """
    found = []
    for view in views:
        skill = sources[view.source].skill
        if view.confidence is None:
            found.append(learned_skill(skill, view.horizon, parameters))
            continue
        rate = calibrated(skill, view.confidence, parameters)
        edge = math.sin(math.pi * (rate - 0.5))
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
        if known.is_muted(strategy) or not known.speaks_for(strategy):
            continue
        if not known.speaks_of(strategy, instrument):
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


class Columns:
    """The columns of the views that were read last: only what changed since is read anew.

    Most of a round's views are those of the round before, at the same places. What it gives depends
    on what it is asked, never on what it was asked before. One is for the same picks, and the same
    parameters.

    views: (rows,) as given. pick: (rows,) each one's instrument, -1 where it cannot be judged.
    kind: (rows,) which of the `legs` each is against. score, rho, horizon, session: (rows,) of
    each. layout: of these rows.
    """

    __slots__ = ("horizon", "kind", "layout", "legs", "names", "pick", "references", "rho", "score",
                 "session", "views", "width")  # fmt: skip

    def __init__(self) -> None:
        self.views: Sequence[View] = ()
        self.pick: Indices = np.empty(0, dtype=np.intp)
        self.score: Floats = np.empty(0)
        self.rho: Floats = np.empty(0)
        self.horizon: Floats = np.empty(0)
        self.session: Floats = np.empty(0)
        self.kind: Indices = np.empty(0, dtype=np.intp)
        self.legs: Sequence[Legs] = (ALONE,)
        self.width = 0
        self.names: list[str] = []
        self.references: list[str] = []
        self.layout: Layout | None = None

    def read(
        self,
        views: Sequence[View],
        *,
        picks: Mapping[str, int],
        about: Picks | None,
        sources: Mapping[str, Source],
        parameters: Parameters,
        crossed: Mapping[str, float],
    ) -> None:
        """Make every column that of these views.

        about: their picks; None where each is about its instrument alone. crossed: as in `scores`.
        """
        if len(views) != len(self.views):
            self._clear(len(views))
        before = self.views or (None,) * len(views)
        self.views = ()  # until all is read: what fails half-way is read whole the next time
        # A forecast's score moves with its source's spread, or with others: it is always new.
        places = [
            i
            for i, (view, known) in enumerate(zip(views, before, strict=True))
            if view is not known or view.direction is None
        ]
        fresh = [views[i] for i in places]
        self.score = _put(self.score, places, scores(fresh, sources, parameters, crossed=crossed))
        self.rho = _put(self.rho, places, skills(fresh, sources, parameters))
        self.horizon = _put(self.horizon, places, [view.horizon for view in fresh])
        self.session = _put(self.session, places, [view.session for view in fresh])
        if about is None:
            pick = _put(self.pick, places, [picks.get(view.instrument, -1) for view in fresh])
            self._against(np.zeros(len(views), dtype=np.intp), (ALONE,))
        else:
            pick = np.array(about.own, dtype=np.intp)
            self._against(np.array(about.kind, dtype=np.intp), about.legs)
        self.width = len(picks)
        names = self.names.copy()
        for i, view in zip(places, fresh, strict=True):
            names[i], self.references[i] = view.source, view.reference
        if names != self.names or not np.array_equal(pick, self.pick):
            self.names, self.pick, self.layout = names, pick, None
        self.views = tuple(views)

    def board(
        self, counts: NDArray[np.bool_], *, skill: Floats, left: Floats, soon: Floats
    ) -> Board:
        """Those that count. skill, left, soon: of those."""
        if counts.all():
            if self.layout is None:
                self.layout = self._laid_out(self.pick, self.names, self.kind)
            return Board(self.views, self.layout, self.score, skill, left, soon, self.references)
        used = counts.tolist()
        return Board(
            list(compress(self.views, used)),
            self._laid_out(self.pick[counts], list(compress(self.names, used)), self.kind[counts]),
            self.score[counts],
            skill,
            left,
            soon,
            list(compress(self.references, used)),
        )

    def _laid_out(self, pick: Indices, names: Sequence[str], kind: Indices) -> Layout:
        return lay_out(pick, names, kind=kind, legs=self.legs, width=self.width)

    def _against(self, kind: Indices, legs: Sequence[Legs]) -> None:
        """What each row is against; other than before, it is laid out anew."""
        if legs != self.legs or not np.array_equal(kind, self.kind):
            self.kind, self.legs, self.layout = kind, legs, None

    def _clear(self, rows: int) -> None:
        self.views, self.layout = (), None
        self.pick = np.full(rows, -1, dtype=np.intp)
        self.kind, self.legs = np.zeros(rows, dtype=np.intp), (ALONE,)
        self.score, self.rho, self.horizon, self.session = np.zeros((4, rows))
        self.names, self.references = [""] * rows, [""] * rows


def _put(column: NDArray[Any], places: Sequence[int], values: Sequence[float]) -> NDArray[Any]:
    """The column with other values at some places; the one given stays as somebody may hold it."""
    changed = column.copy()
    changed[places] = values
    return changed


def scored_views(
    state: State,
    views: list[View],
    *,
    picks: dict[str, int],
    ahead: float,
    crossed: Mapping[str, float] = ALONE_SCORED,
) -> tuple[Board, list[View]]:
    """The views that count, in order, and those without effect.

    picks: index per instrument that can be judged. crossed: as in `scores`. Without effect:
    direction 0, no price, nobody to be compared with, no skill left.
    """
    parameters = state.parameters
    about = None if is_plain(views) else picked(views, picks)
    if about is not None:
        views, about = _in_order(views, about)
    key = (tuple(picks), len(views), state.learned)
    columns = state.columns.get(key, Columns, same=(parameters,))
    columns.read(
        views,
        picks=picks,
        about=about,
        sources=state.sources,
        parameters=parameters,
        crossed=crossed,
    )
    age = np.maximum(state.session_now() - columns.session, 0.0)
    skill = skill_over(columns.rho, horizon=columns.horizon, age=age, ahead=ahead)
    least = max(parameters.skill_min, SKILL_LEAST)
    counts = (columns.pick >= 0) & (columns.score != 0.0) & (np.abs(skill) >= least)
    if about is not None:
        counts &= _surest(columns, views, counts, skill, most=parameters.baskets_max)
    without = list(compress(views, (~counts).tolist()))
    horizon, age = columns.horizon[counts], age[counts]
    left, soon = arriving(horizon, age, math.inf), _soon(horizon, age, ahead)
    return columns.board(counts, skill=skill[counts], left=left, soon=soon), without


def _surest(
    columns: Columns,
    views: Sequence[View],
    counts: NDArray[np.bool_],
    skill: Floats,
    *,
    most: int,
) -> NDArray[np.bool_]:
    """(rows,) all but those of pairs and baskets beyond so many, the surest first.

    Each set of legs is a pick of its own, and a round's cost grows with the cube of them.
    """
    kept = np.ones(len(views), dtype=np.bool_)
    baskets = [i for i, view in enumerate(views) if view.against and counts[i]]
    sure = np.abs(columns.score * skill)
    best: dict[tuple[int, int], float] = {}
    for i in baskets:
        pick = (int(columns.pick[i]), int(columns.kind[i]))
        best[pick] = max(best.get(pick, 0.0), float(sure[i]))
    if len(best) <= most:
        return kept
    chosen = frozenset(sorted(best, key=lambda pick: (-best[pick], pick))[:most])
    for i in baskets:
        kept[i] = (int(columns.pick[i]), int(columns.kind[i])) in chosen
    return kept


def _in_order(views: list[View], about: Picks) -> tuple[list[View], Picks]:
    """The views by instrument and what they are against, otherwise as they were."""
    order = sorted(range(len(views)), key=lambda i: (views[i].instrument, about.kind[i]))
    own, kind = ([column[i] for i in order] for column in (about.own, about.kind))
    return [views[i] for i in order], Picks(own, kind, about.legs)


def _soon(horizon: Floats, age: Floats, ahead: float) -> Floats:
    """(rows,) share of what is to come that arrives within one session."""
    share = arriving(horizon, age, min(1.0, ahead)) / arriving(horizon, age, ahead)
    return np.minimum(share, 1.0)
