"""Trims whole-lot trades until the rows of the further limits hold.

Place in the flow: part of `repair`. Hard rows are brought back to what they were before trading,
soft ones to what the continuous trades left them at, where that breaks nothing more important.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import further_of
from coordinator.solver.limits import kink, volatility_slope
from coordinator.solver.repair_cash import trim_cash
from coordinator.solver.trim import trim
from coordinator.solver.violations import ROUNDING_TOLERANCE, Violations, measure

__all__ = ["soft_kept", "trim_rows", "trim_soft_rows"]

# Of the largest relief; a name that eases a row by less would be given up for nothing.
_RELIEF_MIN = 1e-3
# Names that are cut one by one where cutting all in their order does harm.
_ALONE_MAX = 200


def trim_rows(
    problem: AllocationProblem, trades: Floats, order: list[int], before: Violations
) -> Floats:
    """(n,) trades cut where a hard row is more broken than it was before.

    order: names whose trade is cut first, as in `repair`.
    """
    if not problem.limits:
        return trades
    for row in np.flatnonzero(further_of(problem).hard):
        excess = float(measure(problem, trades).further[row] - before.further[row])
        trades = _trim_row(problem, trades, order, int(row), excess)
    return trades


def soft_kept(now: Violations, allowed: Violations) -> bool:
    """Whether no soft row is more broken than allowed."""
    over = now.further > allowed.further + ROUNDING_TOLERANCE
    return not bool(over[~now.hard].any())


def trim_soft_rows(
    problem: AllocationProblem,
    trades: Floats,
    order: list[int],
    allowed: Violations,
) -> Floats:
    """(n,) trades cut where a soft row is more broken than allowed, if nothing above it suffers.

    Higher tiers come first; a cut that makes a hard limit, or a row of its tier or a higher one,
    more broken is not made: then names are cut one by one.
    """
    now = measure(problem, trades)
    if soft_kept(now, allowed):
        return trades
    tier = further_of(problem).tier
    for row in np.argsort(tier, kind="stable")[np.count_nonzero(tier == 0) :]:
        excess = float(now.further[row] - allowed.further[row])
        above = (tier > 0) & (tier <= tier[row])
        # All cuts at once are the cheapest; where they do harm, those of single names may not.
        for names in (order, *([i] for i in order[:_ALONE_MAX])):
            cut = _trim_row(problem, trades, names, int(row), excess)
            if cut is trades:
                continue
            then = measure(problem, cut)
            most = np.maximum(now.further, allowed.further) + ROUNDING_TOLERANCE
            if not then.worse_than(now) and not (then.further > most)[above].any():
                trades, now = cut, then
                excess = float(now.further[row] - allowed.further[row])
            if excess <= ROUNDING_TOLERANCE:
                break
    return trades


def _trim_row(
    problem: AllocationProblem, trades: Floats, order: list[int], row: int, excess: float
) -> Floats:
    if excess <= ROUNDING_TOLERANCE:
        return trades
    if _kind(problem, row) == "cash":
        return trim_cash(problem, trades, order, excess)
    relief = _relief(problem, trades, row)
    enough = _RELIEF_MIN * np.max(np.abs(relief), initial=0.0)
    names = [i for i in order if relief[i] > enough]
    return trim(problem, trades, names, relief, excess) if names else trades


def _kind(problem: AllocationProblem, row: int) -> str:
    """What a further row bounds."""
    counts = further_of(problem).counts
    ends = [counts.part(kind).stop for kind in counts._fields]
    return counts._fields[int(np.searchsorted(ends, row, side="right"))]


def _relief(problem: AllocationProblem, trades: Floats, row: int) -> Floats:
    """(n,) how much one unit less of each trade eases a row, of any kind but cash."""
    further, side, kind = further_of(problem), np.sign(trades), _kind(problem, row)
    if kind == "linear":
        slope = further.linear[row]
    elif kind == "gross":
        group = further.gross[row - further.counts.linear]
        slope = group * np.where(trades > kink(problem), 1.0, -1.0)
    elif kind == "volatility":
        slope = volatility_slope(problem, trades)
    else:
        slope = side / 2  # of turnover
    result: Floats = slope * side
    return result
