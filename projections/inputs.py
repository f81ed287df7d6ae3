"""Rows of what the engine was told.

Place in the flow: the journal's half of `apply`. Pure; prices give no row, since a view of them
would be the market data service's own.
"""

from __future__ import annotations

from coordinator.core.forms import form_of, stated
from projections.rows import (
    AsOf,
    FillRow,
    PortfolioRow,
    Row,
    SignalRow,
    TradeEndRow,
    WithdrawalRow,
)
from schemas.base import parse_time
from schemas.entries import JournalEntry
from schemas.orders import OrderCancelled, OrderFilled, OrderPartlyFilled, OrderRejected
from schemas.portfolios import PortfolioOpened
from schemas.signals import SignalIssued, SignalWithdrawn

__all__ = ["rows_of_input"]


def rows_of_input(entry: JournalEntry, as_of: AsOf) -> list[Row]:
    """The rows that an input gives; empty for one that no view shows."""
    event = entry.event
    if isinstance(event, SignalIssued):
        return [_signal(event, as_of)]
    if isinstance(event, OrderFilled | OrderPartlyFilled):
        return [_fill(event, as_of)]
    if isinstance(event, OrderCancelled | OrderRejected):
        return _trade_end(event, as_of)
    if isinstance(event, SignalWithdrawn):
        return [WithdrawalRow(as_of, event.source, event.signal_id, parse_time(event.event_time))]
    if isinstance(event, PortfolioOpened):
        return [_portfolio(event, as_of)]
    return []


def _signal(event: SignalIssued, as_of: AsOf) -> SignalRow:
    return SignalRow(
        as_of=as_of,
        source=event.source,
        signal_id=event.event_id,
        strategy=event.strategy,
        instrument=event.instrument,
        event_time=parse_time(event.event_time),
        direction=event.direction,
        strength=event.strength,
        expected_return=event.expected_return,
        confidence=event.confidence,
        horizon_sessions=event.horizon_sessions,
        expires_at=None if event.expires_at is None else parse_time(event.expires_at),
        form=form_of(event),
        stated=stated(event),
        against=";".join(f"{leg.instrument}={leg.weight:g}" for leg in event.against) or None,
    )


def _fill(event: OrderFilled | OrderPartlyFilled, as_of: AsOf) -> FillRow:
    return FillRow(
        as_of=as_of,
        event_id=event.event_id,
        portfolio=event.portfolio,
        instrument=event.instrument,
        trade_id=event.trade_id,
        event_time=parse_time(event.event_time),
        quantity=event.quantity,
        price=event.price,
        fee=event.fee,
        complete=isinstance(event, OrderFilled),
    )


def _trade_end(event: OrderCancelled | OrderRejected, as_of: AsOf) -> list[Row]:
    if event.trade_id is None:
        return []
    outcome = "cancelled" if isinstance(event, OrderCancelled) else "rejected"
    return [
        TradeEndRow(
            as_of=as_of,
            trade_id=event.trade_id,
            portfolio=event.portfolio,
            outcome=outcome,
            reason=event.reason,
            at=parse_time(event.event_time),
        )
    ]


def _portfolio(event: PortfolioOpened, as_of: AsOf) -> PortfolioRow:
    return PortfolioRow(
        as_of=as_of,
        portfolio=event.portfolio,
        opened_at=parse_time(event.event_time),
        currency=event.currency,
        cash=event.cash,
        mode=event.mode,
    )
