"""Sources: what became of each source's signals, and what its live views say now.

Place in the flow: measured from a folded state when somebody asks; no decision reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coordinator.core.allocate import Situation, situation
from coordinator.core.ports import Floats, RiskModel
from coordinator.core.state import Portfolio, Source, State, View
from coordinator.core.views import arriving
from schemas.control import SourceRegistered, StrategyRegistered

__all__ = ["SignalLine", "SourceLine", "Voices", "signal_lines", "source_lines"]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A source's terms and record. live: views that count now; last_at: its last signal, ns UTC."""

    terms: SourceRegistered
    strategies: tuple[StrategyRegistered, ...]
    muted: bool
    muted_strategies: tuple[str, ...]
    accepted: int
    rejected: tuple[tuple[str, int], ...]
    live: int
    last_at: int | None
    raw_scores: int


@dataclass(frozen=True, slots=True)
class SignalLine:
    """A live view that a portfolio hears, in its present situation.

    age: sessions since it counts; left: part of it that is still to come within its horizon, 0 to
    1. score, skill: standardised opinion, and its believed information coefficient over the
    portfolio's horizon; view: return it alone would make us expect; own: its part of its
    instrument's combined return. None: it is without effect, `why` says why.
    """

    signal: str
    source: str
    strategy: str
    instrument: str
    direction: int | None
    strength: float | None
    confidence: float | None
    horizon: float
    age: float
    left: float
    expires_at: int | None
    priority: float
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
    return tuple(
        _source_line(state.sources[name], live.get(name, 0)) for name in sorted(state.sources)
    )


def _source_line(source: Source, live: int) -> SourceLine:
    return SourceLine(
        terms=source.terms,
        strategies=tuple(source.by_strategy[name] for name in sorted(source.by_strategy)),
        muted=source.muted,
        muted_strategies=source.muted_strategies,
        accepted=source.accepted,
        rejected=tuple(sorted(source.rejected.items())),
        live=live,
        last_at=source.last_at,
        raw_scores=source.raw_count,
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
    score: float
    skill: float
    view: float
    own: float


def _weighed(found: Situation) -> dict[str, _Weighed]:
    rows, combination = found.rows, found.combination
    columns: tuple[Floats, ...] = (
        rows.score,
        rows.skill,
        combination.q * rows.skill**2,
        combination.own,
    )
    return {
        reference: _Weighed(*numbers)
        for reference, *numbers in zip(
            rows.references, *(column.tolist() for column in columns), strict=True
        )
    }


def _signal_line(state: State, view: View, told: _Weighed | None) -> SignalLine:
    age = max(state.session_now() - view.session, 0.0)
    left = arriving(np.array([view.horizon]), np.array([age]), view.horizon)
    return SignalLine(
        signal=view.reference,
        source=view.source,
        strategy=view.strategy,
        instrument=view.instrument,
        direction=view.direction,
        strength=view.strength,
        confidence=view.confidence,
        horizon=view.horizon,
        age=age,
        left=float(left[0]),
        expires_at=view.expires_at,
        priority=state.sources[view.source].priority(view.strategy),
        score=None if told is None else told.score,
        skill=None if told is None else told.skill,
        view=None if told is None else told.view,
        own=None if told is None else told.own,
        why="" if told is not None else _without(state, view),
    )


def _without(state: State, view: View) -> str:
    """Why a live view has no effect."""
    if view.direction == 0:
        return "says hold"
    if state.market.price_of(view.instrument) is None:
        return "no price"
    return "no skill left, or no exchange rate"
