"""Booking: fills, money, reports and corporate actions find their portfolio and its accounts.

Place in the flow: part of `evolve`, for everything about books; `accounts` holds the sums. It also
notes what moved, for reports that were counted before it was booked.
"""

from __future__ import annotations

from dataclasses import replace

from coordinator.core.accounts import (
    EXACT,
    ZERO,
    book_cash,
    book_change,
    book_correction,
    book_fill,
    book_redenomination,
    cut,
    exact,
)
from coordinator.core.actions import action_timer
from coordinator.core.clock import MILLISECOND
from coordinator.core.firm import count_dealt, split_dealt
from coordinator.core.movements import Movement, Movements
from coordinator.core.panes import count_fill
from coordinator.core.reconcile import OPENED
from coordinator.core.rounds import halt, open_round, show_soon
from coordinator.core.state import Portfolio, State
from coordinator.core.virtual import share_action, share_fill
from schemas import market, orders, portfolios
from schemas.books import CorporateActionTaken, HoldingChanged, ReconciliationDiffered

__all__ = [
    "await_action",
    "change_holding",
    "move_cash",
    "redenominate",
    "take_action",
    "take_difference",
    "take_fill",
    "take_report",
]


def move_cash(state: State, event: portfolios.CashMoved) -> None:
    """Money in or out: who decides on signals has other means now."""
    portfolio = state.portfolios[event.portfolio]
    rate = state.market.rate(event.currency, portfolio.currency)
    book_cash(portfolio, event, rate=rate, at=state.clock)
    _note(state, portfolio, Movement(event.event_time, None, ZERO, event.currency, event.amount))
    show_soon(state, portfolio)
    if portfolio.schedule.kind == "signals":
        open_round(state, portfolio, "constraint")


def take_fill(state: State, event: orders.Fill) -> None:
    """An execution, of a trade of ours or of somebody else's."""
    portfolio = state.portfolios[event.portfolio]
    currency = state.market.instruments[event.instrument].currency
    before = portfolio.account(currency).cash
    share_fill(state, portfolio, event, currency=currency)
    book_fill(
        portfolio,
        event,
        currency=currency,
        rate=state.market.rate(currency, portfolio.currency),
        at=state.clock,
        done=isinstance(event, orders.OrderFilled),
    )
    paid = EXACT.subtract(portfolio.account(currency).cash, before)
    _note(
        state,
        portfolio,
        Movement(event.event_time, event.instrument, event.quantity, currency, paid),
    )
    count_fill(state, event)
    count_dealt(state, portfolio, event)
    show_soon(state, portfolio)


def take_report(state: State, event: portfolios.PositionsReported) -> None:
    """What it differs in was said, and done, before."""
    state.portfolios[event.portfolio].reported = True


def take_difference(state: State, event: ReconciliationDiffered) -> None:
    """A policy that believes the report books the difference, one that stops pauses."""
    portfolio = state.portfolios[event.portfolio]
    if event.policy == "stop":
        portfolio.paused = True
        halt(state, portfolio)
    elif event.policy in (OPENED, "trust_report"):
        _correct(state, portfolio, event)
        show_soon(state, portfolio)
        if portfolio.schedule.kind == "signals":
            open_round(state, portfolio, "constraint")


def _correct(state: State, portfolio: Portfolio, event: ReconciliationDiffered) -> None:
    if event.instrument is None:
        currency = event.currency or portfolio.currency
    else:
        currency = state.market.instruments[event.instrument].currency
    book_correction(portfolio, event, currency=currency, at=state.clock)
    if event.policy == OPENED:
        _count_as_put_in(state, portfolio, event, currency)


def _count_as_put_in(
    state: State, portfolio: Portfolio, event: ReconciliationDiffered, currency: str
) -> None:
    """What an opening report brings was there before: it is no gain."""
    rate = state.market.rate(currency, portfolio.currency)
    more = EXACT.subtract(event.reported, event.folded)
    worth = more if event.instrument is None else EXACT.multiply(more, event.price or ZERO)
    if rate is not None:
        portfolio.put_in(cut(EXACT.multiply(worth, exact(rate))))


def await_action(state: State, event: market.CorporateActionAnnounced) -> None:
    """It waits for its time, and comes before all else of that moment.

    One that comes too late takes effect before whatever comes next.
    """
    state.actions[event.event_id] = event
    state.timers.arm(action_timer(event), max(event.effective_at, state.clock) - 1)


def redenominate(state: State, instrument: str, *, before: str) -> None:
    """An instrument changed its currency: whoever holds it has its cost in the new one."""
    currency = state.market.instruments[instrument].currency
    rate = state.market.rate(before, currency)
    for name in sorted(state.portfolios):
        portfolio = state.portfolios[name]
        book_redenomination(portfolio, instrument, before=before, currency=currency, rate=rate)


def change_holding(state: State, event: HoldingChanged) -> None:
    """What a corporate action made of a holding."""
    portfolio = state.portfolios[event.portfolio]
    into = state.market.instruments.get(event.into or "")
    into_currency = event.currency if into is None else into.currency
    book_change(portfolio, event, into_currency=into_currency, at=state.clock)
    units = EXACT.subtract(event.quantity, event.quantity_before)
    action = state.actions.get(event.action_id)
    at = event.decided_at if action is None else action.effective_at
    _note(state, portfolio, Movement(at, event.instrument, units, event.currency, event.cash))
    if event.into is not None:
        portfolio.account(state.market.instruments[event.into].currency)
        received = Movement(at, event.into, event.into_quantity, event.currency, ZERO)
        _note(state, portfolio, received)
    show_soon(state, portfolio)


def _detach(state: State, action: market.CorporateActionAnnounced) -> None:
    """What holders receive is part of the return, and of what a signal is credited with."""
    price = state.market.price_of(action.instrument)
    worth = float(action.amount or 0)
    if action.kind == "spin_off":
        each = state.market.price_of(action.into or "") or 0.0
        worth = each * float(action.ratio or 0) / float(action.per or 1)
    if price is None or not 0.0 < worth < price:
        return
    share, at = worth / price, action.effective_at
    state.market.detach(action.instrument, share, effective_at=at)
    state.outcomes.adjust(action.instrument, 1.0 - share, before=at)


def take_action(state: State, event: CorporateActionTaken) -> None:
    """It is in effect: what was seen of the instrument is put in its new units."""
    action = state.actions.pop(event.action_id, None)
    if action is None:
        return
    share_action(state, action)
    if event.kind == "split":
        state.market.split(event.instrument, event.factor, effective_at=action.effective_at)
        split_dealt(state, event.instrument, event.factor)
        at = action.effective_at
        state.outcomes.adjust(event.instrument, 1.0 / event.factor, before=at)
    elif event.kind in ("dividend", "spin_off"):
        _detach(state, action)
    else:
        state.market.instruments[event.instrument].delisted = True


def _note(state: State, portfolio: Portfolio, movement: Movement) -> None:
    """Remember it for reports that were counted before it was booked; none is of the future."""
    movement = replace(movement, at=min(movement.at, state.clock))
    known = state.movements.setdefault(portfolio.name, Movements())
    since = state.clock - state.parameters.lateness_ms_max * MILLISECOND
    known.note(movement, kept_max=state.parameters.movements_max, since=since)
