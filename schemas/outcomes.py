"""Topic `outcomes`: what came of signals and decisions. Keyed by decision or source."""

from __future__ import annotations

from typing import ClassVar

from schemas.base import Finite, InputEvent, Name, Origin, Reference, Timestamp

__all__ = ["OutcomeAttributed"]


class OutcomeAttributed(InputEvent):
    """Performance Attribution: the return a signal or a decision is credited with.

    What the market made of a signal is the same whoever decided, so a backtest plays it.
    """

    topic: ClassVar[str] = "outcomes"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    source: Name | None = None
    """Who is credited, where it is a source."""
    signal_id: Name | None = None
    """`event_id` of the source's signal, where it is about one."""
    decision_id: Reference | None = None
    """"portfolio:round", where it is about a decision."""
    realised_return: Finite
    """Of a signal: the return of what it is about over its horizon, less what the market explains
    (beta times the market's return), a fraction: what was found is held in the same unit."""
    known_at: Timestamp
    """An outcome counts from here on."""
