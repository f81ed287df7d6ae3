"""What became of the trades that were decided: filled, or why not.

Place in the flow: below the run's summary; counts rows of a log and knows nothing of prices. It
must never count a trade twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from projections.rows import FillRow, TradeEndRow, TradeRow

__all__ = ["TRADE_FATES", "Trades", "Unfilled"]

TRADE_FATES = ("filled", "filled in part", "cancelled", "rejected", "expired", "open")
"""What can become of a decided trade, the best first.

filled in part: the rest not, or not yet; open: nothing yet when the log ends.
"""
_FILLED, _PART, _OPEN = "filled", "filled in part", "open"


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A portfolio whose trades were never filled. fates: what became of them, with their counts."""

    portfolio: str
    trades: int
    fates: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Trades:
    """Every decided trade with its answers, whichever row comes first."""

    portfolios: dict[str, str] = field(default_factory=dict)
    """Portfolio by trade_id."""
    instruments: set[tuple[str, str]] = field(default_factory=set)
    """decision_id and instrument of every trade."""
    filled: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    """Those with any fill at all."""
    ends: dict[str, str] = field(default_factory=dict)
    """Outcome by trade_id of those that ended otherwise; the last one said."""

    @property
    def decided(self) -> int:
        """How many trades there are."""
        return len(self.portfolios)

    def add(self, row: TradeRow | FillRow | TradeEndRow) -> None:
        """Take in a trade, a fill of one, or its end."""
        if isinstance(row, TradeRow):
            self.portfolios[row.trade_id] = row.portfolio
            self.instruments.add((row.decision_id, row.instrument))
        elif isinstance(row, TradeEndRow):
            self.ends[row.trade_id] = row.outcome
        elif row.trade_id is not None:
            self.begun.add(row.trade_id)
            if row.complete:
                self.filled.add(row.trade_id)

    def fates(self) -> tuple[tuple[str, int], ...]:
        """What became of all trades, in the order of TRADE_FATES."""
        return _ordered(Counter(map(self._fate, self.portfolios)))

    def unfilled(self) -> tuple[Unfilled, ...]:
        """Portfolios of whose trades none was filled even in part, by name."""
        counts: dict[str, Counter[str]] = {}
        for trade_id, portfolio in self.portfolios.items():
            counts.setdefault(portfolio, Counter())[self._fate(trade_id)] += 1
        return tuple(
            Unfilled(portfolio, found.total(), _ordered(found))
            for portfolio, found in sorted(counts.items())
            if not found[_FILLED] and not found[_PART]
        )

    def _fate(self, trade_id: str) -> str:
        if trade_id in self.filled:
            return _FILLED
        if trade_id in self.begun:
            return _PART
        return self.ends.get(trade_id, _OPEN)


def _ordered(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple((fate, counts[fate]) for fate in TRADE_FATES if counts[fate])
