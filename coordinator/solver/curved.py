"""Costs that are no straight lines, in few solves: impact by its tangent parabola.

Place in the flow: `quick` asks here where trades have an impact. Each round takes impact's parabola
at the sizes of the last answer, as Newton's method does, and its tangent where impact takes cash;
the exact cost stands in the objective and in the certificate, which says when the answer is good.
It must never be believed: what is not certified in the end goes to the cone solver.
Source: Nocedal and Wright 2006, section 18.1 (sequential quadratic programming).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.polish import polish
from coordinator.solver.room import Room
from coordinator.solver.segment_qp import solve_parts
from coordinator.solver.segments import Segments, room_left
from coordinator.solver.settings import SolverSettings
from coordinator.solver.solution import EXCESS_MAX, Solution
from coordinator.solver.terms import impact_paid, power_slope, square_slope
from coordinator.solver.worth import curvature_added, rates_of, variance_weight

__all__ = ["has_curved_cost", "solve_curved"]

_SMALLEST = 1e-7
"""A trade is taken to be no smaller: below it, the curvature of its impact has no end."""
_SAME = 1e-6
"""Trades that differ by less are the same."""
_NEAR = 1e-2
"""A gap from which the last digits may be had at once."""


@dataclass(frozen=True, slots=True)
class _Bent:
    """Impact as seen from trades of given sizes, (n,) each.

    slope, curve: of the parabola slope v + curve v^2 / 2 in place of kappa v^1.5. cash: slope of
    what impact takes of cash.
    """

    slope: Floats
    curve: Floats
    cash: Floats


def has_curved_cost(problem: AllocationProblem) -> bool:
    """Whether any trade has an impact; a square one is curved where it takes cash."""
    charges = problem.charges
    return charges.impact is not None or charges.impact_square is not None


def solve_curved(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    slopes: Floats,
    settings: SolverSettings,
    *,
    exactly: bool = True,
) -> Solution:
    """The best lengths of the parts; the round with the least gap that overdraws nothing.

    slopes: (n + s,) of the smooth terms at z0 and no sizes. exactly: to the last digits; otherwise
    one parabola's answer, which says well enough who is worth a trade.
    """
    sizes = _guess(problem, parts, slopes)
    best: Solution | None = None
    last: Floats | None = None
    iterations = 0
    for _ in range(settings.impact_solves_max if exactly else 1):
        bent = _bend(problem, sizes)
        left = room_left(problem, room, parts.start)
        left[1] += _overstated(problem, parts.start, sizes, bent)
        seen = _with_impact(parts, bent)
        found = solve_parts(problem, room, seen, slopes, left, settings, bent.curve)
        iterations += found.iterations
        exact, done = found, False
        if exactly and found.gap <= _NEAR:
            exact, done = polish(problem, room, found)
        if best is None or done or _worse(best, exact):
            best = exact
        # What stays the same is the best of the parts that are in: others may be worth more.
        same = last is not None and np.abs(exact.trades - last).max(initial=0.0) <= _SAME
        if done or same or not np.isfinite(found.gap):
            break
        last = exact.trades
        sizes = np.maximum(np.abs(exact.trades), _SMALLEST)
    if best is None:
        raise ValueError("impact_solves_max is less than 1")
    return replace(best, iterations=iterations)


def _worse(one: Solution, other: Solution) -> bool:
    """Whether the first is worth less than the second: what overdraws comes last."""
    return (one.excess > EXCESS_MAX, one.gap) > (other.excess > EXCESS_MAX, other.gap)


def _guess(problem: AllocationProblem, parts: Segments, slopes: Floats) -> Floats:
    """(n,) sizes that trades would have were each the only one."""
    n = len(parts.start)
    rates, charges = rates_of(problem), problem.charges
    slope = slopes[:n]
    gain = np.maximum(np.maximum(slope - rates.buy, -slope - rates.sell), 0.0)
    kappa = np.zeros(n)
    if charges.impact is not None:
        kappa = 1.5 * charges.impact_weight * charges.impact
    curve = variance_weight(problem) * np.diag(problem.covariance)
    added = curvature_added(problem)
    curve = curve if added is None else curve + added
    with np.errstate(over="ignore"):  # what is beyond all floats is beyond all reach
        root = np.sqrt(kappa**2 + 4.0 * curve * gain)
        size = np.divide(2.0 * gain, kappa + root, out=np.zeros(n), where=kappa + root > 0.0) ** 2
    reach = np.bincount(parts.name, parts.high - parts.low, minlength=len(slopes))[:n]
    result: Floats = np.clip(np.minimum(size, reach), _SMALLEST, None)
    return np.maximum(result, np.abs(parts.start))


def _bend(problem: AllocationProblem, sizes: Floats) -> _Bent:
    """Slope and curvature of kappa v^1.5 at v = sizes are those of slope v + curve v^2 / 2."""
    kappa = problem.charges.impact
    power = np.zeros_like(sizes)
    if kappa is not None:
        power = 0.75 * problem.charges.impact_weight * kappa
    root = np.sqrt(sizes)
    cash = power_slope(problem, sizes) + square_slope(problem, sizes)
    return _Bent(slope=power * root, curve=power / root, cash=cash)


def _overstated(problem: AllocationProblem, start: Floats, sizes: Floats, bent: _Bent) -> float:
    """By how much the room of cash at z0 is larger than it seems: tangents are below impact."""
    tangent = impact_paid(problem, sizes) + bent.cash * (np.abs(start) - sizes)
    return float((impact_paid(problem, start) - tangent).sum())


def _with_impact(parts: Segments, bent: _Bent) -> Segments:
    """The parts with what impact adds to their costs and takes of cash."""
    n = len(parts.start)
    of_trade = parts.name < n
    name = np.where(of_trade, parts.name, 0)
    # A part's third use is half of what it trades, with its sign.
    side = np.where(of_trade, 2.0 * parts.uses[2], 0.0)
    uses = parts.uses.copy()
    uses[1] += side * bent.cash[name]
    bend = bent.curve[name] * parts.start[name]
    cost = parts.cost + side * bent.slope[name] + np.where(of_trade, bend, 0.0)
    return replace(parts, cost=cost, uses=uses)
