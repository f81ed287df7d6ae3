"""The house book's bound: the last of all soft limits, kept where it can be.

Place in the flow: `ladder` hands over the best trades without it. Most keep it; where they do not,
the model with it is solved, and where nothing keeps it the least house book that there is takes its
place. It must never make another limit give way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.ports import AllocationProblem
from coordinator.solver.by_model import least_house, optimise_model
from coordinator.solver.room import Room
from coordinator.solver.settings import SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import EXCESS_MAX, Solution, house_used
from coordinator.solver.tiers import GAVE_MIN

__all__ = ["HouseKept", "keep_house"]

_EASE = 1e-7
"""Added to the least house book, so that the solve has an inside. Source: MATH, stage B."""


@dataclass(frozen=True, slots=True)
class HouseKept:
    """The answer under the bound, its room, and what was hard. gave_way: in fractions of NAV."""

    found: Solution | None
    room: Room
    gave_way: float
    remarks: tuple[str, ...]


def keep_house(
    problem: AllocationProblem,
    room: Room,
    free: Solution,
    certified: Callable[[Solution], bool],
    shelf: ModelShelf,
    settings: SolverSettings,
) -> HouseKept | None:
    """The best trades under the house book's bound; None where `free` keeps it or there is none.

    free: the best without it, inside the same room. certified: whether an answer can be trusted.
    """
    most = np.inf if problem.sleeves is None else problem.sleeves.house_max
    if not np.isfinite(most) or house_used(problem, free.trades, free.sizes) <= most + EXCESS_MAX:
        return None
    solver = settings.second_solver
    bound = replace(room, house=most)
    found = optimise_model(problem, bound, shelf, settings, solver)
    if certified(found):
        return HouseKept(found, bound, 0.0, ())
    least = least_house(problem, room, shelf, settings, solver)
    if least is None:
        return HouseKept(None, room, 0.0, ("house_max not kept: no least house book found",))
    bound = replace(room, house=max(most, least + _EASE))
    found = optimise_model(problem, bound, shelf, settings, solver)
    gave = max(least - most, 0.0)
    if certified(found):
        return HouseKept(found, bound, gave if gave > GAVE_MIN else 0.0, ())
    return HouseKept(None, room, 0.0, (f"house_max not kept: {found.status}",))
