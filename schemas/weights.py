"""Weights: what a mode means, and how much each part of a priority or a score counts.

Place in the flow: part of `schemas.control`'s parameters.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.base import Model, Name

__all__ = ["ModePreset", "PriorityWeights", "QualityWeights", "VolumePart", "VolumeShare"]

Positive = Annotated[float, Field(gt=0, le=1e6)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
VolumePart = Annotated[float, Field(gt=0, le=1)]


class ModePreset(Model):
    """What a mode means: how much the objective counts each thing beside the expected return."""

    mode: Name
    """Name that portfolios refer to."""
    risk_aversion: Positive
    """gamma of the objective; larger is more cautious."""
    cost_weight: Annotated[float, Field(ge=0, le=1_000)] = 1.0
    """Times the expected costs of trading, linear ones and impact; 0: they do not count."""
    holding_weight: Annotated[float, Field(ge=0, le=1_000)] = 1.0
    """Times the expected costs of holding: borrow and carry."""
    robustness: Annotated[float, Field(ge=0, le=100)] = 0.0
    """How far each expected return may be mistaken, as a share of the instrument's volatility over
    the horizon: charged per unit of absolute weight."""
    turnover_price_bps: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Charged per unit of turnover, half the absolute weight traded, beside what trading costs."""
    diversification: Weight = 0.0
    """Times half the sum of squared weights times variances: spreads what is held."""
    tracking: Weight = 0.0
    """Times half the variance of the difference to the mandate's benchmark; cash without one."""
    wish_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Charged for the squared difference of each strategy's size to the one it wishes; counts where
    sleeves are "budgets", as do the next two."""
    house_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Half of it is charged per squared weight that belongs to no strategy."""
    house_max: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Largest absolute weight, fraction of NAV, that belongs to no strategy; it gives way before
    any other limit. Absent: none."""


class PriorityWeights(Model):
    """How much each part counts in the priority of a signal, and of a decision; not all are 0."""

    confidence: Weight = 1.0
    """How surely it leans the right way, given its score and its believed skill; 0 for a coin."""
    recency: Weight = 1.0
    """How much of it is still to come."""
    reputation: Weight = 1.0
    """How surely its source's skill at its horizon is not 0, given the outcomes known."""
    urgency: Weight = 1.0
    """How much of what is to come arrives within one session."""
    strategy: Weight = 1.0
    """The priority that its strategy, or source, is registered with."""
    capital: Weight = 1.0
    """What it alone would hold of its instrument, as a share of the largest such weight."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        _check_weights(self)
        return self


class VolumeShare(Model):
    """How much of an average session's volume one portfolio may trade."""

    portfolio: Name
    """Whose share."""
    share: VolumePart
    """Of every instrument's average volume of a session, a fraction."""


class QualityWeights(Model):
    """How much each part counts in the quality score of a decision; not all are 0.

    Those that ship were chosen on decisions of 2013 to 2015: see tests/bench/README.md.
    """

    conflict: Weight = 8.0
    """Share of what the opinions are worth at the answer that it goes along with."""
    limits: Weight = 8.0
    """How far hard limits hold, and soft ones gave no way, those of a low priority least."""
    optimality: Weight = 8.0
    """How little the answer lies below its certified bound, beside what trading is worth; 0 where
    no certificate is known."""
    payoff: Weight = 8.0
    """How probably the trades pay, by the opinion and the risk they were decided with."""
    rounding: Weight = 8.0
    """How little whole lots lose, beside what trading is worth."""
    satisfaction: Weight = 1.0
    """Share of the signals' wishes that are followed, each as large as its opinion alone is
    worth."""
    stability: Weight = 1.0
    """Share of what is traded that takes back nothing of the last trades decided."""
    timeliness: Weight = 1.0
    """How much of the opinions is still to come, halved with every ten seconds that the round
    waited beyond its window."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        _check_weights(self)
        return self


def _check_weights(weights: PriorityWeights | QualityWeights) -> None:
    if not any(getattr(weights, name) for name in type(weights).model_fields):
        message = "at least one weight must be above 0"
        raise ValueError(message)
