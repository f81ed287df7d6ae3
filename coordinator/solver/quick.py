"""The fast way of most decisions: the problem in segments, solved for the names that promise most.

Place in the flow: `solve` asks here when the solver is PIQP. A volatility limit and the house
book's bound are not in it: where the answer keeps them anyway, it is the answer with them; where
not, the answer says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, one_sided_slopes
from coordinator.solver.curved import has_curved_cost, solve_curved
from coordinator.solver.model import scale_of
from coordinator.solver.polish import is_balanced, polish
from coordinator.solver.room import Room
from coordinator.solver.segment_qp import solve_parts
from coordinator.solver.segments import Segments, cut, room_left, with_sizes
from coordinator.solver.settings import SolverSettings
from coordinator.solver.sizes import best_sizes
from coordinator.solver.solution import Solution, judged
from coordinator.solver.worth import NO_SIZES, marginal_value, rates_of, size_slopes

__all__ = ["optimise_segments"]

_WHOLE_MAX = 40
"""So few segments are solved at once."""
_WITH_SIZES_MAX = 150
"""So many names with strategies: what a name is worth then depends on sizes not known yet."""
_FIRST_MIN = 24
"""Names that join those that hold in the first round, where so many promise anything."""
_ROUNDS_MAX = 4
"""Then all join."""
_WORTH = 1e-9
"""A gain per unit of trade that is none: with everything traded, a thousandth of the gap."""


def optimise_segments(problem: AllocationProblem, room: Room, settings: SolverSettings) -> Solution:
    """The best trades inside the room, with the certified distance to the optimum.

    Of many names few trade: those that promise most are solved first, the others stay at z0, and
    whoever of them would still be worth a trade at that answer's prices joins. What is left out
    at the end is worth none, so the answer is that of the whole.
    """
    parts = with_sizes(problem, cut(problem, room))
    nothing = NO_SIZES if problem.sleeves is None else np.zeros(len(problem.sleeves.names))
    slopes = np.concatenate(
        [
            marginal_value(problem, parts.start, nothing),
            size_slopes(problem, parts.start, nothing),
        ]
    )
    worth = slopes[: len(parts.start)]
    if problem.sleeves is not None:
        worth = marginal_value(problem, parts.start, best_sizes(problem, parts.start))
    within = _promising(problem, room, parts, worth)
    for _ in range(_ROUNDS_MAX):
        if within.all():
            break
        found = _solve(problem, room, parts.of(within), slopes, settings)
        missed = _missed(problem, room, found, within)
        if not missed.any():
            return found
        within |= missed
    return _solve(problem, room, parts, slopes, settings)


def _promising(
    problem: AllocationProblem, room: Room, parts: Segments, slope: Floats
) -> NDArray[np.bool_]:
    """(n,) names to solve first: all that hold or must trade, and the best of the others."""
    n = len(slope)
    if len(parts.name) <= _WHOLE_MAX or (problem.sleeves is not None and n <= _WITH_SIZES_MAX):
        return np.ones(n, dtype=np.bool_)
    working = (problem.working_buys != 0.0) | (problem.working_sells != 0.0)
    within: NDArray[np.bool_] = (problem.filled != 0.0) | working | (parts.start != 0.0)
    low, high = room.box
    rates = rates_of(problem)
    gain = np.maximum(
        np.where(high > 0.0, slope - rates.buy, 0.0),
        np.where(low < 0.0, -slope - rates.sell, 0.0),
    )
    gain[within] = 0.0
    best = np.argsort(-gain, kind="stable")[: max(_FIRST_MIN, n // 10)]
    within[best[gain[best] > 0.0]] = True
    return within


def _missed(
    problem: AllocationProblem, room: Room, found: Solution, within: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(n,) names left out that an answer's prices leave worth a trade; all where it is none."""
    if found.status != "optimal" or not np.isfinite(found.gap):
        return ~within
    less, more = one_sided_slopes(problem, found.trades, found.prices, found.sizes)
    low, high = room.box
    worth = ((more > _WORTH) & (found.trades < high)) | ((less > _WORTH) & (found.trades > low))
    missed: NDArray[np.bool_] = worth & ~within
    return missed


def _solve(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    slopes: Floats,
    settings: SolverSettings,
) -> Solution:
    """The best lengths of the parts, all other trades as they start.

    slopes: (n + s,) at z0 and no sizes.
    """
    if not len(parts.name):
        return judged(
            problem,
            room,
            solver="PIQP",
            status="optimal",
            iterations=0,
            found=parts.start,
            prices=Prices(),
        )
    if has_curved_cost(problem):
        return solve_curved(problem, room, parts, slopes, settings)
    scale = scale_of(problem)
    left = room_left(problem, room, parts.start)
    found = solve_parts(problem, room, parts, slopes, left, scale, settings)
    if problem.sleeves is None or is_balanced(problem, room, found):
        return found
    return polish(problem, room, found)[0]
