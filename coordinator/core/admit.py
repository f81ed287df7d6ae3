"""Admit: which signals count. Judges one against its source's terms, the market and what is live.

Place in the flow: asked by `intake` for every signal; the reasons are the closed list
`SignalRejection`. Everything that depends on time uses the input topic's own append time, so that
all shards judge alike; how far a signal's price is away is told by the last price in the journal,
which live shards may have in another order. Reads the state, changes nothing.
"""

from __future__ import annotations

from coordinator.core.clock import MILLISECOND, MINUTE
from coordinator.core.forms import leaning
from coordinator.core.state import Source, State
from schemas.control import Parameters
from schemas.entries import Stamp
from schemas.signals import SignalIssued
from schemas.verdicts import SignalRejection

__all__ = ["Fault", "signal_fault"]

Fault = tuple[SignalRejection, str]
_HOUR = 60 * MINUTE
_UNITS = ((24 * _HOUR, "days"), (_HOUR, "hours"), (MINUTE, "minutes"))
UNKNOWN_SOURCE_REMEDY = "register it on control first: SourceRegistered"


def signal_fault(state: State, stamp: Stamp, event: SignalIssued, *, known: bool) -> Fault | None:
    """The first rule that the signal breaks, with the figures. known: its id was used before."""
    source = state.sources.get(event.source)
    if source is None:
        return SignalRejection.UNKNOWN_SOURCE, UNKNOWN_SOURCE_REMEDY
    if not source.speaks_for(event.strategy):
        return SignalRejection.UNKNOWN_STRATEGY, event.strategy
    for name in (event.instrument, *(leg.instrument for leg in event.against)):
        if state.market.listed(name) is None:
            return SignalRejection.UNKNOWN_INSTRUMENT, name
    if known:
        return SignalRejection.DUPLICATE, ""
    return (
        _time_fault(state.parameters, stamp, event)
        or _terms_fault(source, event)
        or _range_fault(state, event)
        or _rival_fault(state, event)
        or _rate_fault(source, stamp)
    )


def _time_fault(parameters: Parameters, stamp: Stamp, event: SignalIssued) -> Fault | None:
    """Whether it comes too late, too early, or is over."""
    late = stamp.appended_at - event.event_time
    if late > parameters.lateness_ms_max * MILLISECOND:
        return SignalRejection.STALE, f"{_length(late)} late"
    if -late > parameters.clock_skew_ms_max * MILLISECOND:
        return SignalRejection.FUTURE, f"{_length(-late)} ahead"
    if event.expires_at is not None and event.expires_at <= stamp.appended_at:
        return SignalRejection.EXPIRED, ""
    return None


def _length(ns: int) -> str:
    """A stretch of time in the largest unit of which it has two, or in milliseconds."""
    for unit, name in _UNITS:
        if ns >= 2 * unit:
            return f"{ns // unit} {name}"
    return f"{ns // MILLISECOND} ms"


def _terms_fault(source: Source, event: SignalIssued) -> Fault | None:
    """Whether its source may say this now."""
    if source.is_muted(event.strategy):
        return SignalRejection.MUTED, ""
    for name in (event.instrument, *(leg.instrument for leg in event.against)):
        if not source.speaks_of(event.strategy, name):
            return SignalRejection.NOT_ALLOWED, f"{event.strategy} does not speak of {name}"
    return None


def _range_fault(state: State, event: SignalIssued) -> Fault | None:
    """Whether its figures are beyond what is believed, or its price far from the market's."""
    parameters = state.parameters
    horizon, expected = event.horizon_sessions, event.expected_return
    if horizon is not None and horizon > parameters.signal_horizon_max:
        return SignalRejection.OUT_OF_RANGE, f"horizon of {horizon:g} sessions"
    if expected is not None and abs(expected) > parameters.signal_return_max:
        return SignalRejection.OUT_OF_RANGE, f"expected return of {expected:g}"
    weight = event.target_weight
    if weight is not None and abs(weight) > parameters.signal_weight_max:
        return SignalRejection.OUT_OF_RANGE, f"target weight of {weight:g}"
    last = None if event.price is None else state.market.price_of(event.instrument)
    if event.price is not None and last is not None:
        gap = event.price / last - 1.0
        if abs(gap) > parameters.signal_price_gap_max:
            return SignalRejection.PRICE_AWAY, f"{event.price:g}, the market is at {last:g}"
    return None


def _rival_fault(state: State, event: SignalIssued) -> Fault | None:
    """Whether its source said something later, or the opposite at the very same time."""
    view = state.views.get((event.instrument, event.source, event.strategy))
    if view is None or event.event_time > view.event_time:
        return None
    if event.event_time < view.event_time:
        return SignalRejection.SUPERSEDED, f"by {view.signal_id}"
    said = view.raw if view.direction is None else view.direction
    if leaning(event) * said < 0:
        return SignalRejection.CONTRADICTORY, f"{view.signal_id} says the opposite"
    return None


def _rate_fault(source: Source, stamp: Stamp) -> Fault | None:
    """Whether as many as its terms allow have counted in this minute."""
    limit = source.terms.rate_per_minute
    if limit is None or stamp.appended_at // MINUTE != source.minute or source.in_minute < limit:
        return None
    return SignalRejection.RATE_LIMITED, f"{limit} a minute"
