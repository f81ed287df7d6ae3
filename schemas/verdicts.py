"""Topic `decisions`, part one: what became of inputs that were not simply used.

A signal has one verdict of record, said by its source's home shard: rejected or expired here, used
in a RoundClosed. Other inputs that change nothing are answered with InputRejected.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Finite, Model, Name, OutputEvent, Probability, Text, Timestamp

__all__ = [
    "AlertRaised",
    "ClockJumped",
    "Ending",
    "InputRejected",
    "InputRejection",
    "ParametersAdapted",
    "RecordQuarantined",
    "ReliabilityBin",
    "SignalExpired",
    "SignalRejected",
    "SignalRejection",
    "SourceCalibrated",
]


Ending = Literal["time", "superseded", "withdrawn"]
"""Why a signal's view was closed."""


class SignalRejection(StrEnum):
    """Why a signal does not count; the list is closed."""

    UNKNOWN_SOURCE = "unknown_source"
    UNKNOWN_STRATEGY = "unknown_strategy"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    NOT_ALLOWED = "not_allowed"
    OUT_OF_RANGE = "out_of_range"
    CONTRADICTORY = "contradictory"
    PRICE_AWAY = "price_away"
    RATE_LIMITED = "rate_limited"
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
    UNKNOWN_STRATEGY = "unknown_strategy"
    UNKNOWN_SIGNAL = "unknown_signal"
    UNKNOWN_MODE = "unknown_mode"
    UNKNOWN_TRADE = "unknown_trade"
    WRONG_CURRENCY = "wrong_currency"
    DUPLICATE = "duplicate"
    STALE = "stale"
    FUTURE = "future"
    TOO_LATE = "too_late"
    INCOMPLETE = "incomplete"
    CONTRADICTORY = "contradictory"
    CONTRADICTORY_MANDATE = "contradictory_mandate"
    OUT_OF_RANGE = "out_of_range"
    UNSUPPORTED = "unsupported"


class SignalRejected(OutputEvent):
    """A signal that does not count, and why."""

    source: Name
    """Who issued it."""
    signal_id: Name
    """Its `event_id`."""
    instrument: Name | None = None
    """What it was about, where that is known."""
    reason: SignalRejection
    """From the closed list."""
    detail: Text = ""
    """The figures behind the reason, for people."""
    event_time: Timestamp | None = None
    """When its source says that it was issued, or withdrawn; absent: not known."""


class SignalExpired(OutputEvent):
    """A signal's view is closed: from here on no decision uses it."""

    source: Name
    """Who issued it."""
    strategy: Name
    """Which of the source's strategies."""
    signal_id: Name
    """Its `event_id`."""
    instrument: Name
    """What it was about."""
    expired_at: Timestamp
    """When its time was over."""
    reason: Ending = "time"
    """Its time was over, a later signal took its place, or its source took it back."""


class InputRejected(OutputEvent):
    """An input other than a signal that changed nothing, and why."""

    event: Name
    """Its event's name."""
    event_id: Name
    """Its own id."""
    portfolio: Name | None = None
    """Whom it was about, where it was about one."""
    reason: InputRejection
    """From the closed list."""
    detail: Text = ""
    """The figures behind the reason, for people."""


class ClockJumped(OutputEvent):
    """The journal's time stepped further than the parameters allow for."""

    previous: Timestamp
    """The engine's clock before the step."""
    step_ms: Annotated[int, Field(ge=0)]
    """Length of the step, milliseconds."""


class RecordQuarantined(OutputEvent):
    """A record or timer on which the engine failed; rolled back, and its portfolio paused."""

    event: Name
    """Name of the event, or "timer"."""
    event_id: Text
    """Id of the event or of the timer."""
    portfolio: Name | None = None
    """The one that was paused; absent: a shared record, which pauses nobody."""
    error: Text
    """What failed, for people."""


class ReliabilityBin(Model):
    """How often signals of about the same stated confidence were right."""

    confidence_from: Probability
    """The least confidence that falls into it."""
    outcomes: Annotated[int, Field(ge=0)]
    """How many are known."""
    hits: Annotated[int, Field(ge=0)]
    """Of them, those that went the signal's way."""
    hit_rate: Probability | None = None
    """The mean of what their confidences were mapped to when they came, before their outcomes were
    known; hits over outcomes is how often they were right. Absent: there are none."""


class SourceCalibrated(OutputEvent):
    """What was learned of a source so far, at the end of a session: one for each horizon."""

    source: Name
    """Whom it is about."""
    horizon_sessions: Annotated[float, Field(gt=0)]
    """Trading sessions the skill is about: from this up to twice as many."""
    skill: Annotated[float, Field(ge=-1, le=1)]
    """Information coefficient, -1 to 1."""
    observations: Annotated[float, Field(ge=0)]
    """Outcomes it rests on; a fraction where older ones, and overlapping ones, count less."""
    skill_low: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Below this it is with a probability of 2.5 %."""
    skill_high: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Above this it is with a probability of 2.5 %."""
    confident: Annotated[int, Field(ge=0)] = 0
    """Outcomes of signals that stated a confidence."""
    brier_stated: Annotated[float, Field(ge=0, le=1)] | None = None
    """Their Brier score, had the stated confidence been the probability of being right."""
    brier_calibrated: Annotated[float, Field(ge=0, le=1)] | None = None
    """The same of what it was calibrated to before each outcome was known."""
    reliability: tuple[ReliabilityBin, ...] = ()
    """By tenths of the stated confidence; those with outcomes."""


class ParametersAdapted(OutputEvent):
    """A parameter moved inside its bounds by a stated rule.

    Multipliers are those of one rule alone; what is in force is the product over all rules.
    """

    name: Name
    """The parameter's name: risk_aversion, turnover, budgets or strategy, each a multiplier."""
    before: Finite
    """Value until now, in the parameter's unit."""
    after: Finite
    """Value from now on, in the parameter's unit."""
    rule: Text
    """The rule that moved it, in words."""
    portfolio: Name | None = None
    """Whose; absent: of all portfolios."""
    source: Name | None = None
    """Whose strategy it is about; absent: about none."""
    strategy: Name | None = None
    """The strategy of that source whose wish and budget move."""
    cause: Name | None = None
    """What the rule goes by: regime, volatility, drawdown or signal_quality."""


class AlertRaised(OutputEvent):
    """Something a person should look at."""

    severity: Name
    """How urgent it is: info, warning or critical."""
    portfolio: Name | None = None
    """Whom it is about; absent: all."""
    message: Text
    """What to look at, for people."""
