"""One example of every event, for the AsyncAPI document and for whoever writes a client.

Place in the flow: read by `schemas.asyncapi`. They are instances of the models, so an example that
does not validate cannot be published. All tell of one afternoon: two sources disagree on one share.
"""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import Any

from schemas.base import Event
from schemas.constraints import (
    ConflictRuled,
    PolicyVetoed,
    RiskBudgetChanged,
    RiskLimitChanged,
    SizeCapped,
)
from schemas.control import (
    CoordinationPaused,
    CoordinationResumed,
    Parameters,
    ParametersChanged,
    SourceRegistered,
    StrategyMuted,
    StrategyRegistered,
)
from schemas.journal import ClockTicked, EngineSealed, EngineStarted, RoundsPaced, SignalsShed
from schemas.market import (
    CorporateActionAnnounced,
    InstrumentDelisted,
    InstrumentHalted,
    InstrumentListed,
    PricesObserved,
    RatesObserved,
    RegimeDeclared,
    RiskModelPublished,
)
from schemas.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderPartlyFilled,
    OrderRejected,
)
from schemas.outcomes import OutcomeAttributed
from schemas.output_examples import output_examples
from schemas.portfolios import (
    CashMoved,
    Mandate,
    MandateChanged,
    PortfolioClosed,
    PortfolioOpened,
    PositionReport,
    PositionsReported,
    Schedule,
)
from schemas.signals import SignalIssued, SignalWithdrawn

__all__ = ["EXAMPLES"]

_NOON = 1_759_320_000_000_000_000  # 2025-10-01T12:00:00Z
_HOUR = 3_600_000_000_000
_SHARE = "600519.SH"


def _signals() -> tuple[Event, ...]:
    return (
        SignalIssued(
            event_id="s-1",
            event_time=_NOON,
            source="momentum",
            strategy="weekly",
            instrument=_SHARE,
            direction=1,
            strength=0.8,
            confidence=0.6,
            horizon_sessions=5.0,
        ),
        SignalWithdrawn(event_id="w-1", event_time=_NOON, source="momentum", signal_id="s-1"),
    )


def _market() -> tuple[Event, ...]:
    return (
        InstrumentListed(
            event_id="listed-600519",
            event_time=_NOON,
            instrument=_SHARE,
            sector="Consumer staples",
            lot=Decimal(100),
            tick=Decimal("0.01"),
            currency="CNY",
            price_limit=0.1,
        ),
        InstrumentHalted(event_id="h-1", event_time=_NOON, instrument=_SHARE, reason="news"),
        InstrumentDelisted(event_id="d-1", event_time=_NOON, instrument="600001.SH"),
        PricesObserved(
            event_id="bar-2025-10-01",
            event_time=_NOON,
            kind="bar",
            instruments=(_SHARE, "601318.SH"),
            price=(1443.99, None),
            open=(1440.0, None),
            high=(1450.0, None),
            low=(1438.5, None),
            volume=(2_640_000.0, None),
            session_close=True,
        ),
        RatesObserved(event_id="r-1", event_time=_NOON, name="USD/CNY", rate=7.12),
        CorporateActionAnnounced(
            event_id="ca-1",
            event_time=_NOON,
            instrument=_SHARE,
            kind="dividend",
            effective_at=_NOON + 24 * _HOUR,
            amount=Decimal("27.62"),
        ),
        RiskModelPublished(
            event_id="rm-1",
            event_time=_NOON,
            name="one-factor",
            instruments=(_SHARE, "601318.SH"),
            factors=("market",),
            loadings=(1.1, 1.4),
            specific=(0.0001, 0.00012),
            factor_covariance=(0.0001,),
        ),
        RegimeDeclared(event_id="g-1", event_time=_NOON, regime="calm", probability=0.9),
    )


def _portfolios() -> tuple[Event, ...]:
    mandate = Mandate(position_max=0.15, cash_floor=0.02, turnover_max=0.3)
    return (
        PortfolioOpened(
            event_id="p-1",
            event_time=_NOON,
            portfolio="balanced",
            currency="CNY",
            cash=Decimal(1_000_000),
            mandate=mandate,
            schedule=Schedule(kind="session_close"),
        ),
        MandateChanged(event_id="p-2", event_time=_NOON, portfolio="balanced", mandate=mandate),
        CashMoved(
            event_id="p-3",
            event_time=_NOON,
            portfolio="balanced",
            amount=Decimal(-25_000),
            currency="CNY",
            kind="withdrawal",
        ),
        PositionsReported(
            event_id="p-4",
            event_time=_NOON,
            portfolio="balanced",
            as_of=_NOON - _HOUR,
            positions=(PositionReport(instrument=_SHARE, quantity=Decimal(100)),),
            cash=Decimal("855601.00"),
        ),
        PortfolioClosed(event_id="p-5", event_time=_NOON, portfolio="balanced", reason="merged"),
    )


def _orders() -> tuple[Event, ...]:
    order: dict[str, Any] = {
        "portfolio": "balanced",
        "instrument": _SHARE,
        "trade_id": "balanced:1:600519.SH",
    }
    return (
        OrderAccepted(event_id="o-1", event_time=_NOON, **order),
        OrderPartlyFilled(
            event_id="o-2",
            event_time=_NOON,
            quantity=Decimal(40),
            price=Decimal("1443.99"),
            fee=Decimal("14.44"),
            **order,
        ),
        OrderFilled(
            event_id="o-3",
            event_time=_NOON,
            quantity=Decimal(60),
            price=Decimal("1444.10"),
            fee=Decimal("21.66"),
            **order,
        ),
        OrderCancelled(event_id="o-4", event_time=_NOON, reason="end of session", **order),
        OrderRejected(event_id="o-5", event_time=_NOON, reason="market closed", **order),
    )


def _constraints() -> tuple[Event, ...]:
    return (
        SizeCapped(
            event_id="c-1",
            event_time=_NOON,
            portfolio="balanced",
            instrument=_SHARE,
            quantity_max=Decimal(500),
            until=_NOON + 24 * _HOUR,
        ),
        RiskLimitChanged(event_id="c-2", event_time=_NOON, limit="gross_max", bound=0.9),
        RiskBudgetChanged(event_id="c-3", event_time=_NOON, strategy="weekly", share=0.25),
        ConflictRuled(
            event_id="c-4", event_time=_NOON, instrument=_SHARE, kept="momentum", dropped="value"
        ),
        PolicyVetoed(
            event_id="c-5",
            event_time=_NOON,
            portfolio="balanced",
            decision_id="balanced:1",
            reason="restricted list",
        ),
    )


def _control() -> tuple[Event, ...]:
    return (
        SourceRegistered(
            event_id="k-1",
            event_time=_NOON,
            source="momentum",
            kind="model",
            strategies=("weekly",),
        ),
        StrategyRegistered(event_id="k-2", event_time=_NOON, source="momentum", strategy="weekly"),
        StrategyMuted(event_id="k-3", event_time=_NOON, source="value", reason="stale inputs"),
        ParametersChanged(
            event_id="k-4", event_time=_NOON, parameters=Parameters(), reason="first set"
        ),
        CoordinationPaused(event_id="k-5", event_time=_NOON, portfolio="balanced"),
        CoordinationResumed(event_id="k-6", event_time=_NOON, portfolio="balanced"),
    )


def _journal() -> tuple[Event, ...]:
    return (
        ClockTicked(event_id="tick-1", event_time=_NOON),
        EngineStarted(
            event_id="start-1",
            event_time=_NOON,
            build="1f6c8a",
            dependencies="90be27",
            fingerprint="c41d55",
            shards=8,
        ),
        EngineSealed(event_id="seal-1", event_time=_NOON, reason="upgrade"),
        RoundsPaced(event_id="pace-1", event_time=_NOON, round_spacing_ms=200),
        SignalsShed(event_id="shed-1", event_time=_NOON, source="momentum", signal_ids=("s-9",)),
    )


def _outcomes() -> tuple[Event, ...]:
    return (
        OutcomeAttributed(
            event_id="a-1",
            event_time=_NOON,
            source="momentum",
            signal_id="s-1",
            realised_return=0.012,
            known_at=_NOON + 120 * _HOUR,
        ),
    )


EXAMPLES: MappingProxyType[str, Event] = MappingProxyType(
    {
        type(example).__name__: example
        for topic in (
            _signals(),
            _market(),
            _portfolios(),
            _orders(),
            _constraints(),
            _outcomes(),
            _control(),
            _journal(),
            output_examples(_NOON),
        )
        for example in topic
    }
)
"""One instance of every event by name."""
