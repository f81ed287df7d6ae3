"""Listen: a signal's view takes its place, its end is set, and those who hear it are woken.

Place in the flow: part of `evolve`, for everything about live views. The only place where views
come and go.
"""

from __future__ import annotations

import math

from coordinator.core.clock import MILLISECOND, MINUTE
from coordinator.core.forms import form_of, raw_score, stated
from coordinator.core.learn import await_outcome
from coordinator.core.panes import count_accepted
from coordinator.core.rounds import open_round
from coordinator.core.scales import volatility_of
from coordinator.core.state import Source, Spread, State, View
from schemas.control import StrategyMuted
from schemas.entries import Stamp
from schemas.signals import SignalIssued
from schemas.verdicts import SignalExpired

__all__ = ["drop_view", "mute", "take_view", "view_timer"]


def take_view(state: State, stamp: Stamp, event: SignalIssued) -> None:
    """The signal's view takes its place; the one it supersedes was dropped before."""
    source = state.sources[event.source]
    view = _view_of(state, stamp, event, source)
    _count(source, stamp)
    count_accepted(state, event.source, view.event_time)
    if view.is_forecast:
        source.spreads.setdefault(view.form, Spread()).add(view.raw)
    state.views[view.key] = view
    await_outcome(state, view)
    _set_end(state, view)
    wake(state, event.source, event.instrument)


def _count(source: Source, stamp: Stamp) -> None:
    """One more signal that counts, in its minute of the input topic's time."""
    minute = stamp.appended_at // MINUTE
    source.in_minute = source.in_minute + 1 if minute == source.minute else 1
    source.minute = minute
    source.accepted += 1
    source.last_at = stamp.appended_at


def wake(state: State, source: str, instrument: str | None) -> None:
    """Open a round of everybody who decides on that source's signals (on that instrument)."""
    for name in state.hearers.of(source, instrument):
        open_round(state, state.portfolios[name], "signals")


def _view_of(state: State, stamp: Stamp, event: SignalIssued, source: Source) -> View:
    horizon = event.horizon_sessions or source.horizon(event.strategy)
    form = form_of(event)
    against = tuple((leg.instrument, leg.weight) for leg in event.against)
    raw = 0.0
    if form != "direction":
        raw = raw_score(
            event,
            volatility=volatility_of(state.market, event.instrument, against, state.parameters),
            horizon=horizon,
            risk_aversion=state.parameters.target_risk_aversion,
        )
    return View(
        event.event_id,
        event.source,
        event.strategy,
        event.instrument,
        event.direction,
        event.strength,
        raw,
        event.confidence,
        horizon,
        event.event_time,
        stamp.appended_at,
        _begins(state, stamp),
        event.expires_at,
        form,
        stated(event),
        against,
    )


def _begins(state: State, stamp: Stamp) -> float:
    """The session from which the signal's age counts.

    Observed: that of the first close at or after it was known, because nobody could trade on it
    earlier than that session. By the clock: the topic's time. Both are the same for every shard,
    and for every order of arrival but one: a close told after signals that are younger than it.
    """
    if state.parameters.sessions == "observed":
        return float(state.market.session + (stamp.appended_at > state.market.closed_at))
    return stamp.appended_at / (state.parameters.session_ms * MILLISECOND)


def view_timer(view: View) -> str:
    """Name of the timer that ends a view; no name holds a tab."""
    return f"end-view\t{view.instrument}\t{view.source}\t{view.strategy}"


def _set_end(state: State, view: View) -> None:
    """Arm what ends the view: its expiry, and the end of its horizon."""
    name = view_timer(view)
    if state.parameters.sessions == "observed":
        state.session_timers.arm(name, math.ceil(view.session + view.horizon))
        if view.expires_at is not None:
            state.timers.arm(name, view.expires_at)
        return
    over = int((view.session + view.horizon) * state.parameters.session_ms * MILLISECOND)
    state.timers.arm(name, over if view.expires_at is None else min(over, view.expires_at))


def drop_view(state: State, event: SignalExpired) -> None:
    """Close the view of that very signal; one withdrawn wakes those who heard it.

    One whose time is over does where the parameters say so.
    """
    key = (event.instrument, event.source, event.strategy)
    view = state.views.get(key)
    if view is None or view.signal_id != event.signal_id:
        return
    name = view_timer(view)
    state.timers.disarm(name)
    state.session_timers.disarm(name)
    del state.views[key]
    if event.reason == "withdrawn":
        state.outcomes.forget(event.instrument, event.source, event.strategy)
        wake(state, event.source, event.instrument)
    elif event.reason == "time" and state.parameters.expiry_opens_rounds:
        wake(state, event.source, event.instrument)


def mute(state: State, event: StrategyMuted) -> None:
    """A source or strategy counts no more, or again: those who hear it decide anew."""
    source = state.sources[event.source]
    if event.strategy is None:
        source.muted = event.muted
    else:
        others = tuple(name for name in source.muted_strategies if name != event.strategy)
        muted = tuple(sorted((*others, event.strategy)))
        source.muted_strategies = muted if event.muted else others
    wake(state, event.source, None)
