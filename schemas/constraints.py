"""Topic `constraints`: what neighbours impose. Keyed by portfolio or strategy.

The names and shapes are the contract; an engine that does not act on one yet says so with InputRejected.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import Finite, InputEvent, Name, Origin, Size, Text, Timestamp

__all__ = ["ConflictRuled", "PolicyVetoed", "RiskBudgetChanged", "RiskLimitChanged", "SizeCapped"]


class ConstraintEvent(InputEvent):
    """Something a neighbour imposes on a portfolio, or with none named on all."""

    topic: ClassVar[str] = "constraints"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    portfolio: Name | None = None


class SizeCapped(ConstraintEvent):
    """Position Sizing: no more than this of an instrument."""

    instrument: Name
    quantity_max: Size
    until: Timestamp | None = None


class RiskLimitChanged(ConstraintEvent):
    """Risk Coordination: a limit's new bound."""

    limit: Name
    bound: Finite


class RiskBudgetChanged(ConstraintEvent):
    """Risk Budget: a strategy's share of risk, fraction."""

    strategy: Name
    share: Annotated[float, Field(ge=0, le=1)]


class ConflictRuled(ConstraintEvent):
    """Conflict Resolution: which of two sources counts for an instrument."""

    instrument: Name
    kept: Name
    dropped: Name
    until: Timestamp | None = None


class PolicyVetoed(ConstraintEvent):
    """Policy Enforcement: a decision must not be carried out."""

    origin: ClassVar[Origin] = Origin.FEEDBACK

    decision_id: Name
    reason: Text
