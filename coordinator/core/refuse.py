"""Refuse: the answer to an input, other than a signal, that changes nothing.

Place in the flow: made by `intake` and those it asks. Reads the state, changes nothing.
"""

from __future__ import annotations

from coordinator.core.state import State
from schemas.base import Event, OutputEvent
from schemas.verdicts import InputRejected, InputRejection

__all__ = ["found", "rejected_input"]


def rejected_input(
    state: State, event: Event, reason: InputRejection, detail: str = ""
) -> InputRejected:
    """The answer to an input, other than a signal, that changes nothing."""
    return InputRejected(
        decided_at=state.clock,
        event=type(event).__name__,
        event_id=getattr(event, "event_id", ""),
        portfolio=getattr(event, "portfolio", None),
        reason=reason,
        detail=detail,
    )


def found(
    state: State, event: Event, fault: tuple[InputRejection, str] | None
) -> OutputEvent | None:
    """A fault and its figures as an answer; None where there is none."""
    return None if fault is None else rejected_input(state, event, *fault)
