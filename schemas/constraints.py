"""Topic `constraints`: what neighbours impose. Keyed by portfolio or strategy.

The names and shapes are the contract; an engine that does not act on one yet says so with
InputRejected.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import Finite, InputEvent, Name, Origin, Reference, Size, Text, Timestamp

__all__ = ["ConflictRuled", "PolicyVetoed", "RiskBudgetChanged", "RiskLimitChanged", "SizeCapped"]


class ConstraintEvent(InputEvent):
    """Something a neighbour imposes on a portfolio, or with none named on all."""

    topic: ClassVar[str] = "constraints"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    portfolio: Name | None = None
    """Whom it binds; absent: all portfolios."""


class SizeCapped(ConstraintEvent):
    """Position Sizing: no more than this of an instrument."""

    instrument: Name
    """What is capped."""
    quantity_max: Size
    """Largest absolute holding, units."""
    until: Timestamp | None = None
    """The cap ends then; absent: until the next one."""


class RiskLimitChanged(ConstraintEvent):
    """Risk Coordination: a limit's new bound."""

    limit: Name
    """Name of the limit, for example gross_max."""
    bound: Finite
    """In the limit's own unit: fraction of NAV for weights, per year for volatility."""


class RiskBudgetChanged(ConstraintEvent):
    """Risk Budget: a strategy's share of risk, fraction."""

    strategy: Name
    """Whose budget it is."""
    share: Annotated[float, Field(ge=0, le=1)]
    """Fraction of the portfolio's risk, 0 to 1."""


class ConflictRuled(ConstraintEvent):
    """Conflict Resolution: which of two sources counts for an instrument."""

    instrument: Name
    """Where the two sources disagree."""
    kept: Name
    """The source that counts."""
    dropped: Name
    """The source that does not count here."""
    until: Timestamp | None = None
    """The ruling ends then; absent: until the next one."""


class PolicyVetoed(ConstraintEvent):
    """Policy Enforcement: a decision must not be carried out."""

    origin: ClassVar[Origin] = Origin.FEEDBACK

    decision_id: Reference
    """"portfolio:round" of the decision."""
    reason: Text
    """Why, for people."""
