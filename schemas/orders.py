"""Topic `orders`: what became of the trades we decided. Keyed by portfolio; feedback."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from schemas.base import (
    Currency,
    InputEvent,
    Money,
    Name,
    Origin,
    Quantity,
    Reference,
    Text,
    Timestamp,
    UnitPrice,
)

__all__ = [
    "OrderAccepted",
    "OrderCancelled",
    "OrderFilled",
    "OrderPartlyFilled",
    "OrderRejected",
]


class OrderEvent(InputEvent):
    """One step in an order's life."""

    topic: ClassVar[str] = "orders"
    origin: ClassVar[Origin] = Origin.FEEDBACK

    portfolio: Name
    """Whose order it is."""
    instrument: Name
    """What it trades."""
    trade_id: Reference | None = None
    """Id of the decided trade it serves; absent: a manual order."""


class OrderAccepted(OrderEvent):
    """The order is at the market."""


class Fill(OrderEvent):
    """An execution: this event's own quantity, not the sum so far."""

    quantity: Quantity
    """Bought positive, sold negative."""
    price: UnitPrice
    """Money per unit, above 0."""
    fee: Money = Decimal(0)
    """Money paid beside the price, taxes included; negative: a rebate."""
    currency: Currency | None = None
    """Of price and fee; absent: the instrument's own, and no other is taken."""
    settles_at: Timestamp | None = None
    """When money and units change hands; absent: at once."""


class OrderPartlyFilled(Fill):
    """Part of the order was executed; more may come."""


class OrderFilled(Fill):
    """The rest of the order was executed: the trade is done."""


class OrderCancelled(OrderEvent):
    """The rest of the order will not be executed."""

    reason: Text = ""
    """Why, for people."""


class OrderRejected(OrderEvent):
    """The order was refused: nothing of it will be executed."""

    reason: Text = ""
    """Why, for people."""
