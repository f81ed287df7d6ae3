"""Rows of books: portfolios as they stand, and what became of holdings without trades.

Place in the flow: part of `rows`, as are the rules there.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from projections.as_of import AsOf

__all__ = ["HoldingChangeRow", "HoldingRow", "PortfolioViewRow"]


@dataclass(frozen=True, slots=True)
class PortfolioViewRow:
    """A portfolio as it stands; a newer one takes its place."""

    view: ClassVar[str] = "portfolio_views"
    key: ClassVar[tuple[str, ...]] = ("portfolio",)

    as_of: AsOf
    portfolio: str
    at: int
    nav: Decimal
    cash: Decimal
    gross: float
    net: float
    open_trades: int
    traded: Decimal
    fees: Decimal
    fills: int
    available: Decimal | None = None
    """Settled cash less what open purchases will cost."""
    gain: Decimal | None = None
    """NAV less what was paid in."""
    unrealised: Decimal | None = None
    concentration: float | None = None
    drawdown: float | None = None


@dataclass(frozen=True, slots=True)
class HoldingRow:
    """One position of a portfolio view. A sink drops a portfolio's rows of an older as_of."""

    view: ClassVar[str] = "holdings"
    key: ClassVar[tuple[str, ...]] = ("portfolio", "instrument")

    as_of: AsOf
    portfolio: str
    instrument: str
    at: int
    quantity: Decimal
    price: float | None
    weight: float
    cost: Decimal | None = None
    unrealised: Decimal | None = None


@dataclass(frozen=True, slots=True)
class HoldingChangeRow:
    """What a corporate action made of one portfolio's holding."""

    view: ClassVar[str] = "holding_changes"
    key: ClassVar[tuple[str, ...]] = ("action_id", "portfolio")

    as_of: AsOf
    action_id: str
    portfolio: str
    instrument: str
    kind: str
    at: int
    quantity_before: Decimal
    quantity: Decimal
    into_instrument: str | None
    into_quantity: Decimal
    cash: Decimal
    currency: str
