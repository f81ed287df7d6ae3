"""Builders of planted outputs: the fields a test does not care for have a plain default."""

from __future__ import annotations

from decimal import Decimal

from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from schemas.base import OutputEvent
from schemas.canonical import digest
from schemas.decisions import (
    AllocationDecided,
    ConflictKind,
    ConflictLine,
    ConflictsDetected,
    Identity,
    LimitUse,
    Profile,
    QualityScored,
    RoundClosed,
    Rung,
    SignalUse,
    SolverReport,
    Target,
    Trade,
)
from schemas.entries import GENESIS, encode_output

HASH = "0" * 64


def trade(instrument: str, quantity: str, *, trade_id: str, price: float = 10.0) -> Trade:
    return Trade(
        trade_id=trade_id, instrument=instrument, quantity=Decimal(quantity), price=price,
        weight=0.01, cost=0.0, urgency=0.25,
    )  # fmt: skip


def target(instrument: str, quantity: str = "10", weight: float = 0.01) -> Target:
    return Target(
        instrument=instrument, weight_before=0.0, weight_wanted=weight, weight=weight,
        quantity=Decimal(quantity), expected_return=0.02, price=10.0,
    )  # fmt: skip


def use(signal: str, instrument: str, verdict: str = "followed", own: float = 0.01) -> SignalUse:
    return SignalUse(
        signal=signal, strategy="s", instrument=instrument, verdict=verdict,  # type: ignore[arg-type] # a literal, by name
        score=1.0, skill=0.05, view=0.02, own=own, utility=0.001,
    )  # fmt: skip


def profile(gross: float = 0.0) -> Profile:
    return Profile(
        expected_return=0.0, volatility=0.1, gross=gross, net=gross, cash=1.0 - gross, positions=0
    )


def allocation(
    portfolio: str = "p",
    *,
    round_number: int = 1,
    decided_at: int = 100,
    nav: str = "100000",
    trades: tuple[Trade, ...] = (),
    targets: tuple[Target, ...] = (),
    signals: tuple[SignalUse, ...] = (),
    limits: tuple[LimitUse, ...] = (),
    objective: float = 0.001,
    remarks: tuple[str, ...] = (),
) -> AllocationDecided:
    return AllocationDecided(
        decided_at=decided_at, portfolio=portfolio, decision_id=f"{portfolio}:{round_number}",
        round=round_number, mode="balanced", nav=Decimal(nav), horizon_sessions=5.0,
        valid_sessions=1, priority=0.75, turnover=0.01, cost=0.0001, targets=targets, trades=trades,
        before=profile(), after=profile(0.1), signals=signals, prior_utility=0.0, limits=limits,
        solver=SolverReport(
            rung=Rung.SOLVED, solver="fake", status="optimal", iterations=7, objective=objective,
            objective_continuous=objective, violation=0.0, violation_before=0.0, remarks=remarks,
        ),
        identity=Identity(
            build="b", dependencies="d", fingerprint="f", parameters=HASH, portfolio_state=HASH,
            problem=HASH,
        ),
    )  # fmt: skip


def conflict(
    *,
    signals: tuple[str, ...] = ("a/1", "b/2"),
    severity: float = 0.5,
    resolution: str = "bought less",
) -> ConflictLine:
    return ConflictLine(
        kind=ConflictKind.OPPOSITE_DIRECTION, instruments=("A",), signals=signals,
        severity=severity, resolution=resolution,
    )  # fmt: skip


def conflicts(
    *lines: ConflictLine, portfolio: str = "p", round_number: int = 1
) -> ConflictsDetected:
    return ConflictsDetected(
        decided_at=100, portfolio=portfolio, decision_id=f"{portfolio}:{round_number}",
        conflicts=lines,
    )  # fmt: skip


def closed(portfolio: str = "p", *, round_number: int = 1, outcome: str = "decided") -> RoundClosed:
    return RoundClosed(
        decided_at=100, portfolio=portfolio, decision_id=f"{portfolio}:{round_number}",
        round=round_number, trigger="signals", opened_at=90, signals_used=("a/1", "b/2"),
        signals_new=2, conflicts=1, conflicts_reported=1, outcome=outcome,  # type: ignore[arg-type] # a literal, by name
    )  # fmt: skip


def quality(
    score: float = 0.5,
    *,
    portfolio: str = "p",
    round_number: int = 1,
    parts: tuple[tuple[str, float], ...] = (("payoff", 0.4), ("stability", 0.6)),
) -> QualityScored:
    return QualityScored(
        decided_at=100, portfolio=portfolio, decision_id=f"{portfolio}:{round_number}", score=score,
        parts=parts,
    )  # fmt: skip


def output_log(*events: OutputEvent) -> MemoryLog:
    """A log whose decisions are the given events, chained, one journal position each."""
    log = MemoryLog(clock=lambda: 0)
    prev = GENESIS
    for index, event in enumerate(events):
        entry = encode_output(index, 0, index, prev, event)
        log.append([Append("decisions", 0, entry, event.decided_at)])
        prev = digest(entry)
    return log
