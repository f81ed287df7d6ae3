"""Topic `signals`: what sources think of instruments.

Keyed by source. Exogenous: a replay uses them as they were.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from schemas.base import InputEvent, Name, Origin, Price, Probability, Timestamp

__all__ = ["SignalIssued", "SignalWithdrawn"]


class SignalIssued(InputEvent):
    """A source's opinion of one instrument; `event_id` is the signal's id, unique per source.

    Exactly one form: `direction` (with optional `strength`) or `expected_return`. A later signal of
    the same source, strategy and instrument takes the place of the earlier one; direction 0 closes
    it.
    """

    topic: ClassVar[str] = "signals"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    source: Name
    """Who says it."""
    strategy: Name
    """Which of the source's strategies says it."""
    instrument: Name
    """What it is about."""
    direction: Annotated[int, Field(ge=-1, le=1)] | None = None
    """-1 sell, 0 hold (closes the view), 1 buy."""
    strength: Probability | None = None
    """0 to 1, how strong the direction is; only with a direction."""
    expected_return: Annotated[float, Field(ge=-10, le=10)] | None = None
    """Fraction over the horizon, in excess of cash."""
    confidence: Probability | None = None
    """0 to 1 as the source states it; calibrated before it is used."""
    horizon_sessions: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Trading sessions the opinion is about; default: the source's."""
    price: Price | None = None
    """What the source saw the instrument at: too far from the market, and the signal is refused."""
    expires_at: Timestamp | None = None
    """From this time on the signal counts no more; default: when its horizon is over."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.direction is None) == (self.expected_return is None):
            message = "give either direction or expected_return"
            raise ValueError(message)
        if self.strength is not None and self.direction is None:
            message = "strength goes with direction"
            raise ValueError(message)
        return self


class SignalWithdrawn(InputEvent):
    """A source takes one of its signals back before it expired."""

    topic: ClassVar[str] = "signals"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    source: Name
    """Who issued the signal."""
    signal_id: Name
    """`event_id` of the signal taken back."""
