"""The fast way of most decisions: the problem in segments, solved for some of its names at a time.

Place in the flow: `solve` asks here when the solver is PIQP. A volatility limit and the house
book's bound are not in it: where the answer keeps them anyway, it is the answer with them; where
not, the answer says so.

Of many names few end between their ends: the others are sold whole, bought up to a limit, or let
be. What a solve costs rises with the square of the names in it, and more. So some are solved for,
all others resting where they are; at that answer's prices whoever would still be worth a trade
joins, and whoever came to rest leaves, as long as each round is worth more than the one before.
Where nobody joins, and the certificate of the whole says that nobody need, that is the answer.
Where it does not, or the rounds together took as long as the whole does, all are solved for at
once. Source: sifting, Bixby, Gregory, Lustig, Marsten and Shanno 1992, "Very large-scale linear
programming", here with a quadratic term.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, one_sided_slopes
from coordinator.solver.curved import has_curved_cost, solve_curved
from coordinator.solver.factor_qp import suits_factors
from coordinator.solver.polish import polish
from coordinator.solver.resting import is_balanced, snapped
from coordinator.solver.room import Room
from coordinator.solver.segment_qp import solve_parts
from coordinator.solver.segments import Segments, cut, room_left, with_sizes
from coordinator.solver.settings import SolverSettings
from coordinator.solver.sizes import likely_sizes
from coordinator.solver.solution import EXCESS_MAX, Solution, judged
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
_WORTH = 1e-9
"""A gain per unit of trade that is none: with everything traded, a thousandth of the gap."""
_RESTS = 1e-8
"""A trade so close to an end or a kink rests there."""
_GAINED = 1e-12
"""Worth that a round has to add for whoever rests to leave."""
_GAP_SHARE = 1e-2
"""Of the largest gap: whoever is left out may be worth more than that, then all are solved for."""


def optimise_segments(problem: AllocationProblem, room: Room, settings: SolverSettings) -> Solution:
    """The best trades inside the room, with the certified distance to the optimum."""
    parts = with_sizes(problem, cut(problem, room))
    whole = np.ones(len(parts.name), dtype=np.bool_)
    # In factors all cost little more than some.
    within = whole if suits_factors(problem, len(whole), 3) else _promising(problem, parts)
    z, best, spent, iterations = parts.start, -np.inf, 0.0, 0
    while not within.all():
        spent += _work(within)
        if spent > _work(whole):
            break
        found = _solve_some(problem, room, parts, within, z, settings)
        iterations += found.iterations
        if found.status != "optimal" or not np.isfinite(found.gap):
            break
        z, rests, _ = snapped(problem, room, found.trades, found.prices, near=_RESTS)
        gains = _gains(problem, room, found, z)
        joined = _joining(parts, within, z, gains)
        # Where nothing was gained a price may be any of several: who leaves would only come back.
        idle = rests & (np.maximum(*gains) <= _WORTH) & (found.worth > best + _GAINED)
        if not joined.any():
            found = _finished(problem, room, parts, within, z, found, settings)
            if _holds(problem, room, found, settings):
                return replace(found, iterations=max(iterations, found.iterations))
            # What is curved was near before: at its last digits others may be worth a trade.
            z, _, _ = snapped(problem, room, found.trades, found.prices, near=_RESTS)
            joined = _joining(parts, within, z, _gains(problem, room, found, z))
            idle = np.zeros_like(rests)
            if not joined.any():
                break
        best = max(best, found.worth)
        within = joined | (within & ~np.append(idle, False)[np.minimum(parts.name, len(z))])
    found = _exact(problem, room, _solve(problem, room, parts, settings))
    return replace(found, iterations=iterations + found.iterations)


def _holds(
    problem: AllocationProblem, room: Room, found: Solution, settings: SolverSettings
) -> bool:
    """Whether an answer of some parts is that of the whole, to digits in which forces add up."""
    gap = settings.gap_max * _GAP_SHARE * max(1.0, abs(found.worth))
    if found.gap > gap or found.excess > EXCESS_MAX:
        return False
    return not has_curved_cost(problem) or is_balanced(problem, room, found)


def _finished(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    within: Flags,
    z: Floats,
    found: Solution,
    settings: SolverSettings,
) -> Solution:
    """An answer of some parts to its last digits; what is curved was only near so far."""
    if not has_curved_cost(problem):
        return _exact(problem, room, found)
    exact, done = polish(problem, room, found)
    if done:
        return exact
    return _solve_some(problem, room, parts, within, z, settings, exactly=True)


def _work(within: Flags) -> float:
    """What solving for so many parts takes: about the square of them, measured from 50 to 1,000."""
    return float(np.count_nonzero(within)) ** 2


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
    """(k,) the best of the parts left out that are worth a trade, or worth giving back."""
    n, (rises, falls) = len(z), gains
    of_trade = parts.name < n
    name = np.where(of_trade, parts.name, 0)
    # What was bought is given back by the parts that it was bought with.
    up = np.maximum(rises, np.where(z > parts.start, falls, 0.0))
    down = np.maximum(falls, np.where(z < parts.start, rises, 0.0))
    worth = np.where(parts.high > 0.0, up[name], down[name])
    return _most(np.where(of_trade & ~within & (worth > _WORTH), worth, 0.0), _EACH)


def _solve_some(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    within: Flags,
    z: Floats,
    settings: SolverSettings,
    *,
    exactly: bool = False,
) -> Solution:
    """The best lengths of some parts; names without any trade z. exactly: see `curved`."""
    some = parts.of(within)
    free = np.zeros(len(z), dtype=np.bool_)
    free[some.name[some.name < len(z)]] = True
    start = np.where(free, parts.start, z)
    return _solve(problem, room, replace(some, start=start), settings, exactly=exactly)


def _solve(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    settings: SolverSettings,
    *,
    exactly: bool = True,
) -> Solution:
    """The best lengths of the parts, all other trades as they start. exactly: see `curved`."""
    start = parts.start
    if not len(parts.name):
        return judged(
            problem,
            room,
            solver="PIQP",
            status="optimal",
            iterations=0,
            found=start,
            prices=Prices(linear=np.zeros(len(room.linear)), groups=np.zeros(len(room.groups))),
        )
    nothing = NO_SIZES if problem.sleeves is None else np.zeros(len(problem.sleeves.names))
    slopes = marginal_value(problem, start, nothing)
    if problem.sleeves is not None:
        slopes = np.concatenate([slopes, size_slopes(problem, start, nothing)])
    if has_curved_cost(problem):
        return solve_curved(problem, room, parts, slopes, settings, exactly=exactly)
    left = room_left(problem, room, start)
    return solve_parts(problem, room, parts, slopes, left, settings)
