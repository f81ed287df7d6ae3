"""Intake: which inputs count. Judges an input against the state and names what is wrong with it.

Place in the flow: the first thing that happens to a journal record. Reads the state, changes
nothing. The reasons are closed lists, `SignalRejection` and `InputRejection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from coordinator.core.admit import signal_fault
from coordinator.core.clock import MILLISECOND
from coordinator.core.mandates import mandate_fault
from coordinator.core.reconcile import report_fault
from coordinator.core.refuse import found, rejected_input
from coordinator.core.risk import published_fault
from coordinator.core.state import State
from coordinator.core.tidings import (
    announced_fault,
    is_currency,
    listing_fault,
    prices_fault,
    rate_fault,
    standing_fault,
)
from schemas import constraints, market, orders, outcomes, portfolios
from schemas.base import Event, InputEvent, OutputEvent
from schemas.control import (
    CoordinationPaused,
    CoordinationResumed,
    Parameters,
    ParametersChanged,
    StrategyMuted,
    StrategyRegistered,
)
from schemas.entries import Stamp
from schemas.journal import SignalsShed
from schemas.registry import EVENTS
from schemas.signals import SignalIssued, SignalWithdrawn
from schemas.verdicts import InputRejection, SignalRejected, SignalRejection

__all__ = ["identity_key", "judge", "repeated", "unheard"]

UNSUPPORTED = (
    constraints.SizeCapped,
    constraints.RiskLimitChanged,
    constraints.RiskBudgetChanged,
    constraints.ConflictRuled,
    constraints.PolicyVetoed,
)
"""Part of the language, not yet acted on: the answer says so instead of keeping silent."""


def repeated(state: State, stamp: Stamp) -> bool:
    """Whether the journal holds this very message again: at-least-once delivery, no fault."""
    mark = (stamp.topic, stamp.topic_id, stamp.partition)
    return 0 <= stamp.offset <= state.marks.get(mark, -1)


def unheard(state: State, stamp: Stamp, event: Event) -> Event:
    """What of an event that stands for several messages is new here.

    Routers take up again from where they committed, so that some of the signals that one sheds may
    have been entered by another: those have their answer.
    """
    if type(event) is not SignalsShed or stamp.first_offset is None:
        return event
    mark = state.marks.get((stamp.topic, stamp.topic_id, stamp.partition), -1)
    heard = mark - stamp.first_offset + 1
    if heard <= 0 or len(event.signal_ids) != stamp.offset - stamp.first_offset + 1:
        return event
    return event.model_copy(update={"signal_ids": event.signal_ids[heard:]})


def identity_key(event: Any) -> str | None:
    """What a producer's own event id is unique by; None for events of the journal itself."""
    owner = _OWNERS.get(type(event))
    if owner is None:
        return None
    kind, field = owner
    who = "" if field is None else getattr(event, field)
    # No name holds a tab, so that no two owners and ids spell the same key.
    return f"{kind}\t{who}\t{event.event_id}"


def is_own(event: Event) -> bool:
    """Whether only the shard of its portfolio hears the event."""
    owner = _OWNERS.get(type(event))
    return owner is not None and owner[1] == "portfolio"


def _owner_field(cls: type[InputEvent]) -> str | None:
    """The field that tells producers apart; none: the event's name does."""
    return next((f for f in ("source", "portfolio") if _is_required(cls, f)), None)


def _is_required(cls: type[InputEvent], field: str) -> bool:
    return field in cls.model_fields and cls.model_fields[field].is_required()


_OWNERS: dict[type[Event], tuple[str, str | None]] = {
    cls: (name, _owner_field(cls))
    for name, cls in EVENTS.items()
    if issubclass(cls, InputEvent) and cls.topic != "journal"
}
"""Event classes whose ids are remembered: name, and the field that tells producers apart."""


def _known(state: State, key: str | None) -> bool:
    """Whether the id was used within the lateness window.

    By its age, not by whether it was forgotten yet: shards forget at different moments.
    """
    if key is None:
        return False
    used_at = state.seen.get(key)
    if used_at is None:
        used_at = state.seen_own.get(key)
        if used_at is None:
            return False
    return used_at >= state.clock - state.parameters.lateness_ms_max * MILLISECOND


def judge(state: State, stamp: Stamp, event: Event, key: str | None) -> OutputEvent | None:
    """Why the event does not count, or None. key: its identity_key."""
    if type(event) is SignalIssued:
        reason = signal_fault(state, stamp, event, known=_known(state, key))
        return None if reason is None else _rejected_signal(state, event, *reason)
    if _known(state, key):
        return rejected_input(state, event, InputRejection.DUPLICATE)
    if isinstance(event, _LATEST) and _is_ahead(state, stamp, event):
        return rejected_input(state, event, InputRejection.FUTURE)
    if isinstance(event, _ONCE) and _is_late(state, stamp, event):
        return rejected_input(state, event, InputRejection.STALE, TOO_LATE)
    rule = _RULES.get(type(event))
    return None if rule is None else rule(state, event)


_ONCE = (
    orders.OrderFilled,
    orders.OrderPartlyFilled,
    portfolios.CashMoved,
    market.CorporateActionAnnounced,
    market.RegimeDeclared,
)
"""What must not be taken twice: after the lateness window nobody knows whether it was."""
TOO_LATE = "older than lateness_ms_max: whether it came before is not remembered"


def _is_late(state: State, stamp: Stamp, event: InputEvent) -> bool:
    late = stamp.appended_at - event.event_time
    return late > state.parameters.lateness_ms_max * MILLISECOND


_LATEST = (market.PricesObserved, market.RatesObserved, market.RegimeDeclared)
"""Of what the latest counts."""


def _is_ahead(state: State, stamp: Stamp, event: InputEvent) -> bool:
    """Whether it comes from the future: until then, every true one would be older."""
    ahead = event.event_time - stamp.appended_at
    return ahead > state.parameters.clock_skew_ms_max * MILLISECOND


def _rejected_signal(
    state: State, event: SignalIssued, reason: SignalRejection, detail: str
) -> SignalRejected:
    return SignalRejected(
        decided_at=state.clock,
        source=event.source,
        signal_id=event.event_id,
        instrument=event.instrument,
        reason=reason,
        detail=detail,
        event_time=event.event_time,
    )


# -- one rule per kind of event ------------------------------------------------------------------


def _withdrawal(state: State, event: SignalWithdrawn) -> OutputEvent | None:
    live = any(
        view.signal_id == event.signal_id and view.source == event.source
        for view in state.views.values()
    )
    if live:
        return None
    return SignalRejected(
        decided_at=state.clock,
        source=event.source,
        signal_id=event.signal_id,
        reason=SignalRejection.UNKNOWN_SIGNAL,
        detail="withdrawn, but not live",
        event_time=event.event_time,
    )


def _opening(state: State, event: portfolios.PortfolioOpened) -> OutputEvent | None:
    if event.portfolio in state.portfolios:
        return rejected_input(state, event, InputRejection.PORTFOLIO_EXISTS)
    if not is_currency(event.currency):
        return rejected_input(state, event, InputRejection.WRONG_CURRENCY)
    fault = _mode_fault(state, event, event.mode)
    return fault or found(state, event, mandate_fault(event.mandate, state.market))


def _mode_fault(state: State, event: Event, mode: str | None) -> OutputEvent | None:
    if mode is None or any(preset.mode == mode for preset in state.parameters.modes):
        return None
    return rejected_input(state, event, InputRejection.UNKNOWN_MODE, mode)


def _portfolio_fault(state: State, event: Any) -> OutputEvent | None:
    portfolio = state.portfolios.get(event.portfolio)
    if portfolio is None:
        return rejected_input(state, event, InputRejection.UNKNOWN_PORTFOLIO)
    if portfolio.closed:
        return rejected_input(state, event, InputRejection.PORTFOLIO_CLOSED)
    return None


def _mandate(state: State, event: portfolios.MandateChanged) -> OutputEvent | None:
    fault = _portfolio_fault(state, event) or _mode_fault(state, event, event.mode)
    return fault or found(state, event, mandate_fault(event.mandate, state.market))


def _cash(state: State, event: portfolios.CashMoved) -> OutputEvent | None:
    """Money of another currency needs a rate: what was put in is counted at that of its day."""
    fault = _portfolio_fault(state, event)
    if fault is not None:
        return fault
    own = state.portfolios[event.portfolio].currency
    if state.market.rate(event.currency, own) is None:
        detail = f"no exchange rate leads from {event.currency} to {own}"
        return rejected_input(state, event, InputRejection.WRONG_CURRENCY, detail)
    return None


def _reported(state: State, event: portfolios.PositionsReported) -> OutputEvent | None:
    if event.portfolio not in state.portfolios:
        return rejected_input(state, event, InputRejection.UNKNOWN_PORTFOLIO)
    return found(state, event, report_fault(state, event))


def _order(state: State, event: orders.OrderEvent) -> OutputEvent | None:
    """A fill counts even when its trade has expired; a cancellation needs an open trade."""
    if event.portfolio not in state.portfolios:
        return rejected_input(state, event, InputRejection.UNKNOWN_PORTFOLIO)
    if isinstance(event, orders.Fill):
        return _fill_fault(state, event)
    if event.trade_id not in state.portfolios[event.portfolio].open_trades:
        return rejected_input(state, event, InputRejection.UNKNOWN_TRADE, event.trade_id or "")
    return None


def _fill_fault(state: State, event: orders.Fill) -> OutputEvent | None:
    """A fill is booked in its instrument's currency or not at all."""
    instrument = state.market.listed(event.instrument)
    if instrument is None:
        return rejected_input(state, event, InputRejection.UNKNOWN_INSTRUMENT, event.instrument)
    if event.currency not in (None, instrument.currency):
        detail = f"{event.currency}, but {event.instrument} is in {instrument.currency}"
        return rejected_input(state, event, InputRejection.WRONG_CURRENCY, detail)
    return None


def _parameters(state: State, event: ParametersChanged) -> OutputEvent | None:
    """What a session is may change only before anything was counted in sessions."""
    beyond = _beyond_reckoning(event.parameters)
    if beyond is not None:
        return rejected_input(state, event, InputRejection.OUT_OF_RANGE, beyond)
    changes = _session_rule(event.parameters) != _session_rule(state.parameters)
    if not changes or not (state.views or state.market.session):
        return None
    detail = "sessions can change only before the first signal and the first session close"
    return rejected_input(state, event, InputRejection.TOO_LATE, detail)


RECKONED = {
    "risk_volatility_prior": (1e-6, 10.0),
    "risk_correlation_prior": (0.0, 0.9999),
    "horizon_sessions_min": (1e-3, 1e4),
}
"""Parameters whose bounds are closer than those of their type."""
SMALL = 1e-9


def _beyond_reckoning(parameters: Parameters) -> str | None:
    """A number so small, or so large, that nothing can be reckoned with it."""
    for name in type(parameters).model_fields:
        value = getattr(parameters, name)
        if not isinstance(value, float):
            continue
        least, most = RECKONED.get(name, (SMALL, math.inf))
        if (value != 0.0 and value < least) or value > most:
            return f"{name} is {value:g}, not between {least:g} and {most:g}"
    return None


def _session_rule(parameters: Parameters) -> tuple[str, int]:
    """What a session is; its length matters where the clock counts them."""
    return parameters.sessions, parameters.session_ms if parameters.sessions == "clock" else 0


def _attributed(state: State, event: outcomes.OutcomeAttributed) -> OutputEvent | None:
    """Of a signal that still waits for its outcome; what a decision came to teaches nothing yet."""
    if event.source is None or event.signal_id is None:
        detail = "only outcomes of signals are acted on: give source and signal_id"
        return rejected_input(state, event, InputRejection.UNSUPPORTED, detail)
    if event.source not in state.sources:
        return rejected_input(state, event, InputRejection.UNKNOWN_SOURCE, event.source)
    if event.known_at > state.clock + state.parameters.clock_skew_ms_max * MILLISECOND:
        return rejected_input(state, event, InputRejection.FUTURE)
    if state.outcomes.awaits(event.source, event.signal_id):
        return rejected_input(state, event, InputRejection.FUTURE, "its horizon is not over")
    if not state.outcomes.has(event.source, event.signal_id):
        return rejected_input(state, event, InputRejection.UNKNOWN_SIGNAL, event.signal_id)
    return None


def _strategy(state: State, event: StrategyRegistered) -> OutputEvent | None:
    """Of a known source; one that names its strategies is heard with those alone."""
    source = state.sources.get(event.source)
    if source is None:
        return rejected_input(state, event, InputRejection.UNKNOWN_SOURCE, event.source)
    if not source.speaks_for(event.strategy):
        return rejected_input(state, event, InputRejection.UNKNOWN_STRATEGY, event.strategy)
    return None


def _muting(state: State, event: StrategyMuted) -> OutputEvent | None:
    if event.source in state.sources:
        return None
    return rejected_input(state, event, InputRejection.UNKNOWN_SOURCE, event.source)


def _pause(state: State, event: CoordinationPaused | CoordinationResumed) -> OutputEvent | None:
    return None if event.portfolio is None else _portfolio_fault(state, event)


def _unsupported(state: State, event: Event) -> OutputEvent | None:
    return rejected_input(state, event, InputRejection.UNSUPPORTED, "not acted on by this build")


Rule = Callable[[State, Any], OutputEvent | None]
_RULES: dict[type[Event], Rule] = {
    SignalWithdrawn: _withdrawal,
    portfolios.PortfolioOpened: _opening,
    portfolios.PortfolioClosed: _portfolio_fault,
    portfolios.MandateChanged: _mandate,
    portfolios.CashMoved: _cash,
    portfolios.PositionsReported: _reported,
    orders.OrderAccepted: _order,
    orders.OrderFilled: _order,
    orders.OrderPartlyFilled: _order,
    orders.OrderCancelled: _order,
    orders.OrderRejected: _order,
    market.InstrumentListed: listing_fault,
    market.InstrumentHalted: standing_fault,
    market.InstrumentDelisted: standing_fault,
    market.PricesObserved: prices_fault,
    market.RatesObserved: rate_fault,
    market.CorporateActionAnnounced: announced_fault,
    market.RiskModelPublished: published_fault,
    ParametersChanged: _parameters,
    StrategyRegistered: _strategy,
    outcomes.OutcomeAttributed: _attributed,
    StrategyMuted: _muting,
    CoordinationPaused: _pause,
    CoordinationResumed: _pause,
    **dict.fromkeys(UNSUPPORTED, _unsupported),
}
