"""What happens when a timer fires: the events of a round, a view, an expiry.

Place in the flow: the engine fires due timers before each record, each at its own deadline, so that
nothing depends on when a tick came. Reads the state; the changes are `evolve`'s.
"""

from __future__ import annotations

from coordinator.core.actions import action_said
from coordinator.core.bias import forecasts_end
from coordinator.core.calibrations import calibrations
from coordinator.core.decide import close_round
from coordinator.core.learn import CLOSED, LEARNED, learn_from_close
from coordinator.core.panes import (
    PORTFOLIO_PANE,
    SOURCE_PANE,
    arm_source,
    portfolio_pane,
    source_panes,
)
from coordinator.core.ports import Allocator, RiskModel
from coordinator.core.rounds import (
    ROUND,
    arm_interval,
    arm_view,
    note_idle,
    open_round,
    session_over,
)
from coordinator.core.shown import portfolio_view, seen_as
from coordinator.core.state import Portfolio, State
from coordinator.core.tilt import MOVES, MOVES_OF, look_again, moves, moves_of, settle_moves
from schemas.base import OutputEvent
from schemas.decisions import AllocationDecided, TradesExpired
from schemas.verdicts import SignalExpired

__all__ = ["KINDS", "after_timer", "owner_of", "timer_events"]

_SHARED = ("action", "end-view", CLOSED, LEARNED, MOVES, SOURCE_PANE)
"""Kinds of timers that belong to no single portfolio."""
_OWN = ("end-trades", "interval", MOVES_OF, ROUND, "view", PORTFOLIO_PANE)
KINDS = tuple(sorted((*_SHARED, *_OWN)))
"""All there are. Those of a moment fire in this order: panes last, so that they hold the rest."""


def owner_of(timer: str) -> str | None:
    """The portfolio a timer belongs to, None for a shared one."""
    kind, *rest = timer.split("\t")
    return None if kind in _SHARED else rest[0]


def timer_events(
    state: State, timer: str, *, allocator: Allocator, risk_model: RiskModel
) -> list[OutputEvent]:
    """What the engine says when the timer fires."""
    kind, *rest = timer.split("\t")
    if kind in _SHARED:
        return _shared_events(state, kind, rest)
    portfolio = state.portfolios[rest[0]]
    if kind == ROUND and portfolio.round is not None and state.may_decide(portfolio):
        events = close_round(state, portfolio, allocator=allocator, risk_model=risk_model)
        decided = sum(len(e.trades) for e in events if isinstance(e, AllocationDecided))
        view = portfolio_view(portfolio, state.market, at=state.clock)
        return [*events, view.model_copy(update={"open_trades": view.open_trades + decided})]
    if kind == "end-trades":
        return _expired_trades(state, portfolio, rest[1])
    if kind == MOVES_OF:
        return list(moves_of(state, portfolio))
    if kind == "view":
        return _changed_view(state, portfolio)
    if kind == PORTFOLIO_PANE:
        return list(portfolio_pane(state, portfolio))
    return []


def _shared_events(state: State, kind: str, rest: list[str]) -> list[OutputEvent]:
    """Of the timers that belong to no single portfolio."""
    if kind == "end-view":
        return _expired_view(state, (rest[0], rest[1], rest[2]))
    if kind == LEARNED:
        return calibrations(state)
    if kind == "action":
        return action_said(state, rest[0])
    if kind == SOURCE_PANE:
        return list(source_panes(state, rest[0]))
    if kind == MOVES:
        return list(moves(state))
    return []


def after_timer(state: State, timer: str, *, risk_model: RiskModel) -> None:
    """Re-arm what repeats; called after the timer's events were applied."""
    kind, *rest = timer.split("\t")
    if kind == "view":
        arm_view(state, state.portfolios[rest[0]])
    elif kind == "interval":
        portfolio = state.portfolios[rest[0]]
        open_round(state, portfolio, "interval")
        arm_interval(state, portfolio)
    elif kind == CLOSED:
        session_over(state)
        learn_from_close(state)
        forecasts_end(state, risk_model)
        look_again(state)
    elif kind == MOVES:
        settle_moves(state)
    elif kind == ROUND:
        portfolio = state.portfolios[rest[0]]
        portfolio.round = None
        note_idle(state, portfolio)
    elif kind == SOURCE_PANE:
        arm_source(state, rest[0])


def _expired_view(state: State, key: tuple[str, str, str]) -> list[OutputEvent]:
    view = state.views.get(key)
    if view is None:
        return []
    return [
        SignalExpired(
            decided_at=state.clock,
            source=view.source,
            strategy=view.strategy,
            signal_id=view.signal_id,
            instrument=view.instrument,
            expired_at=state.clock,
            reason="time",
        )
    ]


def _expired_trades(state: State, portfolio: Portfolio, decision_id: str) -> list[OutputEvent]:
    left = tuple(
        trade_id
        for trade_id, trade in sorted(portfolio.open_trades.items())
        if trade.decision_id == decision_id
    )
    if not left:
        return []
    return [
        TradesExpired(
            decided_at=state.clock,
            portfolio=portfolio.name,
            decision_id=decision_id,
            trade_ids=left,
        )
    ]


def _changed_view(state: State, portfolio: Portfolio) -> list[OutputEvent]:
    """The portfolio as it stands, if it is not as it was last shown."""
    view = portfolio_view(portfolio, state.market, at=state.clock)
    return [] if seen_as(view) == portfolio.view_shown else [view]
