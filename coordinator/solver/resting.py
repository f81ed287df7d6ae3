"""Which trades rest at a bound or a kink, and whether the others gain nothing by moving.

Place in the flow: `quick` asks whether an answer is balanced, `polish` begins from what rests. It
must never move a trade that is free.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, one_sided_slopes
from coordinator.solver.limits import kink
from coordinator.solver.room import Room
from coordinator.solver.sizes import sizes_most
from coordinator.solver.solution import Solution
from coordinator.solver.trim import Flags
from coordinator.solver.worth import has_impact, rates_of, size_slopes

__all__ = ["AT", "is_balanced", "snapped"]

AT = 1e-6
"""A trade or a size this close to its bound rests there."""
_BALANCED = 5e-7
"""A slope that a balance of forces can have and still add up."""


def is_balanced(problem: AllocationProblem, room: Room, found: Solution) -> bool:
    """Whether no trade that is free to move, and no size, would gain by it already."""
    if not np.isfinite(found.gap):
        return True
    z, rests, _ = snapped(problem, room, found.trades, found.prices)
    if has_impact(problem):
        z = found.trades  # its slope changes much near no trade, where many end
    low, high = room.box
    less, more = one_sided_slopes(problem, z, found.prices, found.sizes)
    slopes = size_slopes(problem, z, found.sizes)
    # Within AT of a bound a trade rests there, whatever it would gain by going on.
    gains = np.maximum(np.where(z < high - AT, more, 0.0), np.where(z > low + AT, less, 0.0))
    gains = np.where(rests, gains, np.abs(more))
    most = np.zeros(0) if problem.sleeves is None else sizes_most(problem.sleeves)
    rises = np.where(found.sizes < most * (1.0 - AT), slopes, 0.0)
    falls = np.where(found.sizes > most * AT, -slopes, 0.0)
    of_sizes = np.maximum(rises, falls).max(initial=0.0)
    return bool(max(gains.max(initial=0.0), of_sizes) <= _BALANCED)


def snapped(
    problem: AllocationProblem, room: Room, z: Floats, prices: Prices, *, near: float = AT
) -> tuple[Floats, Flags, Floats]:
    """(n,) trades z with those near an end exactly there, (n,) which those are, and (e, n) ends."""
    low, high = room.box
    ends = [np.zeros_like(z), low, high]
    if rates_of(problem).long is not None:
        ends.append(-problem.start)
    if prices.gross > 0.0 or len(prices.groups):
        ends.append(kink(problem))
    trades, rests = z.copy(), np.zeros(len(z), dtype=np.bool_)
    for end in ends:
        here = (np.abs(z - end) <= near) & (end >= low) & (end <= high) & ~rests
        trades[here] = end[here]
        rests |= here
    return trades, rests, np.stack(ends)
