"""Balance: what pulled on each trade of a decision, and that all of it adds up to nothing.

Place in the flow: asked by `lines` with the allocator's answer. At the optimum before whole lots
the forces on an instrument cancel: that is the decision's explanation, in one unit. Reads, changes
nothing, and says nothing where the allocator told no forces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordinator.core.assemble import is_sound
from coordinator.core.ports import Allocation, AllocationProblem, Floats

__all__ = ["PULL_MIN", "SHARE_MIN", "Balance", "balances"]

PULL_MIN = 1e-6
"""A weaker force is not told: gain of a hundredth of a basis point for all of NAV bought."""
SHARE_MIN = 1e-3
"""Nor is one weaker than so much of the strongest force on the same instrument."""
IDLE = 1e-9
"""A smaller weight is none."""
Flags = NDArray[np.bool_]


class Balance(NamedTuple):
    """Of one instrument: the forces that are told, the strongest first, and the sum of all."""

    forces: tuple[tuple[str, float], ...] = ()
    residual: float | None = None


UNKNOWN = Balance()


def balances(problem: AllocationProblem, answer: Allocation, *, spoken: Floats) -> list[Balance]:
    """(n,) one of each instrument, unknown of those that nobody holds, wants, trades or speaks of.

    spoken: (n,) not 0 where somebody speaks of it. All are unknown where a force is no number: the
    decision does not fail for want of its explanation.
    """
    n = len(problem.instruments)
    names = [one.name for one in answer.forces]
    pulls = np.array([one.pulls for one in answer.forces]) + 0.0
    if not names or not is_sound(pulls):
        return [UNKNOWN] * n
    size = np.abs(pulls).T
    told = size >= np.maximum(SHARE_MIN * size.max(axis=1), PULL_MIN)[:, None]
    told &= _is_cared_for(problem, answer, spoken)[:, None]
    # Of equally strong ones the first, so that the order is the same everywhere.
    order = np.argsort(-size, axis=1, kind="stable")
    chosen = np.take_along_axis(told, order, axis=1)
    strong = np.take_along_axis(pulls.T, order, axis=1)[chosen].tolist()
    forces = tuple(zip(map(names.__getitem__, order[chosen].tolist()), strong, strict=True))
    ends = np.cumsum(chosen.sum(axis=1)).tolist()
    residuals = (pulls.sum(axis=0) + 0.0).tolist()
    begins = (0, *ends)
    return [
        Balance(forces[begin:end], residual) if begin < end else UNKNOWN
        for begin, end, residual in zip(begins, ends, residuals, strict=False)
    ]


def _is_cared_for(problem: AllocationProblem, answer: Allocation, spoken: Floats) -> Flags:
    """(n,) whether it is held, wanted, traded or spoken of."""
    start = problem.start
    held = np.maximum(np.abs(start), np.abs(start + answer.continuous))
    cared: Flags = (np.maximum(held, np.abs(answer.trades)) > IDLE) | (spoken != 0.0)
    return cared
