"""A decision's reasons, put in the order a reader asks for them.

Place in the flow: after the fact, from what the engine said and nothing else: the allocation, the
conflicts of its round and the round's books. Pure. It must never solve, guess, or read anything
the log does not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from coordinator.quality.moved import Moved
from schemas.base import Model, Quantity, parse_time
from schemas.decisions import (
    AllocationDecided,
    ConflictLine,
    Identity,
    LimitUse,
    Profile,
    QualityScored,
    RoundClosed,
    SignalUse,
    SolverReport,
    Target,
)
from schemas.sleeves import SleevesBooked

__all__ = ["NEGLIGIBLE", "Change", "Explanation", "Place", "explain"]

NEGLIGIBLE = 1e-9
"""Shadow prices and weights below this are nought, whatever the solver's last digits say."""


class Place(Model):
    """Where the decision stands in its log, with the hashes that prove it."""

    shard: int
    position: int
    """Of the journal record that led to it."""
    ordinal: int
    seq: int
    journal_time: int
    """Nanoseconds UTC."""
    content: str
    """Hash of the decision itself: the same wherever it was made."""
    entry: str
    """Hash of its entry, which the next entry repeats."""


class Change(Model):
    """One instrument, before and after; weights are fractions of NAV."""

    instrument: str
    before: float
    wanted: float
    """Before whole lots."""
    after: float
    trade: Quantity | None
    """Units, bought positive; absent where nothing is traded."""
    trade_id: str | None
    price: float
    cost: float
    """Expected cost of the trade, fraction of NAV."""
    urgency: float | None
    """How much of the opinion arrives within a session, 0 to 1; absent without a trade."""
    expected_return: float
    """The combined opinion over the horizon."""
    opinions: tuple[SignalUse, ...]
    """The signals about it, the weightiest part of the opinion first."""
    forces: tuple[tuple[str, float], ...] = ()
    """What pulled on the trade, the strongest first: gain of the objective per unit bought."""
    residual: float | None = None
    """What all forces add up to; absent where none are known."""


class Explanation(Model):
    """Everything that is known about why a decision came out as it did."""

    decision_id: str
    portfolio: str
    round: int
    decided_at: int
    """Nanoseconds UTC."""
    trigger: str | None
    """What opened the round; absent where the log has no books of it."""
    opened_at: int | None
    mode: str
    mandate_version: int | None
    """Which of its portfolio's mandates it was made under; absent: an older build did not tell."""
    moved: tuple[Moved, ...]
    """Multipliers it was made under that are not 1, each with the rule that moved it."""
    nav: Decimal
    horizon_sessions: float
    valid_sessions: int
    valid_until: int | None
    """Nanoseconds UTC; absent where sessions are not counted by the clock."""
    priority: float
    """What its trades are worth, times how much its signals matter, 0 to 1."""
    priority_parts: tuple[tuple[str, float], ...]
    """Name and value of each part, by name."""
    signals: tuple[SignalUse, ...]
    """Every signal used, by the size of its contribution."""
    signals_dropped: tuple[str, ...]
    conflicts: tuple[ConflictLine, ...]
    """The most severe first."""
    conflicts_found: Annotated[int, Field(ge=0)]
    """Including those beyond what is reported."""
    binding: tuple[LimitUse, ...]
    """Limits that cost something, or gave way: easing them would change the answer. The portfolio's
    own first, then those of names that are held or traded, the dearest first."""
    watched: tuple[LimitUse, ...]
    """Totals and limits that had room."""
    changes: tuple[Change, ...]
    """The largest change first."""
    before: Profile
    after: Profile
    turnover: float
    cost: float
    cost_impact: float
    """How much of the cost is market impact."""
    cost_holding: float
    """Of holding what is held after the trades, over the horizon; no part of the cost."""
    prior_utility: float
    contributions: float
    """Sum of the signals' and the prior's parts: equals after.expected_return."""
    solver: SolverReport
    identity: Identity
    sleeves: SleevesBooked | None
    """How it was split over its strategies, what crossed inside; absent where sleeves are off."""
    place: Place
    quality: float | None = None
    """How good it was, 0 to 1; absent where the log does not tell."""
    quality_parts: tuple[tuple[str, float], ...] = ()
    """Name and value of each part of that, by name."""


def _weight_of_limit(one: LimitUse) -> tuple[bool, bool, float]:
    """What shapes a decision first: totals, then names with a position, then names left at zero."""
    return one.instrument is not None, one.used == one.bound == 0.0, -abs(one.shadow_price)


def explain(
    decision: AllocationDecided,
    *,
    conflicts: Sequence[ConflictLine],
    closed: RoundClosed | None,
    place: Place,
    moved: tuple[Moved, ...] = (),
    quality: QualityScored | None = None,
    sleeves: SleevesBooked | None = None,
) -> Explanation:
    """The reasons of one decision; all others are those of its decision_id."""
    binding = sorted(filter(_binds, decision.limits), key=_weight_of_limit)
    return Explanation(
        decision_id=decision.decision_id,
        portfolio=decision.portfolio,
        round=decision.round,
        decided_at=decision.decided_at,
        trigger=None if closed is None else closed.trigger,
        opened_at=None if closed is None else parse_time(closed.opened_at),
        mode=decision.mode,
        mandate_version=decision.mandate_version,
        moved=moved,
        nav=decision.nav,
        horizon_sessions=decision.horizon_sessions,
        valid_sessions=decision.valid_sessions,
        valid_until=None if decision.valid_until is None else parse_time(decision.valid_until),
        priority=decision.priority,
        priority_parts=decision.priority_parts,
        signals=tuple(sorted(decision.signals, key=lambda one: (-abs(one.utility), one.signal))),
        signals_dropped=() if closed is None else closed.signals_dropped,
        conflicts=tuple(sorted(conflicts, key=lambda one: (-one.severity, one.signals))),
        conflicts_found=len(conflicts) if closed is None else closed.conflicts,
        binding=tuple(binding),
        watched=tuple(one for one in decision.limits if not _binds(one)),
        changes=_changes(decision),
        before=decision.before,
        after=decision.after,
        turnover=decision.turnover,
        cost=decision.cost,
        cost_impact=decision.cost_impact,
        cost_holding=decision.cost_holding,
        prior_utility=decision.prior_utility,
        contributions=sum((one.utility for one in decision.signals), decision.prior_utility),
        solver=decision.solver,
        identity=decision.identity,
        sleeves=sleeves,
        place=place,
        quality=None if quality is None else quality.score,
        quality_parts=() if quality is None else quality.parts,
    )


def _binds(limit: LimitUse) -> bool:
    return abs(limit.shadow_price) > NEGLIGIBLE or limit.given > 0.0


def _changes(decision: AllocationDecided) -> tuple[Change, ...]:
    """Instruments that are held, wanted or spoken about, the largest change first."""
    opinions: dict[str, list[SignalUse]] = {}
    for use in decision.signals:
        opinions.setdefault(use.instrument, []).append(use)
    trades = {trade.instrument: trade for trade in decision.trades}
    changes = []
    for target in decision.targets:
        trade = trades.get(target.instrument)
        about = sorted(
            opinions.get(target.instrument, []), key=lambda one: (-abs(one.own), one.signal)
        )
        if trade is None and not about and _idle(target):
            continue
        changes.append(
            Change(
                instrument=target.instrument,
                before=target.weight_before,
                wanted=target.weight_wanted,
                after=target.weight,
                trade=None if trade is None else trade.quantity,
                trade_id=None if trade is None else trade.trade_id,
                price=target.price,
                cost=0.0 if trade is None else trade.cost,
                urgency=None if trade is None else trade.urgency,
                expected_return=target.expected_return,
                opinions=tuple(about),
                forces=target.forces,
                residual=target.residual,
            )
        )
    return tuple(sorted(changes, key=lambda one: (-abs(one.after - one.before), one.instrument)))


def _idle(target: Target) -> bool:
    weights = (target.weight_before, target.weight_wanted, target.weight)
    return all(abs(weight) <= NEGLIGIBLE for weight in weights)
