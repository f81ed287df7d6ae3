"""Topic `decisions`, part one: what became of inputs that were not simply used.

A signal has one verdict of record, said by its source's home shard: rejected or expired here, used in a
RoundClosed. Other inputs that change nothing are answered with InputRejected.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.base import Finite, Name, OutputEvent, Text, Timestamp

__all__ = [
    "AlertRaised",
    "ClockJumped",
    "InputRejected",
    "InputRejection",
    "ParametersAdapted",
    "RecordQuarantined",
    "SignalExpired",
    "SignalRejected",
    "SignalRejection",
    "SourceCalibrated",
]


class SignalRejection(StrEnum):
    """Why a signal does not count; the list is closed."""

    UNKNOWN_SOURCE = "unknown_source"
    UNKNOWN_STRATEGY = "unknown_strategy"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    DUPLICATE = "duplicate"
    STALE = "stale"
    FUTURE = "future"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    MUTED = "muted"
    SHED = "shed"
    UNKNOWN_SIGNAL = "unknown_signal"


class InputRejection(StrEnum):
    """Why another input changes nothing; the list is closed."""

    UNKNOWN_PORTFOLIO = "unknown_portfolio"
    PORTFOLIO_EXISTS = "portfolio_exists"
    PORTFOLIO_CLOSED = "portfolio_closed"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_SOURCE = "unknown_source"
    UNKNOWN_MODE = "unknown_mode"
    UNKNOWN_TRADE = "unknown_trade"
    WRONG_CURRENCY = "wrong_currency"
    DUPLICATE = "duplicate"
    UNSUPPORTED = "unsupported"
    SEALED = "sealed"


class SignalRejected(OutputEvent):
    """A signal that does not count, and why."""

    source: Name
    signal_id: Name
    instrument: Name | None = None
    reason: SignalRejection
    detail: Text = ""


class SignalExpired(OutputEvent):
    """A signal's time is over: its view is closed."""

    source: Name
    strategy: Name
    signal_id: Name
    instrument: Name
    expired_at: Timestamp
    rounds_used: Annotated[int, Field(ge=0)] = 0
    """Rounds on this source's home shard that used it."""


class InputRejected(OutputEvent):
    """An input other than a signal that changed nothing, and why."""

    event: Name
    """Its event's name."""
    event_id: Name
    portfolio: Name | None = None
    reason: InputRejection
    detail: Text = ""


class ClockJumped(OutputEvent):
    """The journal's time stepped further than the parameters allow for."""

    previous: Timestamp
    step_ms: Annotated[int, Field(ge=0)]


class RecordQuarantined(OutputEvent):
    """A record or timer on which the engine failed; rolled back, and its portfolio paused."""

    event: Name
    """Name of the event, or "timer"."""
    event_id: Text
    portfolio: Name | None = None
    error: Text


class SourceCalibrated(OutputEvent):
    """What was learned of a source so far."""

    source: Name
    horizon_sessions: Annotated[float, Field(gt=0)]
    skill: Annotated[float, Field(ge=-1, le=1)]
    observations: Annotated[float, Field(ge=0)]


class ParametersAdapted(OutputEvent):
    """A parameter moved inside its bounds by a stated rule."""

    name: Name
    before: Finite
    after: Finite
    rule: Text


class AlertRaised(OutputEvent):
    """Something a person should look at."""

    severity: Name
    portfolio: Name | None = None
    message: Text
