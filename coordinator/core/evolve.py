"""Evolve: the one place where the state changes. One function per event that changes something.

Place in the flow: the engine applies each accepted input and each of its own outputs here, at once.
An event that is not in the table changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from coordinator.core.booking import (
    await_action,
    change_holding,
    move_cash,
    redenominate,
    take_action,
    take_difference,
    take_fill,
    take_report,
)
from coordinator.core.learn import learn_from_prices, learn_from_report, session_ends
from coordinator.core.listen import drop_view, mute, take_view
from coordinator.core.panes import (
    await_panes,
    count_rejected,
    count_round,
    note_conflicts,
    note_view,
    portfolio_pane_said,
    source_pane_said,
)
from coordinator.core.risk import take_published
from coordinator.core.rounds import (
    arm_interval,
    arm_view,
    halt,
    note_idle,
    note_mandate,
    open_round,
    session_closed,
)
from coordinator.core.shown import seen_as
from coordinator.core.state import OpenTrade, Portfolio, Source, State
from coordinator.core.tilt import look_again, take_move, take_regime
from coordinator.core.virtual import take_sleeves
from schemas import control, market, orders, outcomes, portfolios
from schemas.base import Event, OutputEvent
from schemas.books import (
    CorporateActionTaken,
    HoldingChanged,
    PortfolioViewUpdated,
    ReconciliationDiffered,
)
from schemas.canonical import canonical_bytes, digest
from schemas.decisions import (
    AllocationDecided,
    ConflictsDetected,
    RoundClosed,
    TradesExpired,
)
from schemas.entries import Stamp
from schemas.journal import EngineSealed, EngineStarted, RoundsPaced
from schemas.panes import PortfolioPaneClosed, SourcePaneClosed
from schemas.signals import SignalIssued
from schemas.sleeves import SleevesBooked
from schemas.verdicts import (
    ParametersAdapted,
    RecordQuarantined,
    SignalExpired,
    SignalRejected,
)

__all__ = ["essential", "evolve_input", "evolve_output"]


def evolve_input(state: State, stamp: Stamp, event: Event) -> None:
    """Apply an accepted input."""
    if type(event) is SignalIssued:
        take_view(state, stamp, event)
        return
    if type(event) is market.RegimeDeclared:
        take_regime(state, stamp, event)
        return
    change = _INPUTS.get(type(event))
    if change is not None:
        change(state, event)


def evolve_output(state: State, event: Event) -> None:
    """Apply what the engine itself said."""
    change = _OUTPUTS.get(type(event))
    if change is not None:
        change(state, event)


def essential(event: OutputEvent) -> OutputEvent:
    """The event without the long parts that applying it never reads, for whoever has its bytes.

    They are not there: a change that reads one all the same raises AttributeError.
    """
    if not isinstance(event, AllocationDecided):
        return event
    found = event.model_copy()
    for name in _UNREAD:
        del found.__dict__[name]
    return found


# -- market --------------------------------------------------------------------------------------


def _listed(state: State, event: market.InstrumentListed) -> None:
    known = state.market.listed(event.instrument)
    state.market.list(event)
    if known is not None and known.currency != event.currency:
        redenominate(state, event.instrument, before=known.currency)


def _halted(state: State, event: market.InstrumentHalted) -> None:
    state.market.instruments[event.instrument].halted = event.halted


def _delisted(state: State, event: market.InstrumentDelisted) -> None:
    state.market.instruments[event.instrument].delisted = True


def _prices(state: State, event: market.PricesObserved) -> None:
    if state.market.observe(event):
        session_ends(state)
        session_closed(state)
    elif event.event_time != state.market.closed_at:
        learn_from_prices(state, event)


def _attributed(state: State, event: outcomes.OutcomeAttributed) -> None:
    if event.source is not None and event.signal_id is not None:
        learn_from_report(state, event.source, event.signal_id, event.realised_return)


def _rate(state: State, event: market.RatesObserved) -> None:
    state.market.observe_rate(event.name, event.rate, event.event_time)


# -- portfolios ----------------------------------------------------------------------------------


def _opened(state: State, event: portfolios.PortfolioOpened) -> None:
    preset = _preset(state.parameters, event.mode)
    if preset is None:
        message = f"{event.portfolio}: no mode {event.mode!r}, which its intake should have seen"
        raise LookupError(message)
    portfolio = Portfolio.opened(event, preset=preset)
    state.portfolios[event.portfolio] = portfolio
    await_panes(state, portfolio)
    note_mandate(state, portfolio)
    note_idle(state, portfolio)
    arm_view(state, portfolio)
    arm_interval(state, portfolio)
    look_again(state, portfolio)


def _preset(parameters: control.Parameters, mode: str) -> control.ModePreset | None:
    return next((preset for preset in parameters.modes if preset.mode == mode), None)


def _mandate(state: State, event: portfolios.MandateChanged) -> None:
    portfolio = state.portfolios[event.portfolio]
    portfolio.mandate = event.mandate
    portfolio.mandate_version += 1
    portfolio.mode = event.mode or portfolio.mode
    portfolio.preset = _preset(state.parameters, portfolio.mode) or portfolio.preset
    portfolio.schedule = event.schedule or portfolio.schedule
    portfolio.costs = event.costs or portfolio.costs
    portfolio.reports = event.reports or portfolio.reports
    note_mandate(state, portfolio)
    arm_interval(state, portfolio)
    open_round(state, portfolio, "constraint")


def _portfolio_closed(state: State, event: portfolios.PortfolioClosed) -> None:
    portfolio = state.portfolios[event.portfolio]
    portfolio.closed = True
    halt(state, portfolio)
    state.timers.disarm(f"view\t{portfolio.name}")
    note_mandate(state, portfolio)


def _order_over(state: State, event: orders.OrderCancelled | orders.OrderRejected) -> None:
    if event.trade_id is not None:
        state.portfolios[event.portfolio].open_trades.pop(event.trade_id, None)


# -- control and the journal's own ----------------------------------------------------------------


def _registered(state: State, event: control.SourceRegistered) -> None:
    """A new source, or new terms of a known one, which keeps its record."""
    known, terms = state.sources.get(event.source), _sorted(event)
    if known is None:
        state.sources[event.source] = Source(terms)
    else:
        known.terms = terms
        named = frozenset(terms.strategies)
        if named:
            known.by_strategy = {k: v for k, v in known.by_strategy.items() if k in named}


def _strategy(state: State, event: control.StrategyRegistered) -> None:
    state.sources[event.source].by_strategy[event.strategy] = _sorted(event)


Terms = TypeVar("Terms", control.SourceRegistered, control.StrategyRegistered)


def _sorted(event: Terms) -> Terms:
    """With its instruments in order, for whoever looks one up with every signal."""
    return event.model_copy(update={"instruments": tuple(sorted(set(event.instruments)))})


def _signal_rejected(state: State, event: SignalRejected) -> None:
    """Counted with its source; whom nobody registered has no record."""
    source = state.sources.get(event.source)
    if source is not None:
        source.rejected[event.reason] = source.rejected.get(event.reason, 0) + 1
        count_rejected(state, event)


def _parameters(state: State, event: control.ParametersChanged) -> None:
    state.parameters = event.parameters
    state.parameters_digest = digest(canonical_bytes(event.parameters))
    state.market.resize(
        window=event.parameters.risk_window_sessions,
        volume_window=event.parameters.volume_sessions,
    )
    for name in sorted(state.portfolios):
        portfolio = state.portfolios[name]
        portfolio.preset = _preset(event.parameters, portfolio.mode) or portfolio.preset
    look_again(state)


def _paused(state: State, event: control.CoordinationPaused) -> None:
    if event.portfolio is None:
        state.paused = True
    else:
        state.portfolios[event.portfolio].paused = True
    for portfolio in _meant(state, event.portfolio):
        halt(state, portfolio)


def _resumed(state: State, event: control.CoordinationResumed) -> None:
    """What a pause, or a quarantine, took away comes back; who may decide does so anew."""
    if event.portfolio is None:
        state.paused = False
    else:
        state.portfolios[event.portfolio].paused = False
    for portfolio in _meant(state, event.portfolio):
        note_idle(state, portfolio)
        arm_interval(state, portfolio)
        if state.timers.deadline(f"view\t{portfolio.name}") is None:
            arm_view(state, portfolio)
        open_round(state, portfolio, "constraint")


def _meant(state: State, name: str | None) -> list[Portfolio]:
    """One portfolio, or all of them in the order of their names."""
    if name is not None:
        return [state.portfolios[name]]
    return [state.portfolios[other] for other in sorted(state.portfolios)]


def _started(state: State, event: EngineStarted) -> None:
    state.build = event.build
    state.dependencies = event.dependencies
    state.fingerprint = event.fingerprint
    state.sealed = False


def _sealed(state: State, event: EngineSealed) -> None:  # noqa: ARG001 - every change has this shape
    state.sealed = True


def _rounds_paced(state: State, event: RoundsPaced) -> None:
    """Rounds that are open already keep their time."""
    state.pace_ms, state.stagger_ms = event.round_spacing_ms, event.stagger_ms


# -- what the engine itself said -------------------------------------------------------------------


def _decided(state: State, event: AllocationDecided) -> None:
    """Decided trades are open until filled, cancelled, rejected or expired."""
    portfolio = state.portfolios[event.portfolio]
    state.decisions += 1
    for trade in event.trades:
        portfolio.open_trades[trade.trade_id] = OpenTrade(
            trade.trade_id, event.decision_id, trade.instrument, trade.quantity
        )
    if not event.trades:
        return
    portfolio.traded_last = {trade.instrument: trade.weight for trade in event.trades}
    name = f"end-trades\t{event.portfolio}\t{event.decision_id}"
    if event.valid_until is None:
        state.session_timers.arm(name, state.market.session + event.valid_sessions)
    else:
        state.timers.arm(name, event.valid_until)


def _round_closed(state: State, event: RoundClosed) -> None:
    portfolio = state.portfolios[event.portfolio]
    portfolio.rounds = event.round
    portfolio.last_round_at = event.decided_at
    portfolio.signals_used = event.signals_used
    halt(state, portfolio)
    count_round(state, event)


def _view_shown(state: State, event: PortfolioViewUpdated) -> None:
    portfolio = state.portfolios[event.portfolio]
    portfolio.view_shown = seen_as(event)
    arm_view(state, portfolio)
    note_view(state, event)


def _trades_expired(state: State, event: TradesExpired) -> None:
    portfolio = state.portfolios[event.portfolio]
    for trade_id in event.trade_ids:
        portfolio.open_trades.pop(trade_id, None)


def _quarantined(state: State, event: RecordQuarantined) -> None:
    """The portfolio it belongs to decides nothing until somebody resumes it."""
    portfolio = state.portfolios.get(event.portfolio) if event.portfolio is not None else None
    if portfolio is not None:
        portfolio.paused = True
        halt(state, portfolio)


Change = Callable[[State, Any], None]
_INPUTS: dict[type[Event], Change] = {
    market.InstrumentListed: _listed,
    market.InstrumentHalted: _halted,
    market.InstrumentDelisted: _delisted,
    market.PricesObserved: _prices,
    market.RatesObserved: _rate,
    outcomes.OutcomeAttributed: _attributed,
    market.CorporateActionAnnounced: await_action,
    market.RiskModelPublished: take_published,
    portfolios.PortfolioOpened: _opened,
    portfolios.PortfolioClosed: _portfolio_closed,
    portfolios.MandateChanged: _mandate,
    portfolios.CashMoved: move_cash,
    portfolios.PositionsReported: take_report,
    orders.OrderFilled: take_fill,
    orders.OrderPartlyFilled: take_fill,
    orders.OrderCancelled: _order_over,
    orders.OrderRejected: _order_over,
    control.SourceRegistered: _registered,
    control.StrategyRegistered: _strategy,
    control.StrategyMuted: mute,
    control.ParametersChanged: _parameters,
    control.CoordinationPaused: _paused,
    control.CoordinationResumed: _resumed,
    EngineStarted: _started,
    EngineSealed: _sealed,
    RoundsPaced: _rounds_paced,
}
_OUTPUTS: dict[type[Event], Change] = {
    SignalExpired: drop_view,
    SignalRejected: _signal_rejected,
    ConflictsDetected: note_conflicts,
    AllocationDecided: _decided,
    SleevesBooked: take_sleeves,
    RoundClosed: _round_closed,
    PortfolioViewUpdated: _view_shown,
    TradesExpired: _trades_expired,
    ReconciliationDiffered: take_difference,
    HoldingChanged: change_holding,
    CorporateActionTaken: take_action,
    ParametersAdapted: take_move,
    RecordQuarantined: _quarantined,
    PortfolioPaneClosed: portfolio_pane_said,
    SourcePaneClosed: source_pane_said,
}
_UNREAD = (
    *("after", "before", "identity", "impact_after", "impact_before", "limits", "signals"),
    *("solver", "targets"),
)
"""Parts of a decision that `_decided` has no use for: nine tenths of it."""
