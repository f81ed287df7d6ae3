"""What a portfolio risks and how fast it could be sold, before or after a decision.

Place in the flow: parts of `schemas.decisions` and `schemas.books`. Weights and losses are
fractions of NAV at the decision. Formulas and sources: `coordinator.core.impact`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.base import Finite, Model, Name

__all__ = ["FactorLine", "Impact", "RiskLine", "SectorLine"]

Loss = Annotated[float, Field(ge=0)]
"""Fraction of NAV."""


class SectorLine(Model):
    """A portfolio's exposure to one sector."""

    sector: Name | None = None
    """Absent: instruments whose sector is not known."""
    long: Annotated[float, Field(ge=0)]
    """Sum of its positive weights."""
    short: Annotated[float, Field(le=0)]
    """Sum of its negative weights."""


class FactorLine(Model):
    """A portfolio's exposure to one factor."""

    factor: Name
    """As instruments are listed with; "market": the beta to the equal-weighted market."""
    exposure: Finite
    """Weights times the instruments' exposures, shorts with their sign."""


class RiskLine(Model):
    """One instrument's part in a portfolio's volatility."""

    instrument: Name
    """Which."""
    marginal: Finite
    """Change of the volatility over the horizon per unit of weight."""
    share: Finite
    """Weight times that, over the volatility; of all instruments these add up to 1."""


class Impact(Model):
    """A portfolio's losses, exposure, liquidity and diversification.

    Value at risk and shortfall are those of a normal distribution without drift, in one session.
    """

    volatility_year: Loss
    """Per year of 252 sessions."""
    var_95: Loss
    """Value at risk: the loss that is not exceeded in 95 % of sessions."""
    shortfall_95: Loss
    """Expected shortfall: the mean loss of the other 5 %."""
    var_99: Loss
    """The same of 99 %."""
    shortfall_99: Loss
    """The mean loss of the other 1 %."""
    sectors: tuple[SectorLine, ...] = ()
    """Those with any exposure, sorted by sector, the unknown one last."""
    factors: tuple[FactorLine, ...] = ()
    """Sorted by factor."""
    days_to_sell: Annotated[float, Field(ge=0)] | None = None
    """Sessions to sell a position at the mandate's participation, the mean by value; of those whose
    volume is known, absent where none is."""
    days_to_sell_max: Annotated[float, Field(ge=0)] | None = None
    """Of the slowest."""
    effective_names: Annotated[float, Field(ge=0)] | None = None
    """Inverse of the Herfindahl index of the gross exposure; absent: nothing held."""
    diversification_ratio: Annotated[float, Field(ge=0)] | None = None
    """Sum of absolute weights times volatilities, over the portfolio's volatility; absent: nothing
    at risk."""
    risks: tuple[RiskLine, ...] = ()
    """Instruments held or traded, the largest absolute shares first, at most 10."""
    volume_share_max: Annotated[float, Field(ge=0)] | None = None
    """Largest trade that leads here as a share of an average session's volume, of those whose
    volume is known; absent: none."""
    impact_cost: Annotated[float, Field(ge=0)] = 0.0
    """What these trades cost by moving prices, fraction of NAV: the square-root law; of those whose
    volume is known, or stated by volume_prior."""
