"""Announce: what an accepted input makes the engine say, and which shard says it.

Place in the flow: between `intake` and `evolve`; said before the input is applied, so that a view's
end is said and done before another takes its place. Reads the state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coordinator.core.reconcile import report_said
from coordinator.core.shards import shard_of
from coordinator.core.state import State, View
from coordinator.core.tidings import left_out
from schemas.base import Event, OutputEvent
from schemas.books import CorporateActionTaken
from schemas.journal import SignalsShed
from schemas.market import PricesObserved
from schemas.panes import SourcePaneClosed
from schemas.portfolios import PositionsReported
from schemas.signals import SignalIssued, SignalWithdrawn
from schemas.verdicts import (
    Ending,
    InputRejected,
    ParametersAdapted,
    SignalExpired,
    SignalRejected,
    SignalRejection,
    SourceCalibrated,
)

__all__ = ["announcements", "ours_to_say"]


def ours_to_say(state: State, event: OutputEvent) -> bool:
    """Outputs about a source come from its home shard, firm-wide ones from shard 0.

    What went wrong on a shard is always its own to say: on the others it may have gone well.
    """
    if isinstance(event, (SignalRejected, SignalExpired, SourceCalibrated, SourcePaneClosed)):
        return shard_of(event.source, state.shards) == state.shard
    if isinstance(event, ParametersAdapted) and event.portfolio is None:
        return shard_of(event.source or "", state.shards) == state.shard
    if isinstance(event, CorporateActionTaken) or (
        isinstance(event, InputRejected) and event.portfolio is None
    ):
        return state.shard == 0
    return True


def announcements(state: State, event: Event) -> list[OutputEvent]:
    """What an accepted input makes the engine say, decided before it is applied."""
    rule = _ANNOUNCED.get(type(event))
    return [] if rule is None else rule(state, event)


def _superseded(state: State, event: SignalIssued) -> list[OutputEvent]:
    old = state.views.get((event.instrument, event.source, event.strategy))
    return [] if old is None else [_ended(state, old, "superseded")]


def _withdrawn(state: State, event: SignalWithdrawn) -> list[OutputEvent]:
    return [
        _ended(state, view, "withdrawn")
        for _, view in sorted(state.views.items())
        if view.source == event.source and view.signal_id == event.signal_id
    ]


def _shed(state: State, event: SignalsShed) -> list[OutputEvent]:
    return [
        SignalRejected(
            decided_at=state.clock,
            source=event.source,
            signal_id=signal_id,
            reason=SignalRejection.SHED,
        )
        for signal_id in event.signal_ids
    ]


def _ended(state: State, view: View, reason: Ending) -> SignalExpired:
    return SignalExpired(
        decided_at=state.clock,
        source=view.source,
        strategy=view.strategy,
        signal_id=view.signal_id,
        instrument=view.instrument,
        expired_at=state.clock,
        reason=reason,
    )


_ANNOUNCED: dict[type[Event], Callable[[State, Any], list[OutputEvent]]] = {
    SignalIssued: _superseded,
    SignalWithdrawn: _withdrawn,
    SignalsShed: _shed,
    PricesObserved: left_out,
    PositionsReported: report_said,
}
