"""The fast way of most decisions: the problem in segments, solved for some of its names at a time.

Place in the flow: `solve` asks here when the solver is PIQP. A volatility limit and the house
book's bound are not in it: where the answer keeps them anyway, it is the answer with them; where
not, the answer says so.

Of many names few end between their ends: the others are sold whole, bought up to a limit, or let
be. What a solve costs rises with the third power of the names in it. So some are solved for, all
others resting where they are; at that answer's prices whoever would still be worth a trade joins,
and whoever came to rest leaves. No round is worth less than the one before, and where nobody joins
the answer is that of the whole, which the certificate then says. Source: sifting, Bixby, Gregory,
Lustig, Marsten and Shanno 1992, "Very large-scale linear programming", here with a quadratic term.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
from coordinator.solver.trim import Flags
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
_AT_ONCE, _EACH = 200, 80
"""So many parts at most are solved for at first; where more promise anything, so many begin, and so
many join a round. Measured: with 120 at most 100 names take a third longer; 40 to 100 are alike."""
_ROUNDS_MAX = 40
"""Then all are solved for at once."""
_WORTH = 1e-9
"""A gain per unit of trade that is none: with everything traded, a thousandth of the gap."""
_RESTS = 1e-8
"""A trade so close to an end of its segments rests there."""


def optimise_segments(problem: AllocationProblem, room: Room, settings: SolverSettings) -> Solution:
    """The best trades inside the room, with the certified distance to the optimum."""
    parts = with_sizes(problem, cut(problem, room))
    whole = np.ones(len(parts.name), dtype=np.bool_)
    # In factors all cost little more than some.
    within = whole if suits_factors(problem, len(whole), 3) else _promising(problem, parts)
    z = parts.start
    for _ in range(_ROUNDS_MAX):
        if within.all():
            break
        found = _solve_some(problem, room, parts, within, z, settings)
        if found.status != "optimal" or not np.isfinite(found.gap):
            break
        z, rests = _settled(parts, room, found.trades)
        gains = _gains(problem, room, found, z)
        joined = _joining(parts, within, z, gains)
        if not joined.any():
            return _exact(problem, room, found)
        done = rests & (np.maximum(*gains) <= _WORTH)
        within = joined | (within & ~np.append(done, False)[np.minimum(parts.name, len(z))])
    return _exact(problem, room, _solve(problem, room, parts, settings))


def _exact(problem: AllocationProblem, room: Room, found: Solution) -> Solution:
    """The answer to digits in which its forces add up, where it has not got them already."""
    # What `semismooth` finds is balanced, or it was not taken; what is curved, `curved` polished.
    exact = found.solver == "NEWTON" or has_curved_cost(problem)
    if exact or is_balanced(problem, room, found):
        return found
    return polish(problem, room, found)[0]


def _promising(problem: AllocationProblem, parts: Segments) -> Flags:
    """(k,) parts to solve for first: of names that hold or must trade those that may be worth it.

    Of the others the best.
    """
    n, k = len(parts.start), len(parts.name)
    if k <= _WHOLE_MAX or (problem.sleeves is not None and n <= _WITH_SIZES_MAX):
        return np.ones(k, dtype=np.bool_)
    slope = marginal_value(problem, parts.start, likely_sizes(problem))
    of_trade = parts.name < n
    name = np.where(of_trade, parts.name, 0)
    held = (problem.filled != 0.0) | (problem.working_buys != 0.0) | (problem.working_sells != 0.0)
    must = (parts.start != 0.0)[name] | ~of_trade
    apart = np.where(of_trade, slope[name] - parts.cost, 0.0)
    gain = np.where(parts.high > 0.0, apart, -apart)
    slack = _SLACK * float(np.abs(gain).max(initial=0.0))
    within: Flags = must | (held[name] & (gain > -slack))
    within |= _most(np.where(within | held[name], 0.0, gain), max(_FIRST_MIN, n // 10))
    if np.count_nonzero(within) <= _AT_ONCE:
        return within
    fewer: Flags = must | _most(np.where(within, gain, 0.0), _EACH)
    return fewer


def _most(gain: Floats, count: int) -> Flags:
    """(k,) whose gains are the largest, so many of those that gain anything."""
    found = np.zeros(len(gain), dtype=np.bool_)
    best = np.argsort(-gain, kind="stable")[:count]
    found[best] = gain[best] > 0.0
    return found


def _settled(parts: Segments, room: Room, trades: Floats) -> tuple[Floats, Flags]:
    """(n,) trades, those near an end of their box or their start exactly there, and which."""
    z, rests = trades.copy(), np.zeros(len(trades), dtype=np.bool_)
    for end in (parts.start, *room.box):
        near = np.abs(trades - end) <= _RESTS
        z[near] = end[near]
        rests |= near
    return z, rests


def _gains(
    problem: AllocationProblem, room: Room, found: Solution, z: Floats
) -> tuple[Floats, Floats]:
    """(n,) what one more unit bought, and sold, is worth at an answer's prices, 0 at an end.

    z: (n,) the answer's trades, settled.
    """
    less, more = one_sided_slopes(problem, z, found.prices, found.sizes)
    low, high = room.box
    return np.where(z < high, more, 0.0), np.where(z > low, less, 0.0)


def _joining(parts: Segments, within: Flags, z: Floats, gains: tuple[Floats, Floats]) -> Flags:
    """(k,) the best of the parts left out that are worth a trade, with what their names traded."""
    n, (rises, falls) = len(z), gains
    of_trade = parts.name < n
    name, up = np.where(of_trade, parts.name, 0), parts.high > 0.0
    worth = np.where(up, rises[name], falls[name])
    joined = _most(np.where(of_trade & ~within & (worth > _WORTH), worth, 0.0), _EACH)
    joins = np.zeros(n, dtype=np.bool_)
    joins[name[joined]] = True
    bought, sold = z > parts.start, z < parts.start
    traded: Flags = joins[name] & of_trade & np.where(up, bought[name], sold[name])
    return joined | traded


def _solve_some(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    within: Flags,
    z: Floats,
    settings: SolverSettings,
) -> Solution:
    """The best lengths of some parts; names without any trade z."""
    some = parts.of(within)
    free = np.zeros(len(z), dtype=np.bool_)
    free[some.name[some.name < len(z)]] = True
    start = np.where(free, parts.start, z)
    return _solve(problem, room, replace(some, start=start), settings)


def _solve(
    problem: AllocationProblem, room: Room, parts: Segments, settings: SolverSettings
) -> Solution:
    """The best lengths of the parts, all other trades as they start."""
    start = parts.start
    if not len(parts.name):
        return judged(
            problem,
            room,
            solver="PIQP",
            status="optimal",
            iterations=0,
            found=start,
            prices=Prices(),
        )
    nothing = NO_SIZES if problem.sleeves is None else np.zeros(len(problem.sleeves.names))
    slopes = marginal_value(problem, start, nothing)
    if problem.sleeves is not None:
        slopes = np.concatenate([slopes, size_slopes(problem, start, nothing)])
    if has_curved_cost(problem):
        return solve_curved(problem, room, parts, slopes, settings)
    left = room_left(problem, room, start)
    return solve_parts(problem, room, parts, slopes, left, settings)
