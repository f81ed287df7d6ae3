"""Topic `decisions`, part four: panes. What happened in an even stretch of time, once it is over.

Keyed by shard. A pane is said only where something happened in it. `counts` are of the pane alone,
`totals` of all panes so far: a window of any length that is made of whole panes is a difference of
totals, so nothing is ever counted twice.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.base import Balance, Finite, Model, Name, OutputEvent, Timestamp
from schemas.decisions import PortfolioOutput

__all__ = [
    "PaneEdge",
    "PortfolioCounts",
    "PortfolioPaneClosed",
    "SignalCounts",
    "SourceHeard",
    "SourcePaneClosed",
]

Count = Annotated[int, Field(ge=0)]


class PaneEdge(Model):
    """A portfolio's worth and exposure at one end of a pane."""

    at: Timestamp
    """The moment."""
    nav: Balance
    """Cash and holdings, money."""
    gain: Balance
    """All that was gained since the portfolio opened."""
    gross: Annotated[float, Field(ge=0)]
    """Sum of absolute weights."""
    net: Finite
    """Sum of weights, fraction of NAV."""


class PortfolioCounts(Model):
    """What was decided, heard and traded."""

    rounds: Count = 0
    """Rounds that closed."""
    decisions: Count = 0
    """Those that decided."""
    signals_used: Count = 0
    """Signals they used, each once a round."""
    signals_new: Count = 0
    """Of these, signals that the round before did not use."""
    signals_dropped: Count = 0
    """Signals heard but without effect, each once a round."""
    conflicts: Count = 0
    """Conflicts found."""
    fills: Count = 0
    """Executions booked."""
    fills_late: Count = 0
    """Of these, such as happened, by their own time, before the pane in which they were booked."""
    traded: Balance
    """Value traded, both sides, money."""
    fees: Balance
    """Fees paid, money."""


class SourceHeard(Model):
    """What a portfolio's rounds made of one source's signals, in the pane and in all so far."""

    source: Name
    """Whose signals."""
    used: Count
    """Signals used, each once a round."""
    contested: Count
    """Of these, such as a conflict of their round names."""
    conflicts: Count
    """Conflicts that name one of its signals, of those told in ConflictsDetected."""
    used_total: Count
    """`used` of all panes so far."""
    contested_total: Count
    """`contested` of all panes so far."""
    conflicts_total: Count
    """`conflicts` of all panes so far."""


class PortfolioPaneClosed(PortfolioOutput):
    """What happened to a portfolio in a pane of the engine's clock, and what it came to."""

    begins_at: Timestamp
    """The first moment of the pane."""
    ends_at: Timestamp
    """The first moment behind it."""
    opening: PaneEdge
    """As it stood at the end of the pane said before, or as it was opened."""
    closing: PaneEdge
    """As it stood at the end of this one."""
    pnl: Balance
    """Gained from `opening` to `closing`: what prices moved while no pane was said is in the next
    one, so that panes add up to the whole gain."""
    gross_max: Annotated[float, Field(ge=0)]
    """Largest gross exposure of opening, closing and the views shown in between."""
    net_min: Finite
    """Smallest net exposure of the same."""
    net_max: Finite
    """Largest net exposure of the same."""
    counts: PortfolioCounts
    """In this pane."""
    totals: PortfolioCounts
    """In all panes so far."""
    heard: tuple[SourceHeard, ...] = ()
    """Every source whose signals its rounds have ever used, sorted."""
    unpriced: Count = 0
    """Held at the end without a price or an exchange rate: valued at nothing, so that worth, gain
    and exposure lack it."""


class SignalCounts(Model):
    """What became of signals as they came."""

    accepted: Count = 0
    """Those that count."""
    rejected: tuple[tuple[Name, Count], ...] = ()
    """Reason and number of SignalRejected, sorted by reason."""
    late: Count = 0
    """Of all these, such as came when the pane of their own time was over."""


class SourcePaneClosed(OutputEvent):
    """What became of a source's signals in a pane of their own time, said by its home shard."""

    source: Name
    """Whose signals."""
    begins_at: Timestamp
    """The first moment of the pane."""
    ends_at: Timestamp
    """The first moment behind it."""
    counts: SignalCounts
    """In this pane."""
    totals: SignalCounts
    """In all panes so far."""
