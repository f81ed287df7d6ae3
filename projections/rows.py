"""The rows that the views are made of: plain columns, each stamped with what it was made from.

Place in the flow: named by `apply`, stored by sinks and folded into frames. A row is one line of
the view named by `view`, identified in it by the columns of `key`; it must never hold what its
entry does not say. Times are nanoseconds UTC, weights and returns fractions, money and quantities
exact decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, TypeAlias

from projections.as_of import AsOf
from projections.book_rows import HoldingChangeRow, HoldingRow, PortfolioViewRow
from projections.pane_rows import HeardPaneRow, PortfolioPaneRow, SourcePaneRow

__all__ = [
    "VIEWS",
    "AsOf",
    "ConflictRow",
    "DecisionRow",
    "FillRow",
    "HeardPaneRow",
    "HoldingChangeRow",
    "HoldingRow",
    "IncidentRow",
    "PortfolioPaneRow",
    "PortfolioRow",
    "PortfolioViewRow",
    "QualityRow",
    "RoundRow",
    "Row",
    "SignalRow",
    "SignalUseRow",
    "SignalVerdictRow",
    "SourcePaneRow",
    "TradeEndRow",
    "TradeRow",
    "WithdrawalRow",
]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One allocation. Weights, returns, turnover and cost are fractions of NAV; money is exact."""

    view: ClassVar[str] = "decisions"
    key: ClassVar[tuple[str, ...]] = ("decision_id",)

    as_of: AsOf
    position: int
    """Of the journal record that caused it."""
    decision_id: str
    portfolio: str
    round: int
    decided_at: int
    mode: str
    nav: Decimal
    horizon_sessions: float
    valid_sessions: int
    valid_until: int | None
    priority: float
    rung: str
    solver: str
    status: str
    turnover: float
    cost: float
    expected_return: float
    volatility: float
    gross: float
    net: float
    cash: float
    positions: int
    signals: int
    trades: int
    objective: float
    violation: float


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One decided trade. quantity: buy positive, in units; price: what the decision saw."""

    view: ClassVar[str] = "trades"
    key: ClassVar[tuple[str, ...]] = ("trade_id",)

    as_of: AsOf
    trade_id: str
    decision_id: str
    portfolio: str
    instrument: str
    decided_at: int
    quantity: Decimal
    price: float
    weight: float
    cost: float
    urgency: float


@dataclass(frozen=True, slots=True)
class SignalUseRow:
    """What one signal did in one decision."""

    view: ClassVar[str] = "signal_uses"
    key: ClassVar[tuple[str, ...]] = ("decision_id", "signal")

    as_of: AsOf
    decision_id: str
    portfolio: str
    signal: str
    """"source/signal_id"."""
    strategy: str
    instrument: str
    decided_at: int
    verdict: str
    score: float
    skill: float
    expected_return: float
    """Return it alone would imply for its instrument."""
    own: float
    utility: float


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """One conflict of a decision; ordinal is its place among them, 0 the most severe."""

    view: ClassVar[str] = "conflicts"
    key: ClassVar[tuple[str, ...]] = ("decision_id", "ordinal")

    as_of: AsOf
    decision_id: str
    ordinal: int
    portfolio: str
    decided_at: int
    kind: str
    instruments: tuple[str, ...]
    signals: tuple[str, ...]
    severity: float
    resolution: str


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round's books."""

    view: ClassVar[str] = "rounds"
    key: ClassVar[tuple[str, ...]] = ("decision_id",)

    as_of: AsOf
    decision_id: str
    portfolio: str
    round: int
    decided_at: int
    opened_at: int
    trigger: str
    outcome: str
    signals_used: tuple[str, ...]
    signals_new: int
    signals_dropped: tuple[str, ...]
    conflicts: int


@dataclass(frozen=True, slots=True)
class QualityRow:
    """How good a decision was, 0 to 1; parts by name, sorted, values in the same order."""

    view: ClassVar[str] = "quality"
    key: ClassVar[tuple[str, ...]] = ("decision_id", "decided_at")

    as_of: AsOf
    decision_id: str
    portfolio: str
    decided_at: int
    score: float
    parts: tuple[str, ...]
    part_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SignalVerdictRow:
    """The verdict of record on a signal not simply used, said by its source's home shard."""

    view: ClassVar[str] = "signal_verdicts"
    key: ClassVar[tuple[str, ...]] = ("source", "signal_id", "verdict", "reason", "at")

    as_of: AsOf
    position: int
    """Of the journal record that caused it."""
    source: str
    signal_id: str
    instrument: str | None
    verdict: str
    """rejected or expired."""
    reason: str
    """Of a rejection: from its closed list; of an end: time, superseded or withdrawn."""
    detail: str
    at: int


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """Something that did not go as its sender meant it: an input without effect, a quarantine."""

    view: ClassVar[str] = "incidents"
    key: ClassVar[tuple[str, ...]] = ("as_of",)

    as_of: AsOf
    position: int
    """Of the journal record that caused it."""
    kind: str
    """input_rejected, quarantined, clock_jumped, reconciliation or alert."""
    event: str | None
    event_id: str | None
    portfolio: str | None
    detail: str
    at: int


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One signal as it was issued; each shard's journal holds a copy and gives this row.

    form: which of the forms it has; stated: the number in it, None for a direction, of quintiles
    the mean score they expect. against: what its instrument is judged against, such as
    "BIRCH=0.5;CEDAR=0.5"; None for cash.
    """

    view: ClassVar[str] = "signals"
    key: ClassVar[tuple[str, ...]] = ("source", "signal_id")

    as_of: AsOf
    source: str
    signal_id: str
    strategy: str
    instrument: str
    event_time: int
    direction: int | None
    strength: float | None
    expected_return: float | None
    confidence: float | None
    horizon_sessions: float | None
    expires_at: int | None
    form: str = "direction"
    stated: float | None = None
    against: str | None = None


@dataclass(frozen=True, slots=True)
class WithdrawalRow:
    """A source took a signal back."""

    view: ClassVar[str] = "withdrawals"
    key: ClassVar[tuple[str, ...]] = ("source", "signal_id")

    as_of: AsOf
    source: str
    signal_id: str
    event_time: int


@dataclass(frozen=True, slots=True)
class FillRow:
    """One execution. quantity: bought positive; fee: money paid beside the price."""

    view: ClassVar[str] = "fills"
    key: ClassVar[tuple[str, ...]] = ("portfolio", "event_id")

    as_of: AsOf
    event_id: str
    portfolio: str
    instrument: str
    trade_id: str | None
    event_time: int
    quantity: Decimal
    price: Decimal
    fee: Decimal
    complete: bool
    """The trade is done with it."""


@dataclass(frozen=True, slots=True)
class TradeEndRow:
    """A decided trade that will not be filled, or not further."""

    view: ClassVar[str] = "trade_ends"
    key: ClassVar[tuple[str, ...]] = ("trade_id", "outcome")

    as_of: AsOf
    trade_id: str
    portfolio: str
    outcome: str
    """cancelled, rejected or expired."""
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class PortfolioRow:
    """A portfolio as it was opened."""

    view: ClassVar[str] = "portfolios"
    key: ClassVar[tuple[str, ...]] = ("portfolio",)

    as_of: AsOf
    portfolio: str
    opened_at: int
    currency: str
    cash: Decimal
    mode: str


Row: TypeAlias = (
    DecisionRow
    | TradeRow
    | SignalUseRow
    | ConflictRow
    | RoundRow
    | QualityRow
    | SignalVerdictRow
    | IncidentRow
    | PortfolioViewRow
    | HoldingRow
    | HoldingChangeRow
    | PortfolioPaneRow
    | HeardPaneRow
    | SourcePaneRow
    | SignalRow
    | WithdrawalRow
    | FillRow
    | TradeEndRow
    | PortfolioRow
)

VIEWS: tuple[type[Row], ...] = (
    DecisionRow, TradeRow, SignalUseRow, ConflictRow, RoundRow, QualityRow, SignalVerdictRow,
    IncidentRow, PortfolioViewRow, HoldingRow, HoldingChangeRow, PortfolioPaneRow, HeardPaneRow,
    SourcePaneRow, SignalRow, WithdrawalRow, FillRow, TradeEndRow, PortfolioRow,
)  # fmt: skip
"""Every kind of row; each names its view and the columns that identify a row in it."""
