"""Topic `decisions`, part two: rounds, conflicts and allocations.

Keyed by shard; decision_id is "portfolio:round". All weights are fractions of NAV at the decision.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import (
    Balance,
    Finite,
    Holdings,
    Model,
    Name,
    OutputEvent,
    Probability,
    Reference,
    Text,
    Timestamp,
)

__all__ = [
    "AllocationDecided",
    "ConflictKind",
    "ConflictLine",
    "ConflictsDetected",
    "Identity",
    "LimitUse",
    "Outcome",
    "Profile",
    "QualityScored",
    "RoundClosed",
    "Rung",
    "SignalUse",
    "SolverReport",
    "Target",
    "Trade",
    "TradesExpired",
    "Trigger",
    "Verdict",
]

Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Trigger = Literal["signals", "session_close", "interval", "breach", "constraint"]
"""What opened a round."""
Outcome = Literal["decided", "nothing_to_do", "no_prices", "no_value"]
"""What a round led to; no_value: its net asset value is not positive."""
Verdict = Literal["followed", "outvoted", "limited"]
"""What became of a signal's wish in a decision."""


class ConflictKind(StrEnum):
    """What contradicts what."""

    OPPOSITE_DIRECTION = "opposite_direction"
    HORIZON = "horizon"
    CORRELATED_INSTRUMENTS = "correlated_instruments"
    MANDATE = "mandate"
    CAPACITY = "capacity"
    STALE = "stale"
    BUDGET = "budget"


class Rung(StrEnum):
    """Which step of the ladder of fallbacks gave the answer."""

    SOLVED = "solved"
    RELAXED = "relaxed"
    RULE = "rule"
    HOLD = "hold"


class PortfolioOutput(OutputEvent):
    """Something said about one portfolio, by its own shard."""

    portfolio: Name
    """Which portfolio."""


class ConflictLine(Model):
    """Opinions, or an opinion and a limit, that cannot both be followed."""

    kind: ConflictKind
    """What contradicts what."""
    instruments: tuple[Name, ...]
    """What they are about, sorted."""
    signals: tuple[Reference, ...]
    """"source/signal_id" of the participants, sorted."""
    severity: Probability
    """How surely they differ beyond their own uncertainty."""
    resolution: Text
    """What the decision made of it, in words."""


class ConflictsDetected(PortfolioOutput):
    """What contradicts each other in a round: one event of all its reported conflicts."""

    decision_id: Reference
    """"portfolio:round" of the decision that met them."""
    conflicts: tuple[ConflictLine, ...]
    """The most severe first, at most conflicts_max; a round that met none says no such event."""


class RoundClosed(PortfolioOutput):
    """A round's books: what opened it, which signals it used, what it led to."""

    decision_id: Reference
    """"portfolio:round"."""
    round: Count
    """Number of the round in its portfolio."""
    trigger: Trigger
    """What opened it."""
    opened_at: Timestamp
    """When it opened, on the engine's clock."""
    signals_used: tuple[Reference, ...]
    """"source/signal_id" of every live signal the decision used, sorted: their acceptance."""
    signals_new: Count
    """How many of them the portfolio's round before did not use."""
    signals_dropped: tuple[Reference, ...] = ()
    """Live signals heard but without effect: direction 0, no skill left, no price, or an instrument
    in another currency."""
    conflicts: Count
    """Found, including those beyond conflicts_max."""
    conflicts_reported: Count
    """Those told in ConflictsDetected."""
    outcome: Outcome
    """What it led to."""


class Target(Model):
    """Where the portfolio goes in one instrument."""

    instrument: Name
    """What is held."""
    weight_before: Finite
    """Held plus decided before and not filled."""
    weight_wanted: Finite
    """The optimum before whole lots."""
    weight: Finite
    """After this decision's trades."""
    quantity: Holdings
    """Units held when all open trades are filled."""
    expected_return: Finite
    """mu: combined opinion over the horizon, in excess of cash."""
    price: Annotated[float, Field(gt=0)]
    """What the decision valued it at."""


class Trade(Model):
    """One order to be carried out."""

    trade_id: Reference
    """Id that its order and fills carry."""
    instrument: Name
    """What is traded."""
    quantity: Holdings
    """Buy positive, sell negative."""
    price: Annotated[float, Field(gt=0)]
    """Reference: the price the decision saw."""
    weight: Finite
    """Signed value of the trade, fraction of NAV."""
    cost: Finite
    """Expected cost, fraction of NAV."""
    urgency: Probability = 0.0
    """Share of its opinion's expected return that arrives within the next session; 1 where the
    decision began with a broken limit."""


class SignalUse(Model):
    """What one signal did in this decision."""

    signal: Reference
    """"source/signal_id"."""
    strategy: Name
    """Which of the source's strategies."""
    instrument: Name
    """What it was about."""
    verdict: Verdict
    """followed: the trade, or without one the position, went its way (a sale also where nothing is
    held and nothing may be short); outvoted: other views prevailed; limited: a limit or a cost kept
    its wish from being met."""
    score: Finite
    """Standardised opinion."""
    skill: Finite
    """Believed information coefficient over the horizon."""
    view: Finite
    """Return over the horizon it alone would make us expect: skill x score x volatility."""
    own: Finite
    """Its part of its own instrument's expected return."""
    utility: Finite
    """Its part of mu'w at the answer; over all signals and the prior these add up to mu'w."""
    priority: Probability = 0.0
    """How much it matters beside the others of its round: the weighted mean of its parts."""


class LimitUse(Model):
    """A limit that shaped the decision, or a total that it watches."""

    limit: Name
    """Name of the limit."""
    instrument: Name | None = None
    """Where the limit is one per instrument."""
    used: Finite
    """How much of it is used, in the unit of the bound."""
    bound: Finite
    """The limit itself, in its own unit: of a factor the exposure to it, of volatility the standard
    deviation over the horizon, of all others a fraction of NAV."""
    shadow_price: Finite
    """Gain of the objective per unit of bound."""
    about: Name | None = None
    """Where the limit is one per sector or factor: which."""
    priority: Annotated[int, Field(ge=1)] | None = None
    """Of a limit that may give way, 1 last; absent: a hard one."""
    given: Annotated[float, Field(ge=0)] = 0.0
    """By how much it gave way, or is broken, in the unit of the bound."""


class Profile(Model):
    """A portfolio's risk and exposure, before or after."""

    expected_return: Finite
    """mu'w over the horizon."""
    volatility: Annotated[float, Field(ge=0)]
    """Over the horizon, fraction of NAV."""
    gross: Annotated[float, Field(ge=0)]
    """Sum of absolute weights."""
    net: Finite
    """Sum of weights, fraction of NAV."""
    cash: Finite
    """Fraction of NAV."""
    positions: Count
    """How many instruments are held."""


class SolverReport(Model):
    """How the answer was found."""

    rung: Rung
    """Which step of the ladder of fallbacks gave the answer."""
    solver: str
    """Name of the solver that was asked last."""
    status: str
    """What it said, in its own words."""
    iterations: Count
    """How many it took."""
    objective: Finite
    """After whole lots, fraction of NAV over the horizon."""
    objective_continuous: Finite
    """Before whole lots: the difference is what lots cost."""
    violation: Annotated[float, Field(ge=0)]
    """Largest breach of a hard limit after the trades, fraction of NAV."""
    violation_before: Annotated[float, Field(ge=0)]
    """The same without the trades."""
    remarks: tuple[Text, ...] = ()
    """Why higher rungs gave no answer, in words."""


class Identity(Model):
    """What would have to be the same for the same decision."""

    build: Name
    """Hash of the deciding source code."""
    dependencies: Name
    """Hash of the numeric libraries' versions."""
    fingerprint: Name
    """Hash of a fixed factorisation and solve on the deciding machine."""
    parameters: Digest
    """Hash of the parameters."""
    portfolio_state: Digest
    """Hash of the portfolio's state before the decision."""
    problem: Digest
    """Hash of the problem that was solved."""


class AllocationDecided(PortfolioOutput):
    """The coordinated decision: targets, trades and all its reasons."""

    decision_id: Reference
    """"portfolio:round"."""
    round: Count
    """Number of the round in its portfolio."""
    mode: Name
    """Name of the preset it was decided under."""
    nav: Balance
    """Value of the portfolio, money."""
    horizon_sessions: Annotated[float, Field(gt=0)]
    """Trading sessions the expected returns are about."""
    valid_sessions: Count
    """Trades not filled expire at that session close from now."""
    valid_until: Timestamp | None = None
    """The same as a time, where sessions are counted by the clock."""
    priority: Probability = 0.0
    """What its trades are worth, times the weighted mean of its signals' parts; or how much of a
    limit was broken before, where that is more."""
    priority_parts: tuple[tuple[Name, Probability], ...] = ()
    """Name and value of each part, sorted by name. breach: the largest violation of a hard limit
    before the trades, over a hundredth of NAV, at most 1. worth: expected gain of the trades as a
    share of gain and cost together. The others are those of its signals, each by its part of the
    opinion: confidence, recency, reputation, urgency, strategy, capital; see `PriorityWeights`."""
    turnover: Annotated[float, Field(ge=0)]
    """Half the absolute weight traded."""
    cost: Finite
    """Expected cost of the trades, fraction of NAV: fees, spread, tax and impact."""
    targets: tuple[Target, ...]
    """Sorted by instrument."""
    trades: tuple[Trade, ...]
    """Sorted by instrument."""
    before: Profile
    """Risk and exposure without the trades."""
    after: Profile
    """Risk and exposure with them."""
    signals: tuple[SignalUse, ...]
    """What each signal did, sorted."""
    prior_utility: Finite
    """The benchmark prior's part of mu'w."""
    limits: tuple[LimitUse, ...]
    """Those that bind, and the totals."""
    solver: SolverReport
    """How the answer was found."""
    identity: Identity
    """What would have to be the same for the same decision."""
    mandate_version: Annotated[int, Field(ge=1)] | None = None
    """Under which of its portfolio's mandates, counted from 1; absent: not told by older builds."""
    tilt: tuple[tuple[Reference, Finite], ...] = ()
    """Multipliers that were in force and not 1, sorted by name: the rule's cause and what it moved,
    such as "drawdown/risk_aversion" or "signal_quality/source/strategy"."""
    cost_impact: Finite = 0.0
    """How much of the cost is market impact."""
    cost_holding: Finite = 0.0
    """Expected cost of holding what is held after the trades, over the horizon: borrow and carry;
    below 0 where more is received than paid. No part of the cost."""


class TradesExpired(PortfolioOutput):
    """Decided trades that were not filled in time and count no more; a later fill still counts."""

    decision_id: Reference
    """"portfolio:round" of the decision they came from."""
    trade_ids: tuple[Reference, ...]
    """Sorted."""


class QualityScored(PortfolioOutput):
    """How good a decision was, in parts between 0 and 1."""

    decision_id: Reference
    """"portfolio:round"."""
    score: Probability
    """The whole, 0 to 1."""
    parts: tuple[tuple[Name, Probability], ...]
    """Name and value of each part, 0 to 1, sorted by name."""
