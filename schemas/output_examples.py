"""One example of all that the engine says; `schemas.examples` puts them beside the inputs'."""

from __future__ import annotations

from decimal import Decimal

from schemas.base import OutputEvent
from schemas.books import (
    CorporateActionTaken,
    CurrencyLine,
    Holding,
    HoldingChanged,
    PortfolioReconciled,
    PortfolioViewUpdated,
    ReconciliationDiffered,
    SectorLine,
)
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
    TradesExpired,
)
from schemas.panes import (
    PaneEdge,
    PortfolioCounts,
    PortfolioPaneClosed,
    SignalCounts,
    SourceHeard,
    SourcePaneClosed,
)
from schemas.sleeve_examples import sleeves_example
from schemas.verdicts import (
    AlertRaised,
    ClockJumped,
    InputRejected,
    InputRejection,
    ParametersAdapted,
    RecordQuarantined,
    SignalExpired,
    SignalRejected,
    SignalRejection,
    SourceCalibrated,
)

__all__ = ["output_examples"]

_SHARE = "600519.SH"
_DECISION = "balanced:1"
_TRADE = "balanced:1:600519.SH"


def output_examples(at: int) -> tuple[OutputEvent, ...]:
    """One of each, said at a time in nanoseconds UTC."""
    return (
        *_verdicts(at),
        *_rounds(at),
        _allocation(at),
        *_portfolio(at),
        *_reports_and_actions(at),
        *_panes(at),
        sleeves_example(at),
    )


def _verdicts(at: int) -> tuple[OutputEvent, ...]:
    return (
        SignalRejected(
            decided_at=at,
            source="momentum",
            signal_id="s-2",
            instrument=_SHARE,
            reason=SignalRejection.STALE,
            detail="older than lateness_ms_max",
            event_time=at - 8 * 86_400_000_000_000,
        ),
        SignalExpired(
            decided_at=at,
            source="momentum",
            strategy="weekly",
            signal_id="s-1",
            instrument=_SHARE,
            expired_at=at,
        ),
        InputRejected(
            decided_at=at,
            event="CashMoved",
            event_id="p-9",
            portfolio="unheard-of",
            reason=InputRejection.UNKNOWN_PORTFOLIO,
        ),
        ClockJumped(decided_at=at, previous=at - 30 * 86_400_000_000_000, step_ms=2_592_000_000),
        RecordQuarantined(
            decided_at=at, event="timer", event_id="round:balanced", error="division by zero"
        ),
        SourceCalibrated(
            decided_at=at, source="momentum", horizon_sessions=5.0, skill=0.04, observations=61.5
        ),
        ParametersAdapted(
            decided_at=at, name="budgets", before=1.0, after=0.5, rule="crisis", cause="regime"
        ),
        AlertRaised(decided_at=at, severity="warning", message="no prices for 3 sessions"),
    )


def _rounds(at: int) -> tuple[OutputEvent, ...]:
    return (
        ConflictsDetected(
            decided_at=at,
            portfolio="balanced",
            decision_id=_DECISION,
            conflicts=(
                ConflictLine(
                    kind=ConflictKind.OPPOSITE_DIRECTION,
                    instruments=(_SHARE,),
                    signals=("momentum/s-1", "value/v-1"),
                    severity=0.62,
                    resolution="momentum outweighs value",
                ),
            ),
        ),
        RoundClosed(
            decided_at=at,
            portfolio="balanced",
            decision_id=_DECISION,
            round=1,
            trigger="session_close",
            opened_at=at,
            signals_used=("momentum/s-1", "value/v-1"),
            signals_new=2,
            conflicts=1,
            conflicts_reported=1,
            outcome="decided",
        ),
        QualityScored(
            decided_at=at,
            portfolio="balanced",
            decision_id=_DECISION,
            score=0.7,
            parts=(("payoff", 0.6), ("stability", 0.8)),
        ),
    )


def _limits() -> tuple[LimitUse, ...]:
    gave_way = LimitUse(
        limit="sectors", used=0.144399, bound=0.14, shadow_price=0.003, about="Consumer staples",
        priority=2, given=0.004399,
    )  # fmt: skip
    return (LimitUse(limit="gross_max", used=0.144399, bound=1.0, shadow_price=0.0), gave_way)


def _allocation(at: int) -> AllocationDecided:
    return AllocationDecided(
        decided_at=at,
        portfolio="balanced",
        decision_id=_DECISION,
        round=1,
        mode="balanced",
        nav=Decimal(1_000_000),
        horizon_sessions=5.0,
        valid_sessions=1,
        turnover=0.0722,
        cost=0.0000433,
        targets=(
            Target(
                instrument=_SHARE,
                weight_before=0.0,
                weight_wanted=0.138,
                weight=0.144399,
                quantity=Decimal(100),
                expected_return=0.004,
                price=1443.99,
            ),
        ),
        trades=(
            Trade(
                trade_id=_TRADE,
                instrument=_SHARE,
                quantity=Decimal(100),
                price=1443.99,
                weight=0.144399,
                cost=0.0000433,
            ),
        ),
        before=_profile(0.0),
        after=_profile(0.144399),
        signals=(
            _use("momentum/s-1", "weekly", verdict="followed", own=0.0055),
            _use("value/v-1", "value", verdict="outvoted", own=-0.0015),
        ),
        prior_utility=0.0,
        limits=_limits(),
        solver=_solver(),
        identity=_identity(),
        mandate_version=1,
    )


def _profile(weight: float) -> Profile:
    return Profile(
        expected_return=0.004 * weight,
        volatility=0.045 * weight,
        gross=weight,
        net=weight,
        cash=1.0 - weight,
        positions=1 if weight else 0,
    )


def _use(signal: str, strategy: str, *, verdict: str, own: float) -> SignalUse:
    followed = verdict == "followed"
    return SignalUse(
        signal=signal,
        strategy=strategy,
        instrument=_SHARE,
        verdict="followed" if followed else "outvoted",
        score=1.2 if followed else -0.6,
        skill=0.05,
        view=0.0027 if followed else -0.0013,
        own=own,
        utility=own * 0.144399,
    )


def _solver() -> SolverReport:
    return SolverReport(
        rung=Rung.SOLVED,
        solver="CLARABEL",
        status="optimal",
        iterations=11,
        objective=0.000365,
        objective_continuous=0.000366,
        violation=0.0,
        violation_before=0.0,
    )


def _identity() -> Identity:
    return Identity(
        build="1f6c8a",
        dependencies="90be27",
        fingerprint="c41d55",
        parameters="1" * 64,
        portfolio_state="2" * 64,
        problem="3" * 64,
    )


def _portfolio(at: int) -> tuple[OutputEvent, ...]:
    return (
        TradesExpired(
            decided_at=at, portfolio="balanced", decision_id=_DECISION, trade_ids=(_TRADE,)
        ),
        PortfolioViewUpdated(
            decided_at=at,
            portfolio="balanced",
            nav=Decimal("999956.70"),
            cash=Decimal("855557.70"),
            holdings=(
                Holding(
                    instrument=_SHARE,
                    quantity=Decimal(100),
                    price=1443.99,
                    weight=0.144405,
                    cost=Decimal(144_399),
                    unrealised=Decimal(0),
                ),
            ),
            gross=0.144405,
            net=0.144405,
            open_trades=0,
            traded=Decimal(144_399),
            fees=Decimal("43.30"),
            fills=1,
            settled=Decimal("855557.70"),
            reserved=Decimal(0),
            available=Decimal("855557.70"),
            gain=Decimal("-43.30"),
            unrealised=Decimal(0),
            accounts=(_account(),),
            sectors=(SectorLine(sector="Consumer staples", long=0.144405, short=0.0),),
            concentration=1.0,
            drawdown=0.0000433,
            drawdown_max=0.0000433,
            mandate_version=1,
        ),
    )


def _reports_and_actions(at: int) -> tuple[OutputEvent, ...]:
    return (
        ReconciliationDiffered(
            decided_at=at,
            portfolio="balanced",
            instrument=_SHARE,
            folded=Decimal(100),
            reported=Decimal(90),
            policy="stop",
            report_id="p-4",
        ),
        PortfolioReconciled(
            decided_at=at, portfolio="balanced", report_id="p-4", as_of=at, agreed=1, differed=1
        ),
        CorporateActionTaken(decided_at=at, action_id="ca-1", instrument=_SHARE, kind="dividend"),
        HoldingChanged(
            decided_at=at,
            portfolio="balanced",
            action_id="ca-1",
            instrument=_SHARE,
            kind="dividend",
            quantity_before=Decimal(100),
            quantity=Decimal(100),
            cash=Decimal(2762),
            currency="CNY",
        ),
    )


def _panes(at: int) -> tuple[OutputEvent, ...]:
    minute = 60_000_000_000
    counts = SignalCounts(accepted=4, rejected=(("duplicate", 1),), late=1)
    return (
        PortfolioPaneClosed(
            decided_at=at,
            portfolio="balanced",
            begins_at=at - minute,
            ends_at=at,
            opening=_edge(at - minute, "1000000", "0", weight=0.0),
            closing=_edge(at, "999956.70", "-43.30", weight=0.144405),
            pnl=Decimal("-43.30"),
            gross_max=0.144405,
            net_min=0.0,
            net_max=0.144405,
            counts=_counts(),
            totals=_counts(),
            heard=(
                SourceHeard(
                    source="momentum",
                    used=1,
                    contested=1,
                    conflicts=1,
                    used_total=1,
                    contested_total=1,
                    conflicts_total=1,
                ),
            ),
        ),
        SourcePaneClosed(
            decided_at=at,
            source="momentum",
            begins_at=at - minute,
            ends_at=at,
            counts=counts,
            totals=counts,
        ),
    )


def _edge(at: int, nav: str, gain: str, *, weight: float) -> PaneEdge:
    return PaneEdge(at=at, nav=Decimal(nav), gain=Decimal(gain), gross=weight, net=weight)


def _counts() -> PortfolioCounts:
    return PortfolioCounts(
        rounds=1,
        decisions=1,
        signals_used=2,
        signals_new=2,
        conflicts=1,
        fills=1,
        traded=Decimal(144_399),
        fees=Decimal("43.30"),
    )


def _account() -> CurrencyLine:
    return CurrencyLine(
        currency="CNY",
        cash=Decimal("855557.70"),
        settled=Decimal("855557.70"),
        cost=Decimal(144_399),
        paid_in=Decimal(1_000_000),
        realised=Decimal(0),
        income=Decimal(0),
        charges=Decimal("43.30"),
        exchanged=Decimal(0),
        corrected=Decimal(0),
    )
