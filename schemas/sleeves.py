"""Topic `decisions`, part five: what became of a decision in the books of single strategies.

Keyed by shard. A strategy is named "source/strategy"; weights and trades are fractions of NAV.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Balance, Finite, Model, Name, Reference
from schemas.decisions import PortfolioOutput

__all__ = ["SleeveLine", "SleevesBooked"]

Portion = Annotated[float, Field(ge=0, le=1e18)]


class SleeveLine(Model):
    """One strategy of a decision: how large it is, and what its book trades.

    gross is crossed, housed and sent together.
    """

    strategy: Reference
    """"source/strategy"."""
    size: Portion
    """Volatility of its book over a session, as decided."""
    wished: Portion
    """The size it would choose alone; 0: its views are gone, and its book is closed."""
    size_max: Portion | None = None
    """Largest size that its budgets leave it; absent: none is stated."""
    gross: Portion
    """Absolute weight that its book trades."""
    crossed: Portion
    """The part of that which other strategies take the other side of."""
    housed: Portion
    """The part of which the house does."""
    sent: Portion
    """The part that is sent to the market, in the trades of the decision."""
    credit: Portion
    """Its share of what crossing saved."""
    weight_before: Portion
    """Absolute weight of what its book held before."""
    value_before: Balance
    """What its book had gained so far, money of the portfolio's currency."""
    units: tuple[Finite, ...]
    """What its book trades of each instrument of the event: the crossed part at once."""


class SleevesBooked(PortfolioOutput):
    """How a decision was split over its strategies, what crossed inside, and what that saved."""

    decision_id: Reference
    """"portfolio:round" of the decision that is split."""
    nav: Balance
    """Value of the portfolio, money."""
    sized_by: Literal["solver", "split"]
    """Whether sizes were part of what was solved, or fitted to its answer."""
    instruments: tuple[Name, ...]
    """Those that some book trades, sorted."""
    prices: tuple[Annotated[float, Field(gt=0)], ...]
    """What each was crossed at: the price that the decision saw, in its own currency."""
    strategies: tuple[SleeveLine, ...]
    """Sorted by strategy."""
    house_weight: Portion
    """Absolute weight that belongs to no strategy, once everything has filled."""
    saved: Portion
    """Cost that was not paid as strategies crossed; the credits add up to it."""
