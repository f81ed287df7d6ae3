"""Leave one source out: what a decision would have been had a source said nothing.

Place in the flow: after the fact, when somebody asks. The decision's moment is put together again
from its log, the source's live signals are taken away, and the round is closed as always: views are
combined, the problem is solved, lots are rounded. Where nothing is traded small changes of an
opinion change nothing, so sensitivities tell little; deciding again tells all. What a source's past
signals taught of itself and of others stays, as does what they led the portfolio to hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from coordinator.bootstrap import risk_model
from coordinator.core.decide import close_round
from coordinator.core.ports import LogReader
from coordinator.core.state import Portfolio, State
from coordinator.core.views import heard
from coordinator.quality.reasons import told_of
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from replay.errors import UnknownSource
from replay.problems import other_problem, situation_of
from replay.source import Progress
from schemas.base import Model
from schemas.decisions import AllocationDecided, Trade

__all__ = ["LeaveOut", "LeftOut", "TradeChange", "decided_without", "leave_out"]

NEGLIGIBLE = 1e-12
"""Trades closer than this are the same, fraction of NAV."""
Step = Callable[[int, int, str], None]
"""Told how many sources are done, of how many, and which one comes next."""


class TradeChange(Model):
    """One instrument that is traded otherwise; weights are signed fractions of NAV."""

    instrument: str
    decided: float
    without: float
    """Had the source said nothing."""


class LeftOut(Model):
    """What one source changed."""

    source: str
    signals: tuple[str, ...]
    """Its live signals that the portfolio heard: these are left out."""
    turnover: float
    """Of the decision without it, fraction of NAV."""
    turnover_change: float
    """What the source added to the turnover."""
    objective: float
    """Of the decision without it, by the opinion without it."""
    objective_change: float
    """What the source added to the objective."""
    changes: tuple[TradeChange, ...]
    """The largest difference first."""
    trades: tuple[Trade, ...]
    """What would have been decided."""
    rung: str | None
    """How that answer was found; absent where there was nothing left to decide."""


class LeaveOut(Model):
    """A decision beside what it would have been without each of some sources."""

    decision_id: str
    portfolio: str
    turnover: float
    objective: float
    trades: int
    rung: str
    """How its answer was found."""
    sources: tuple[LeftOut, ...]
    """The one that moved most first."""


def leave_out(
    reader: LogReader,
    decision_id: str,
    sources: Sequence[str] = (),
    *,
    progress: Progress | None = None,
    step: Step | None = None,
) -> LeaveOut:
    """What each source changed in a decision. sources: which; none: each that was heard in it.

    progress: told while the journal is read; step: while the decision is made again.
    Raises as `situation_at`, and UnknownSource.
    """
    told = told_of(reader, decision_id)
    state, portfolio, _ = situation_of(reader, told, progress=progress)
    names = _checked(state, portfolio, sources)
    whole = decided_without(state, portfolio, ())
    if whole is None or whole.trades != told.decision.trades:
        raise other_problem(told, "it comes out otherwise here")
    found = []
    for done, name in enumerate(names):
        if step is not None:
            step(done, len(names), name)
        found.append(_left_out(state, portfolio, whole, name))
    return LeaveOut(
        decision_id=decision_id,
        portfolio=portfolio.name,
        turnover=whole.turnover,
        objective=whole.solver.objective,
        trades=len(whole.trades),
        rung=whole.solver.rung.value,
        sources=tuple(sorted(found, key=lambda one: (-_moved(one), one.source))),
    )


def decided_without(
    state: State, portfolio: Portfolio, sources: Sequence[str]
) -> AllocationDecided | None:
    """What would be decided now if nothing of these sources were live; None: nothing at all.

    The state stays as it is.
    """
    silent = frozenset(sources)
    other = copy.copy(state)
    other.views = {key: one for key, one in state.views.items() if one.source not in silent}
    pin_threads()
    events = close_round(
        other, portfolio, allocator=CvxAllocator(SolverSettings()), risk_model=risk_model()
    )
    return next((one for one in events if isinstance(one, AllocationDecided)), None)


def _checked(state: State, portfolio: Portfolio, sources: Sequence[str]) -> tuple[str, ...]:
    """Those asked for, or all that are heard. Raises UnknownSource."""
    known = tuple(sorted({view.source for view in heard(state, portfolio)}))
    for name in sources:
        if name not in state.sources:
            raise UnknownSource(name, known)
    return tuple(dict.fromkeys(sources)) or known


def _left_out(state: State, portfolio: Portfolio, whole: AllocationDecided, source: str) -> LeftOut:
    other = decided_without(state, portfolio, (source,))
    trades = () if other is None else other.trades
    turnover = 0.0 if other is None else other.turnover
    objective = 0.0 if other is None else other.solver.objective
    views = heard(state, portfolio)
    return LeftOut(
        source=source,
        signals=tuple(sorted(one.reference for one in views if one.source == source)),
        turnover=turnover,
        turnover_change=whole.turnover - turnover,
        objective=objective,
        objective_change=whole.solver.objective - objective,
        changes=_changes(whole.trades, trades),
        trades=trades,
        rung=None if other is None else other.solver.rung.value,
    )


def _changes(decided: Sequence[Trade], without: Sequence[Trade]) -> tuple[TradeChange, ...]:
    """Trades that differ, the largest difference first."""
    one = {trade.instrument: trade.weight for trade in decided}
    other = {trade.instrument: trade.weight for trade in without}
    names = sorted(one.keys() | other.keys())
    made = [
        TradeChange(instrument=name, decided=one.get(name, 0.0), without=other.get(name, 0.0))
        for name in names
    ]
    differing = [change for change in made if _size(change) > NEGLIGIBLE]
    return tuple(sorted(differing, key=lambda change: (-_size(change), change.instrument)))


def _size(change: TradeChange) -> float:
    return abs(change.decided - change.without)


def _moved(left: LeftOut) -> float:
    """Half of all that is traded otherwise."""
    return sum(map(_size, left.changes)) / 2.0
