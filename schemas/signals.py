"""Topic `signals`: what sources think of instruments.

Keyed by source. Exogenous: a replay uses them as they were.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from schemas.base import InputEvent, Model, Name, Origin, Price, Probability, Timestamp

__all__ = ["FORMS", "Leg", "SignalIssued", "SignalWithdrawn"]

FORMS = (
    "direction",
    "expected_return",
    "target_weight",
    "rank",
    "probability_up",
    "quintiles",
)
"""The fields of which a signal has exactly one: its form."""
_PAIRED = ("direction", "expected_return", "probability_up", "quintiles")
_SUM_TOLERANCE = 0.01


class Leg(Model):
    """An instrument that another one is judged against."""

    instrument: Name
    """Which."""
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    """How many units of value of it against one of the signal's own instrument."""


class SignalIssued(InputEvent):
    """A source's opinion of one instrument; `event_id` is the signal's id, unique per source.

    Exactly one form: `direction` (with optional `strength`), `expected_return`, `target_weight`,
    `rank` (with `rank_of`), `probability_up` or `quintiles`. A later signal of the same source,
    strategy and instrument takes the place of the earlier one, whatever either is judged against;
    direction 0 closes it.
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
    target_weight: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Fraction of its capital that the source would hold of it."""
    rank: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Place among `rank_of` names that the source ranks together; the largest is the best."""
    rank_of: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """How many names are ranked; only with a rank."""
    probability_up: Probability | None = None
    """0 to 1, that it does better than cash, or than what it is judged against."""
    quintiles: tuple[Probability, Probability, Probability, Probability, Probability] | None = None
    """Probabilities of each fifth of what usually happens, the worst first; they add up to 1."""
    against: Annotated[tuple[Leg, ...], Field(max_length=100)] = ()
    """What it is judged against: one leg makes a pair, several a basket; empty: cash. Not with a
    target weight or a rank."""
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
        given = [name for name in FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            message = f"give exactly one of {', '.join(FORMS)}; given: {', '.join(given) or 'none'}"
            raise ValueError(message)
        if self.strength is not None and self.direction is None:
            message = "strength goes with direction"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _sound_rank(self) -> Self:
        if (self.rank is None) != (self.rank_of is None):
            message = "rank and rank_of go together"
            raise ValueError(message)
        if self.rank is not None and self.rank_of is not None and self.rank > self.rank_of:
            message = f"rank {self.rank} of {self.rank_of}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _sound_quintiles(self) -> Self:
        if self.quintiles is not None and abs(sum(self.quintiles) - 1.0) > _SUM_TOLERANCE:
            message = f"quintiles add up to {sum(self.quintiles):g}, not 1"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _sound_legs(self) -> Self:
        names = [leg.instrument for leg in self.against]
        if not names:
            return self
        if all(getattr(self, name) is None for name in _PAIRED):
            message = f"against goes with {', '.join(_PAIRED)}"
            raise ValueError(message)
        if names != sorted(set(names)) or self.instrument in names:
            message = "legs must be sorted by instrument, each one once, none the signal's own"
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
