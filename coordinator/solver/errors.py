"""The solver's errors.

    ProblemError    the caller handed over something that is no allocation problem

Place in the flow: raised by `validate` before anything is solved. A problem that is merely hard or
infeasible never raises: it gets an answer from a lower rung of the ladder.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

__all__ = ["ProblemError"]


class ProblemError(ValueError):
    """An allocation problem breaks its contract (a caller's bug); the message names the field."""

    def __init__(self, field: str, fault: str, *, remedy: str) -> None:
        """Name the field of AllocationProblem, what is wrong with it and what to do."""
        super().__init__(f"allocation problem: {field} {fault}; {remedy}")
        self.field, self.fault, self.remedy = field, fault, remedy

    def __reduce__(self) -> tuple[Callable[[], ProblemError], tuple[()]]:
        """So that it comes back from another process as it was."""
        return partial(ProblemError, self.field, self.fault, remedy=self.remedy), ()
