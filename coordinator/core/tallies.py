"""Tallies: what is kept of panes between two sayings, part of the engine's state.

Place in the flow: changed by `panes` alone, written down by `checkpoint`. Counts rise from the
beginning; what was said last is kept beside them, and a pane is the difference.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.panes import PaneEdge, PortfolioCounts, SignalCounts, SourceHeard

__all__ = ["Heard", "OpenPane", "PortfolioPanes", "SourcePanes"]

_NOTHING = PortfolioCounts(traded=Decimal(0), fees=Decimal(0))
_NO_SIGNALS = SignalCounts()


@dataclass(slots=True)
class Heard:
    """Of one source in one portfolio, in the open pane and in all of them."""

    used: int = 0
    contested: int = 0
    conflicts: int = 0
    used_total: int = 0
    contested_total: int = 0
    conflicts_total: int = 0

    def said(self, source: str) -> SourceHeard:
        """As an event tells it."""
        return SourceHeard(
            source=source,
            used=self.used,
            contested=self.contested,
            conflicts=self.conflicts,
            used_total=self.used_total,
            contested_total=self.contested_total,
            conflicts_total=self.conflicts_total,
        )


@dataclass(slots=True)
class PortfolioPanes:
    """A portfolio's open pane, [begins_at, ends_at), if `is_open`, and what was said before.

    edge, said: as the last pane left them, or as the portfolio was opened. rounds to fills_late:
    counted since the portfolio opened. named: the signals of each conflict of the round that closes
    now.
    """

    edge: PaneEdge
    said: PortfolioCounts = _NOTHING
    is_open: bool = False
    begins_at: int = 0
    ends_at: int = 0
    rounds: int = 0
    decisions: int = 0
    signals_used: int = 0
    signals_new: int = 0
    signals_dropped: int = 0
    conflicts: int = 0
    fills_late: int = 0
    gross_max: float = 0.0
    net_min: float = 0.0
    net_max: float = 0.0
    heard: dict[str, Heard] = field(default_factory=dict)
    named: tuple[tuple[str, ...], ...] = ()

    def peak(self, gross: float, net: float) -> None:
        """An exposure that the portfolio had in the pane."""
        self.gross_max = max(self.gross_max, gross)
        self.net_min = min(self.net_min, net)
        self.net_max = max(self.net_max, net)

    def open(self, begins_at: int, ends_at: int) -> None:
        """A new pane, which begins as the last one ended."""
        self.is_open, self.begins_at, self.ends_at = True, begins_at, ends_at
        self.gross_max, self.net_min, self.net_max = self.edge.gross, self.edge.net, self.edge.net

    def close(self, edge: PaneEdge, said: PortfolioCounts) -> None:
        """The open pane was said."""
        self.is_open, self.edge, self.said = False, edge, said
        for one in self.heard.values():
            one.used = one.contested = one.conflicts = 0


@dataclass(slots=True)
class OpenPane:
    """A source's pane that is not said yet. rejected: by reason."""

    ends_at: int
    accepted: int = 0
    late: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def said(self) -> SignalCounts:
        """As an event tells it."""
        rejected = tuple(sorted(self.rejected.items()))
        return SignalCounts(accepted=self.accepted, rejected=rejected, late=self.late)


@dataclass(slots=True)
class SourcePanes:
    """A source's open panes by their beginning, in order.

    said: the totals of those that were said, which ended at said_to.
    """

    said: SignalCounts = _NO_SIGNALS
    said_to: int = 0
    opened: dict[int, OpenPane] = field(default_factory=dict)

    def at(self, time: int) -> OpenPane | None:
        """The open pane that holds the time."""
        begins = list(self.opened)
        after = bisect_right(begins, time)
        pane = self.opened[begins[after - 1]] if after else None
        return pane if pane is not None and time < pane.ends_at else None
