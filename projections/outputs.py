"""Rows of what the engine said.

Place in the flow: the `decisions` topic's half of `apply`. Pure; must never look anything up.
"""

from __future__ import annotations

from collections.abc import Callable

from projections.pane_outputs import rows_of_portfolio_pane, rows_of_source_pane
from projections.rows import (
    AsOf,
    ConflictRow,
    DecisionRow,
    HoldingChangeRow,
    HoldingRow,
    IncidentRow,
    PortfolioViewRow,
    QualityRow,
    RoundRow,
    Row,
    SignalUseRow,
    SignalVerdictRow,
    TradeEndRow,
    TradeRow,
)
from schemas.base import parse_time
from schemas.books import HoldingChanged, PortfolioViewUpdated, ReconciliationDiffered
from schemas.decisions import (
    AllocationDecided,
    ConflictsDetected,
    QualityScored,
    RoundClosed,
    TradesExpired,
)
from schemas.entries import OutputEntry
from schemas.panes import PortfolioPaneClosed, SourcePaneClosed
from schemas.verdicts import (
    AlertRaised,
    ClockJumped,
    InputRejected,
    RecordQuarantined,
    SignalExpired,
    SignalRejected,
)

__all__ = ["rows_of_output"]


def rows_of_output(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    """The rows that an output gives; empty for one that no view shows."""
    make = _OUTPUTS.get(type(entry.event))
    return [] if make is None else make(entry, as_of)


def _decision(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, AllocationDecided):
        return []
    after, solver = event.after, event.solver
    decision = DecisionRow(
        as_of=as_of,
        position=entry.position,
        decision_id=event.decision_id,
        portfolio=event.portfolio,
        round=event.round,
        decided_at=event.decided_at,
        mode=event.mode,
        nav=event.nav,
        horizon_sessions=event.horizon_sessions,
        valid_sessions=event.valid_sessions,
        valid_until=None if event.valid_until is None else parse_time(event.valid_until),
        priority=event.priority,
        rung=solver.rung.value,
        solver=solver.solver,
        status=solver.status,
        turnover=event.turnover,
        cost=event.cost,
        expected_return=after.expected_return,
        volatility=after.volatility,
        gross=after.gross,
        net=after.net,
        cash=after.cash,
        positions=after.positions,
        signals=len(event.signals),
        trades=len(event.trades),
        objective=solver.objective,
        violation=solver.violation,
    )
    return [decision, *_trades(event, as_of), *_uses(event, as_of)]


def _trades(event: AllocationDecided, as_of: AsOf) -> list[TradeRow]:
    return [
        TradeRow(
            as_of=as_of,
            trade_id=trade.trade_id,
            decision_id=event.decision_id,
            portfolio=event.portfolio,
            instrument=trade.instrument,
            decided_at=event.decided_at,
            quantity=trade.quantity,
            price=trade.price,
            weight=trade.weight,
            cost=trade.cost,
            urgency=trade.urgency,
        )
        for trade in event.trades
    ]


def _uses(event: AllocationDecided, as_of: AsOf) -> list[SignalUseRow]:
    return [
        SignalUseRow(
            as_of=as_of,
            decision_id=event.decision_id,
            portfolio=event.portfolio,
            signal=use.signal,
            strategy=use.strategy,
            instrument=use.instrument,
            decided_at=event.decided_at,
            verdict=use.verdict,
            score=use.score,
            skill=use.skill,
            expected_return=use.view,
            own=use.own,
            utility=use.utility,
        )
        for use in event.signals
    ]


def _conflicts(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, ConflictsDetected):
        return []
    return [
        ConflictRow(
            as_of=as_of,
            decision_id=event.decision_id,
            ordinal=ordinal,
            portfolio=event.portfolio,
            decided_at=event.decided_at,
            kind=line.kind.value,
            instruments=line.instruments,
            signals=line.signals,
            severity=line.severity,
            resolution=line.resolution,
        )
        for ordinal, line in enumerate(event.conflicts)
    ]


def _round(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, RoundClosed):
        return []
    return [
        RoundRow(
            as_of=as_of,
            decision_id=event.decision_id,
            portfolio=event.portfolio,
            round=event.round,
            decided_at=event.decided_at,
            opened_at=parse_time(event.opened_at),
            trigger=event.trigger,
            outcome=event.outcome,
            signals_used=event.signals_used,
            signals_new=event.signals_new,
            signals_dropped=event.signals_dropped,
            conflicts=event.conflicts,
        )
    ]


def _quality(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, QualityScored):
        return []
    return [
        QualityRow(
            as_of=as_of,
            decision_id=event.decision_id,
            portfolio=event.portfolio,
            decided_at=event.decided_at,
            score=event.score,
            parts=tuple(name for name, _ in event.parts),
            part_scores=tuple(value for _, value in event.parts),
        )
    ]


def _verdict(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if isinstance(event, SignalRejected):
        reason, detail, verdict = event.reason.value, event.detail, "rejected"
    elif isinstance(event, SignalExpired):
        reason, detail, verdict = event.reason, "", "expired"
    else:
        return []
    return [
        SignalVerdictRow(
            as_of=as_of,
            position=entry.position,
            source=event.source,
            signal_id=event.signal_id,
            instrument=event.instrument,
            verdict=verdict,
            reason=reason,
            detail=detail,
            at=event.decided_at,
        )
    ]


def _incident(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    name: str | None = None
    event_id: str | None = None
    portfolio: str | None = None
    if isinstance(event, InputRejected):
        kind, name, event_id = "input_rejected", event.event, event.event_id
        portfolio, detail = event.portfolio, f"{event.reason.value}: {event.detail}".rstrip(": ")
    elif isinstance(event, RecordQuarantined):
        kind, name, event_id = "quarantined", event.event, event.event_id
        portfolio, detail = event.portfolio, event.error
    elif isinstance(event, ClockJumped):
        kind, detail = "clock_jumped", f"{event.step_ms} ms"
    elif isinstance(event, ReconciliationDiffered):
        kind, name, event_id = "reconciliation", "PositionsReported", event.report_id
        portfolio = event.portfolio
        what = event.instrument or f"cash {event.currency}"
        detail = f"{what}: {event.folded:f} by fills, {event.reported:f} reported, {event.policy}"
    elif isinstance(event, AlertRaised):
        kind, portfolio, detail = "alert", event.portfolio, f"{event.severity}: {event.message}"
    else:
        return []
    at = event.decided_at
    return [IncidentRow(as_of, entry.position, kind, name, event_id, portfolio, detail, at)]


def _view(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, PortfolioViewUpdated):
        return []
    whole = PortfolioViewRow(
        as_of=as_of,
        portfolio=event.portfolio,
        at=event.decided_at,
        nav=event.nav,
        cash=event.cash,
        gross=event.gross,
        net=event.net,
        open_trades=event.open_trades,
        traded=event.traded,
        fees=event.fees,
        fills=event.fills,
        available=event.available,
        gain=event.gain,
        unrealised=event.unrealised,
        concentration=event.concentration,
        drawdown=event.drawdown,
    )
    return [whole, *_holdings(event, as_of)]


def _holdings(event: PortfolioViewUpdated, as_of: AsOf) -> list[HoldingRow]:
    return [
        HoldingRow(
            as_of=as_of,
            portfolio=event.portfolio,
            instrument=holding.instrument,
            at=event.decided_at,
            quantity=holding.quantity,
            price=holding.price,
            weight=holding.weight,
            cost=holding.cost,
            unrealised=holding.unrealised,
        )
        for holding in event.holdings
    ]


def _holding_change(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, HoldingChanged):
        return []
    return [
        HoldingChangeRow(
            as_of=as_of,
            action_id=event.action_id,
            portfolio=event.portfolio,
            instrument=event.instrument,
            kind=event.kind,
            at=event.decided_at,
            quantity_before=event.quantity_before,
            quantity=event.quantity,
            into_instrument=event.into,
            into_quantity=event.into_quantity,
            cash=event.cash,
            currency=event.currency,
        )
    ]


def _expired_trades(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if not isinstance(event, TradesExpired):
        return []
    return [
        TradeEndRow(
            as_of=as_of,
            trade_id=trade_id,
            portfolio=event.portfolio,
            outcome="expired",
            reason="",
            at=event.decided_at,
        )
        for trade_id in event.trade_ids
    ]


def _pane(entry: OutputEntry, as_of: AsOf) -> list[Row]:
    event = entry.event
    if isinstance(event, PortfolioPaneClosed):
        return [*rows_of_portfolio_pane(event, as_of)]
    return [*rows_of_source_pane(event, as_of)] if isinstance(event, SourcePaneClosed) else []


_OUTPUTS: dict[type, Callable[[OutputEntry, AsOf], list[Row]]] = {
    AllocationDecided: _decision,
    ConflictsDetected: _conflicts,
    RoundClosed: _round,
    QualityScored: _quality,
    SignalRejected: _verdict,
    SignalExpired: _verdict,
    InputRejected: _incident,
    RecordQuarantined: _incident,
    ClockJumped: _incident,
    AlertRaised: _incident,
    ReconciliationDiffered: _incident,
    HoldingChanged: _holding_change,
    PortfolioViewUpdated: _view,
    TradesExpired: _expired_trades,
    PortfolioPaneClosed: _pane,
    SourcePaneClosed: _pane,
}
