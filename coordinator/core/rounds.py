"""Rounds: when a portfolio's coordination round opens and when it is due.

Place in the flow: called by `evolve` when something happens that a portfolio answers with a
decision. Rounds of different portfolios overlap freely. A round is due when its window ends, but no
earlier than the round spacing after the portfolio's last round, so that a steady stream cannot ask
for more solves than there is time.
"""

from __future__ import annotations

from coordinator.core.book import mark, value
from coordinator.core.breaches import breaches_limit
from coordinator.core.clock import MILLISECOND, NEVER, SECOND
from coordinator.core.state import Portfolio, Round, State
from schemas.decisions import Trigger

__all__ = [
    "ROUND",
    "arm_interval",
    "arm_view",
    "halt",
    "note_idle",
    "note_mandate",
    "open_round",
    "session_closed",
    "session_over",
    "show_soon",
]


ROUND = "round"
"""Kind of the timers at which rounds are due."""


def open_round(state: State, portfolio: Portfolio, trigger: Trigger) -> None:
    """Start collecting, unless a round is open or the portfolio decides nothing.

    Scheduled rounds (session_close, interval) are due at once: they have collected since the last
    one.
    """
    if portfolio.round is not None or not state.may_decide(portfolio):
        return
    portfolio.round = Round(trigger, state.clock)
    note_idle(state, portfolio)
    scheduled = trigger in ("session_close", "interval")
    due = state.clock + (0 if scheduled else state.parameters.window_ms * MILLISECOND)
    if portfolio.last_round_at is not None:
        spacing = max(state.parameters.round_spacing_ms, state.pace_ms) * MILLISECOND
        due = max(due, _take_turn(state, due, portfolio.last_round_at + spacing))
    state.timers.arm(f"{ROUND}\t{portfolio.name}", due)


def halt(state: State, portfolio: Portfolio) -> None:
    """It collects nothing any more, until a round is opened anew."""
    portfolio.round = None
    note_idle(state, portfolio)
    state.timers.disarm(f"{ROUND}\t{portfolio.name}")


def note_idle(state: State, portfolio: Portfolio) -> None:
    """Whether it could begin a round now, and when its last one was."""
    free = portfolio.active and portfolio.round is None
    state.hearers.note(portfolio.name, free=free)
    if free:
        state.idle.arm(portfolio.name, portfolio.last_round_at or 0)
    else:
        state.idle.disarm(portfolio.name)


def _take_turn(state: State, due: int, spaced: int) -> int:
    """The next turn of the shard, for a round that has to wait for its spacing.

    No later than one more spacing, so that a turn left far ahead by a wider pace is cut.
    """
    if spaced <= due or not state.stagger_ms:
        return spaced
    latest = spaced + state.pace_ms * MILLISECOND
    state.turn = min(max(spaced, state.turn + state.stagger_ms * MILLISECOND), latest)
    return state.turn


def next_begin(state: State) -> int | None:
    """From when on an input may open a round that is soon due, ns; None while none can.

    An open round has its deadline, and the next one of a portfolio keeps its distance to the last:
    what comes before may as well be applied together.
    """
    if state.paused or state.follows or state.idle.earliest == NEVER:
        return None
    spacing = max(state.parameters.round_spacing_ms, state.pace_ms) * MILLISECOND
    return state.idle.earliest + spacing


def session_closed(state: State) -> None:
    """A session is over: what was to end with it ends, whose turn it is decides.

    What ends is moved to the clock's timers, at this very moment: it fires after everything else of
    this moment was heard, such as the fills at the close, and before the rounds due now.
    """
    while state.session_timers.earliest <= state.market.session:
        ending = state.session_timers.first()
        if ending is None:
            break
        state.session_timers.disarm(ending)
        state.timers.arm(ending, state.clock)
    for name in sorted(state.portfolios):
        portfolio = state.portfolios[name]
        if portfolio.schedule.kind != "session_close" or not state.may_decide(portfolio):
            continue
        portfolio.sessions_waited += 1
        if portfolio.sessions_waited >= portfolio.schedule.every:
            portfolio.sessions_waited = 0
            open_round(state, portfolio, "session_close")


def session_over(state: State) -> None:
    """Every name that closes with the session has: portfolios are marked at its prices.

    Who decides on signals and breaks a limit decides, too.
    """
    for name in sorted(state.portfolios):
        portfolio = state.portfolios[name]
        if portfolio.closed:
            continue
        worth = value(portfolio, state.market)
        mark(portfolio, worth)
        if portfolio.schedule.kind != "signals" or not state.may_decide(portfolio):
            continue
        if breaches_limit(portfolio, worth, state.market):
            open_round(state, portfolio, "breach")


def arm_interval(state: State, portfolio: Portfolio) -> None:
    """The next round of a portfolio that decides every so many seconds, on a fixed grid."""
    name = f"interval\t{portfolio.name}"
    if portfolio.schedule.kind != "interval" or portfolio.closed:
        state.timers.disarm(name)
        return
    step = portfolio.schedule.every * SECOND
    if state.timers.deadline(name) == state.clock and state.clock % step == 0:
        return  # due at this very moment, and not fired yet
    state.timers.arm(name, (state.clock // step + 1) * step)


def arm_view(state: State, portfolio: Portfolio) -> None:
    """The next time the portfolio is shown without being asked, on a fixed grid."""
    if portfolio.closed:
        return
    step = state.parameters.view_interval_ms * MILLISECOND
    state.timers.arm(f"view\t{portfolio.name}", (state.clock // step + 1) * step)


def show_soon(state: State, portfolio: Portfolio) -> None:
    """Something came that is worth showing: within the delay, with all that comes meanwhile."""
    name = f"view\t{portfolio.name}"
    due = state.clock + state.parameters.view_delay_ms * MILLISECOND
    planned = state.timers.deadline(name)
    if not portfolio.closed and (planned is None or planned > due):
        state.timers.arm(name, due)


def note_mandate(state: State, portfolio: Portfolio) -> None:
    """Which signals can wake it, from now on."""
    if portfolio.schedule.kind != "signals" or portfolio.closed:
        state.hearers.remove(portfolio.name)
        return
    mandate = portfolio.mandate
    state.hearers.add(portfolio.name, sources=mandate.sources, instruments=mandate.universe)
