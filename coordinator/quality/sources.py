"""Sources: what became of each source's signals, and what its live views say now.

Place in the flow: measured from a folded state when somebody asks; no decision reads it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from coordinator.core.allocate import Situation, situation
from coordinator.core.calibrations import reliability
from coordinator.core.likeness import errors_between
from coordinator.core.normalise import is_crossed
from coordinator.core.ports import Floats, RiskModel
from coordinator.core.priority import PARTS
from coordinator.core.skill import (
    Forecasts,
    calibrated,
    horizon_bucket,
    learned_skill,
    skill_interval,
)
from coordinator.core.state import Portfolio, Source, State, View
from coordinator.core.views import arriving
from coordinator.quality.unused import ALONE, FADED, FEW, HOLD, UNPRICED, UNRATED, either
from schemas.control import SourceRegistered, StrategyRegistered
from schemas.verdicts import ReliabilityBin

__all__ = ["SignalLine", "SkillLine", "SourceLine", "Voices", "signal_lines", "source_lines"]


@dataclass(frozen=True, slots=True)
class SkillLine:
    """What is believed of a source from `horizon` up to twice as many sessions.

    skill: information coefficient; low, high: the middle 95 % of what it may be. observations:
    outcomes it rests on, overlapping and old ones counted less; outcomes: all there ever were.
    """

    horizon: float
    skill: float
    low: float
    high: float
    observations: float
    outcomes: int


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A source's terms and record.

    raw_scores: forecasts that its spreads rest on, older ones counted less. live: views that count
    now; last_at: its last signal, ns UTC. awaited: signals whose outcome is not known yet. alike:
    the source whose errors go most with its own, and by how much, 0 to 1. brier_stated: of its
    stated confidences, had they been probabilities; brier_calibrated: of what they were calibrated
    to before each outcome. usual_confidence: the mean of those it stated and that are known to be
    right or wrong; usual_hit_rate: what that is mapped to now: views that state a confidence are
    judged by such a rate, and not by the skills.
    """

    terms: SourceRegistered
    strategies: tuple[StrategyRegistered, ...]
    muted: bool
    muted_strategies: tuple[str, ...]
    accepted: int
    rejected: tuple[tuple[str, int], ...]
    live: int
    last_at: int | None
    raw_scores: int
    awaited: int
    skills: tuple[SkillLine, ...]
    alike: tuple[str, float] | None
    confident: int
    brier_stated: float | None
    brier_calibrated: float | None
    usual_confidence: float | None
    usual_hit_rate: float | None
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class SignalLine:
    """A live view that a portfolio hears, in its present situation.

    form: of what it says; stated: the number in it, None for a direction; against: what its
    instrument is judged against. age: sessions since it counts; left: part of it that is still to
    come within its horizon, 0 to 1. score, skill: standardised opinion, and its believed
    information coefficient over the portfolio's horizon; view: return it alone would make us
    expect; own: its part of its instrument's combined return. priority: how much it matters beside
    the others, the weighted mean of its `parts`, by name. None: it has no effect, `why` says why.
    """

    signal: str
    source: str
    strategy: str
    instrument: str
    form: str
    direction: int | None
    strength: float | None
    stated: float | None
    against: tuple[tuple[str, float], ...]
    confidence: float | None
    horizon: float
    age: float
    left: float
    expires_at: int | None
    priority: float | None
    parts: tuple[tuple[str, float], ...]
    score: float | None
    skill: float | None
    view: float | None
    own: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Voices:
    """All live views of a portfolio. horizon: sessions that its allocation looks ahead.

    without: why nothing can be weighed now; empty where it can.
    """

    portfolio: str
    horizon: float | None
    lines: tuple[SignalLine, ...]
    without: str


def source_lines(state: State) -> tuple[SourceLine, ...]:
    """Every registered source, by name."""
    live: dict[str, int] = {}
    for view in state.views.values():
        live[view.source] = live.get(view.source, 0) + 1
    names = sorted(state.sources)
    errors = errors_between(names, state.sources, state.pairs, state.parameters)
    awaited = Counter(one.signal.source for one in state.outcomes.entered.values())
    return tuple(
        _source_line(
            state, name, live.get(name, 0), awaited=awaited[name], alike=_alike(names, errors, i)
        )
        for i, name in enumerate(names)
    )


def _alike(names: list[str], errors: Floats, place: int) -> tuple[str, float] | None:
    """The other source whose errors go most with this one's."""
    others = [(float(errors[place, i]), name) for i, name in enumerate(names) if i != place]
    if not others:
        return None
    most, name = max(others, key=lambda one: (one[0], one[1]))
    return name, most


def _skills(state: State, source: Source) -> tuple[SkillLine, ...]:
    """By horizon; the source's usual one where nothing is known yet."""
    skill, parameters = source.skill, state.parameters
    usual = horizon_bucket(source.terms.horizon_sessions)
    lines = []
    for bucket in sorted({*skill.by_horizon, usual}):
        known = skill.by_horizon.get(bucket, Forecasts())
        horizon = 2.0**bucket
        low, high = skill_interval(skill, horizon, parameters)
        rho = learned_skill(skill, horizon, parameters)
        lines.append(SkillLine(horizon, rho, low, high, known.weight, known.outcomes))
    return tuple(lines)


def _source_line(
    state: State, name: str, live: int, *, awaited: int, alike: tuple[str, float] | None
) -> SourceLine:
    source = state.sources[name]
    known = source.skill.calibration
    count = known.outcomes
    usual = known.c / known.weight if known.weight > 0.0 else None
    return SourceLine(
        terms=source.terms,
        strategies=tuple(source.by_strategy[name] for name in sorted(source.by_strategy)),
        muted=source.muted,
        muted_strategies=source.muted_strategies,
        accepted=source.accepted,
        rejected=tuple(sorted(source.rejected.items())),
        live=live,
        last_at=source.last_at,
        raw_scores=round(sum(one.count for one in source.spreads.values())),
        awaited=awaited,
        skills=_skills(state, source),
        alike=alike,
        confident=count,
        brier_stated=known.brier_stated / count if count else None,
        brier_calibrated=known.brier_calibrated / count if count else None,
        usual_confidence=usual,
        usual_hit_rate=None if usual is None else calibrated(source.skill, usual, state.parameters),
        reliability=reliability(known),
    )


def signal_lines(state: State, portfolio: Portfolio, risk_model: RiskModel) -> Voices:
    """The live views that a portfolio hears, by instrument, source and strategy."""
    found = situation(state, portfolio, risk_model)
    if found is None:
        reason = "what it holds has no price, or it has no positive value: nothing is weighed"
        return Voices(portfolio.name, None, (), reason)
    told = _weighed(found)
    views = sorted((*found.rows.views, *found.without), key=lambda view: view.key)
    lines = tuple(_signal_line(state, view, told.get(view.reference)) for view in views)
    return Voices(portfolio.name, found.horizon, lines, "")


@dataclass(frozen=True, slots=True)
class _Weighed:
    parts: tuple[tuple[str, float], ...]
    score: float
    skill: float
    view: float
    own: float
    priority: float


def _weighed(found: Situation) -> dict[str, _Weighed]:
    rows, combination = found.rows, found.combination
    columns: tuple[Floats, ...] = (
        rows.score,
        rows.skill,
        combination.q * rows.skill**2,
        combination.own,
        found.priorities.whole,
    )
    lines = zip(
        rows.references,
        *(column.tolist() for column in columns),
        found.priorities.parts.tolist(),
        strict=True,
    )
    return {
        reference: _Weighed(tuple(zip(PARTS, parts, strict=True)), *numbers)
        for reference, *numbers, parts in lines
    }


def _signal_line(state: State, view: View, told: _Weighed | None) -> SignalLine:
    age = max(state.session_now() - view.session, 0.0)
    left = arriving(np.array([view.horizon]), np.array([age]), view.horizon)
    return SignalLine(
        signal=view.reference,
        source=view.source,
        strategy=view.strategy,
        instrument=view.instrument,
        form=view.form,
        direction=view.direction,
        strength=view.strength,
        stated=view.stated,
        against=view.against,
        confidence=view.confidence,
        horizon=view.horizon,
        age=age,
        left=float(left[0]),
        expires_at=view.expires_at,
        priority=None if told is None else told.priority,
        parts=() if told is None else told.parts,
        score=None if told is None else told.score,
        skill=None if told is None else told.skill,
        view=None if told is None else told.view,
        own=None if told is None else told.own,
        why="" if told is not None else _without(state, view),
    )


def _without(state: State, view: View) -> str:
    """Why a live view has no effect."""
    if view.direction == 0:
        return HOLD
    names = (view.instrument, *(name for name, _ in view.against))
    if any(state.market.price_of(name) is None for name in names):
        return UNPRICED
    if is_crossed(view, state.sources[view.source]):
        return either(FADED, UNRATED, FEW)
    if view.form == "rank":
        return either(FADED, UNRATED, ALONE)
    return either(FADED, UNRATED)
