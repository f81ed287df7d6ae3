"""Topic `decisions`, part two: rounds, conflicts, allocations and portfolio views.

Keyed by shard; decision_id is "portfolio:round". All weights are fractions of NAV at the decision.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import (
    Finite,
    Model,
    Money,
    Name,
    OutputEvent,
    Probability,
    Quantity,
    Text,
    Timestamp,
)

__all__ = [
    "AllocationDecided",
    "ConflictDetected",
    "ConflictKind",
    "Holding",
    "Identity",
    "LimitUse",
    "PortfolioViewUpdated",
    "Profile",
    "QualityScored",
    "ReconciliationDiffered",
    "RoundClosed",
    "Rung",
    "SignalUse",
    "SolverReport",
    "Target",
    "Trade",
    "TradesExpired",
]

Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ConflictKind(StrEnum):
    """What contradicts what."""

    OPPOSITE_DIRECTION = "opposite_direction"
    HORIZON = "horizon"
    CORRELATED_INSTRUMENTS = "correlated_instruments"
    MANDATE = "mandate"
    CAPACITY = "capacity"


class Rung(StrEnum):
    """Which step of the ladder of fallbacks gave the answer."""

    SOLVED = "solved"
    RELAXED = "relaxed"
    RULE = "rule"
    HOLD = "hold"


class PortfolioOutput(OutputEvent):
    """Something said about one portfolio, by its own shard."""

    portfolio: Name


class ConflictDetected(PortfolioOutput):
    """Opinions, or an opinion and a limit, that cannot both be followed."""

    decision_id: Name
    kind: ConflictKind
    instruments: tuple[Name, ...]
    signals: tuple[Name, ...]
    """"source/signal_id" of the participants, sorted."""
    severity: Probability
    """How surely they differ beyond their own uncertainty."""
    resolution: Text
    """What the decision made of it, in words."""


class RoundClosed(PortfolioOutput):
    """A round's books: what opened it, which signals it used, what it led to."""

    decision_id: Name
    round: Count
    trigger: Literal["signals", "session_close", "interval", "breach", "constraint"]
    opened_at: Timestamp
    signals_used: tuple[Name, ...]
    """"source/signal_id" of every live signal the decision used, sorted: their acceptance."""
    signals_new: Count
    """How many of them no earlier round of this portfolio used."""
    signals_dropped: tuple[Name, ...] = ()
    """Live signals heard but without effect (no skill, no price, outside the universe)."""
    conflicts: Count
    """Found, including those beyond conflicts_max."""
    conflicts_reported: Count
    outcome: Literal["decided", "nothing_to_do", "paused", "no_prices"]


class Target(Model):
    """Where the portfolio goes in one instrument."""

    instrument: Name
    weight_before: Finite
    """Held plus decided before and not filled."""
    weight_wanted: Finite
    """The optimum before whole lots."""
    weight: Finite
    """After this decision's trades."""
    quantity: Quantity
    """Units held when all open trades are filled."""
    expected_return: Finite
    """mu: combined opinion over the horizon, in excess of cash."""
    price: Annotated[float, Field(gt=0)]
    """What the decision valued it at."""


class Trade(Model):
    """One order to be carried out."""

    trade_id: Name
    instrument: Name
    quantity: Quantity
    """Buy positive, sell negative."""
    price: Annotated[float, Field(gt=0)]
    """Reference: the price the decision saw."""
    weight: Finite
    cost: Finite
    """Expected cost, fraction of NAV."""


class SignalUse(Model):
    """What one signal did in this decision."""

    signal: Name
    """"source/signal_id"."""
    strategy: Name
    instrument: Name
    verdict: Literal["followed", "outvoted", "limited", "dropped"]
    """followed: the position taken agrees with it; outvoted: other views prevailed; limited: a limit or
    cost kept its wish from being met; dropped: it had no weight."""
    score: Finite
    """Standardised opinion."""
    skill: Finite
    """Believed information coefficient over the horizon."""
    view: Finite
    """Return it alone would imply for its instrument."""
    own: Finite
    """Its part of its own instrument's expected return."""
    utility: Finite
    """Its part of mu'w at the answer; over all signals and the prior these add up to mu'w."""


class LimitUse(Model):
    """A limit that shaped the decision, or a total that it watches."""

    limit: Name
    instrument: Name | None = None
    used: Finite
    bound: Finite
    shadow_price: Finite
    """Gain of the objective per unit of bound."""


class Profile(Model):
    """A portfolio's risk and exposure, before or after."""

    expected_return: Finite
    """mu'w over the horizon."""
    volatility: Annotated[float, Field(ge=0)]
    """Over the horizon, fraction of NAV."""
    gross: Annotated[float, Field(ge=0)]
    net: Finite
    cash: Finite
    positions: Count


class SolverReport(Model):
    """How the answer was found."""

    rung: Rung
    solver: str
    status: str
    iterations: Count
    objective: Finite
    """After whole lots, fraction of NAV over the horizon."""
    objective_continuous: Finite
    """Before whole lots: the difference is what lots cost."""
    violation: Annotated[float, Field(ge=0)]
    violation_before: Annotated[float, Field(ge=0)]
    remarks: tuple[Text, ...] = ()


class Identity(Model):
    """What would have to be the same for the same decision."""

    build: Name
    dependencies: Name
    fingerprint: Name
    parameters: Digest
    portfolio_state: Digest
    problem: Digest


class AllocationDecided(PortfolioOutput):
    """The coordinated decision: targets, trades and all its reasons."""

    decision_id: Name
    round: Count
    mode: Name
    nav: Money
    horizon_sessions: Annotated[float, Field(gt=0)]
    valid_sessions: Count
    """Trades not filled expire at that session close from now."""
    turnover: Annotated[float, Field(ge=0)]
    cost: Finite
    """Expected cost of the trades, fraction of NAV."""
    targets: tuple[Target, ...]
    trades: tuple[Trade, ...]
    before: Profile
    after: Profile
    signals: tuple[SignalUse, ...]
    prior_utility: Finite
    """The benchmark prior's part of mu'w."""
    limits: tuple[LimitUse, ...]
    solver: SolverReport
    identity: Identity


class TradesExpired(PortfolioOutput):
    """Decided trades that were not filled in time and count no more; a later fill still counts."""

    decision_id: Name
    trade_ids: tuple[Name, ...]


class Holding(Model):
    """A position at its present value."""

    instrument: Name
    quantity: Quantity
    price: Annotated[float, Field(gt=0)] | None
    weight: Finite


class PortfolioViewUpdated(PortfolioOutput):
    """A portfolio as it stands."""

    nav: Money
    cash: Money
    holdings: tuple[Holding, ...]
    gross: Annotated[float, Field(ge=0)]
    net: Finite
    open_trades: Count
    traded: Money
    """Value traded since the portfolio opened, both sides."""
    fees: Money
    """Fees paid since the portfolio opened."""
    fills: Count


class QualityScored(PortfolioOutput):
    """How good a decision was, in parts between 0 and 1."""

    decision_id: Name
    score: Probability
    parts: tuple[tuple[Name, Probability], ...]


class ReconciliationDiffered(PortfolioOutput):
    """A positions report that differs from the folded fills."""

    instrument: Name
    folded: Quantity
    reported: Quantity
    policy: Name
