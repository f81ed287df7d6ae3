"""Adaptation: the stated rules by which weights of the objective and of strategies move.

Part of `Parameters` (topic `control`). Every rule has bounds, and moves in whole steps: a
multiplier follows what its rule asks for once that is a whole step away, and lies within a step of
it from then on, so that nothing moves on every tick. Where the cause is gone it is exactly 1 again.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.base import Model, Name, Probability

__all__ = [
    "Adaptation",
    "DrawdownRule",
    "QualityRule",
    "RegimeMultipliers",
    "RegimeRule",
    "VolatilityRule",
]

Multiplier = Annotated[float, Field(gt=0, le=100)]
Above = Annotated[float, Field(ge=1, le=100)]
Below = Annotated[float, Field(gt=0, le=1)]
"""A share of what is allowed anyway: it may be cut, never raised."""
BudgetMultiplier = Annotated[float, Field(ge=0, le=10)]
BudgetCut = Annotated[float, Field(ge=0, le=1)]
Step = Annotated[float, Field(ge=0.01, le=10)]


class RegimeMultipliers(Model):
    """What one regime, once it is declared, makes of the weights."""

    regime: Name
    """Its name, as the service declares it."""
    probability_min: Probability = 0.5
    """It counts when it is declared with at least this probability."""
    probability_keep: Probability | None = None
    """Once it counts, until it is declared with less than this; absent: probability_min."""
    risk_aversion: Multiplier = 1.0
    """Risk aversion is multiplied by this."""
    turnover: Below = 1.0
    """The mandate's turnover_max is multiplied by this."""
    budgets: BudgetMultiplier = 1.0
    """Budgets of all strategies are multiplied by this."""

    @model_validator(mode="after")
    def _keeps_what_counts(self) -> Self:
        if self.probability_keep is not None and self.probability_keep > self.probability_min:
            message = "probability_keep is at most probability_min"
            raise ValueError(message)
        return self


class RegimeRule(Model):
    """Multipliers by the regime that was declared last, by its own time.

    One that is not in the table, or not probable enough, has none: those of the one before end.
    """

    regimes: Annotated[tuple[RegimeMultipliers, ...], Field(min_length=1, max_length=100)]
    """Sorted by regime, each once."""
    age_sessions_max: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    """A declaration that is older counts no more."""

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        names = [one.regime for one in self.regimes]
        if names != sorted(set(names)):
            message = "regimes must be sorted by name and unique"
            raise ValueError(message)
        return self


class VolatilityRule(Model):
    """Risk aversion times (volatility of the last sessions / its long-run level) ** exponent.

    Of the equal-weighted market of everything listed: root mean squares of its session returns.
    """

    sessions: Annotated[int, Field(ge=2, le=1_000)] = 20
    """Sessions of the volatility now."""
    sessions_long: Annotated[int, Field(ge=3, le=2_000)] = 250
    """Sessions of its long-run level, these among them; as many as risk_window_sessions keeps."""
    exponent: Annotated[float, Field(gt=0, le=4)] = 1.0
    """1: in proportion; 2: with the variance."""
    least: Below = 1.0
    """Risk aversion is multiplied by no less."""
    most: Above = 3.0
    """And by no more."""
    step: Step = 0.25
    """The multiplier is 1 and a whole number of these."""

    @model_validator(mode="after")
    def _long_is_longer(self) -> Self:
        if self.sessions_long <= self.sessions:
            message = "sessions_long must be more than sessions"
            raise ValueError(message)
        return self


class DrawdownRule(Model):
    """Multipliers along a line: 1 up to the drawdown `begins`, the stated ones from `full` on.

    Of the portfolio's own drawdown from its best session close, money in and out taken out.
    """

    begins: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Drawdown up to which nothing moves, a fraction."""
    full: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Drawdown from which on all of it is in force, a fraction."""
    risk_aversion: Above = 3.0
    """What risk aversion is multiplied by then."""
    turnover: Below = 1.0
    """What the mandate's turnover_max is multiplied by then."""
    budgets: BudgetCut = 0.5
    """What budgets of all strategies are multiplied by then."""
    step: Annotated[float, Field(ge=0.01, le=1)] = 0.25
    """The way from 1 to these is gone in steps of this share of it."""

    @model_validator(mode="after")
    def _ends_behind_its_begin(self) -> Self:
        if self.full <= self.begins:
            message = "full must be more than begins"
            raise ValueError(message)
        return self


class QualityRule(Model):
    """A strategy's wish and budget times 1 + (what its skill surely differs by) / skill_prior.

    Of its source's skill at the strategy's horizon. What it differs by from skill_prior counts
    only beyond `deviations` standard deviations of what is known of it.
    """

    deviations: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Standard deviations within which a skill is as good as the prior."""
    least: BudgetCut = 0.5
    """Wish and budget are multiplied by no less."""
    most: Annotated[float, Field(ge=1, le=10)] = 2.0
    """And by no more."""
    step: Step = 0.25
    """The multiplier is 1 and a whole number of these."""


class Adaptation(Model):
    """Rules that move weights with what happens; those that are absent move nothing."""

    regime: RegimeRule | None = None
    """With the regime that a service declares."""
    volatility: VolatilityRule | None = None
    """With the market's volatility."""
    drawdown: DrawdownRule | None = None
    """With the portfolio's own drawdown."""
    signal_quality: QualityRule | None = None
    """With what was learned of a strategy's source."""

    @property
    def is_off(self) -> bool:
        """Whether no rule is stated."""
        return not (self.regime or self.volatility or self.drawdown or self.signal_quality)
