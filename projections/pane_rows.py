"""Rows of panes: sums over rows are sums over time, as each thing counts in one row.

Place in the flow: part of `rows`, as are the rules there.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from projections.as_of import AsOf

__all__ = ["HeardPaneRow", "PortfolioPaneRow", "SourcePaneRow"]


@dataclass(frozen=True, slots=True)
class PortfolioPaneRow:
    """What happened to a portfolio in a pane of time. pnl: gain less that of the pane before."""

    view: ClassVar[str] = "portfolio_panes"
    key: ClassVar[tuple[str, ...]] = ("portfolio", "begins_at")

    as_of: AsOf
    portfolio: str
    begins_at: int
    ends_at: int
    nav_before: Decimal
    nav: Decimal
    pnl: Decimal
    gain: Decimal
    gross: float
    gross_max: float
    net: float
    net_min: float
    net_max: float
    rounds: int
    decisions: int
    signals_used: int
    signals_new: int
    signals_dropped: int
    conflicts: int
    fills: int
    fills_late: int
    traded: Decimal
    fees: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True)
class HeardPaneRow:
    """What a portfolio's rounds made of one source's signals in a pane, where they used any."""

    view: ClassVar[str] = "heard_panes"
    key: ClassVar[tuple[str, ...]] = ("portfolio", "source", "begins_at")

    as_of: AsOf
    portfolio: str
    source: str
    begins_at: int
    used: int
    contested: int
    conflicts: int


@dataclass(frozen=True, slots=True)
class SourcePaneRow:
    """What became of a source's signals in a pane of their own time; reasons are in verdicts."""

    view: ClassVar[str] = "source_panes"
    key: ClassVar[tuple[str, ...]] = ("source", "begins_at")

    as_of: AsOf
    source: str
    begins_at: int
    ends_at: int
    accepted: int
    rejected: int
    """Signals that do not count."""
    withdrawals_refused: int
    late: int
