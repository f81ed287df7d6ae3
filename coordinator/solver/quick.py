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
from coordinator.solver.factor_qp import suits_factors
from coordinator.solver.polish import polish
from coordinator.solver.resting import is_balanced
from coordinator.solver.room import Room
from coordinator.solver.segment_qp import solve_parts
from coordinator.solver.segments import Segments, cut, room_left, with_sizes
from coordinator.solver.settings import SolverSettings
from coordinator.solver.sizes import likely_sizes
from coordinator.solver.solution import Solution, judged
from coordinator.solver.worth import NO_SIZES, marginal_value, size_slopes

__all__ = ["optimise_segments"]

_WHOLE_MAX = 40
"""So few segments are solved at once."""
_WITH_SIZES_MAX = 150
"""So many names with strategies: what a name is worth then depends on sizes not known yet."""
_SLACK = 0.3
"""Of the largest gain: what is worth less than nothing by no more may be worth a trade later."""
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
    if suits_factors(problem, len(parts.name), 3):
        within = np.ones(len(parts.name), dtype=np.bool_)  # all cost little more than some
    else:
        within = _promising(problem, parts, slopes[: len(parts.start)])
    for _ in range(_ROUNDS_MAX):
        if within.all():
            break
        found = _solve(problem, room, parts.of(within), slopes, settings)
        missed = _missed(problem, room, parts, found, within)
        if not missed.any():
            return _exact(problem, room, found)
        within |= missed
    return _exact(problem, room, _solve(problem, room, parts, slopes, settings))


def _exact(problem: AllocationProblem, room: Room, found: Solution) -> Solution:
    """The answer to digits in which its forces add up, where it has not got them already."""
    # What `semismooth` finds is balanced, or it was not taken; what is curved, `curved` polished.
    exact = found.solver == "NEWTON" or has_curved_cost(problem)
    if exact or is_balanced(problem, room, found):
        return found
    return polish(problem, room, found)[0]


def _promising(problem: AllocationProblem, parts: Segments, slope: Floats) -> NDArray[np.bool_]:
    """(k,) parts to solve first: of names that hold or must trade those that may be worth it.

    Of the others the best. slope: (n,) marginal value before any trade, without sizes.
    """
    n, k = len(slope), len(parts.name)
    if k <= _WHOLE_MAX or (problem.sleeves is not None and n <= _WITH_SIZES_MAX):
        return np.ones(k, dtype=np.bool_)
    if problem.sleeves is not None:
        slope = marginal_value(problem, parts.start, likely_sizes(problem))
    of_trade = parts.name < n
    name = np.where(of_trade, parts.name, 0)
    held = (problem.filled != 0.0) | (problem.working_buys != 0.0) | (problem.working_sells != 0.0)
    must = (parts.start != 0.0)[name] | ~of_trade
    up = parts.high > 0.0
    gain = np.where(up, slope[name] - parts.cost, parts.cost - slope[name])
    slack = _SLACK * float(np.abs(gain[of_trade]).max(initial=0.0))
    within: NDArray[np.bool_] = must | (held[name] & (gain > -slack))
    others = np.flatnonzero(~within & ~held[name] & (gain > 0.0))
    best = others[np.argsort(-gain[others], kind="stable")[: max(_FIRST_MIN, n // 10)]]
    within[best] = True
    return within


def _missed(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    found: Solution,
    within: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """(k,) parts left out that an answer's prices leave worth a trade; all where it is none."""
    if found.status != "optimal" or not np.isfinite(found.gap):
        return ~within
    less, more = one_sided_slopes(problem, found.trades, found.prices, found.sizes)
    low, high = room.box
    n = len(low)
    rises, falls = (more > _WORTH) & (found.trades < high), (less > _WORTH) & (found.trades > low)
    of_trade = parts.name < n
    name = np.where(of_trade, parts.name, 0)
    worth = np.where(parts.high > 0.0, rises[name], falls[name])
    missed: NDArray[np.bool_] = worth & of_trade & ~within
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
    left = room_left(problem, room, parts.start)
    return solve_parts(problem, room, parts, slopes, left, settings)
