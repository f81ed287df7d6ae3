"""A volatility limit that binds, without a cone: the risk aversion at which it is just kept.

Place in the flow: `solve` asks it where the answer of `segments` breaks the limit. It must never be
believed: the certificate judges its answer like any other, and the cone is there where it has none.

With a price on w' Sigma w the problem is the same one at a higher risk aversion gamma + x, so the
limited optimum is that of some x >= 0, at which the volatility is the limit: a root in one
variable. Without other limits 1 / volatility is linear in gamma + x, so a secant on it is near in
few steps, as in a trust region. Source: Conn, Gould and Toint 2000, section 7.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.ports import AllocationProblem
from coordinator.solver.limits import volatility_used
from coordinator.solver.quick import optimise_segments
from coordinator.solver.room import Room
from coordinator.solver.settings import SolverSettings
from coordinator.solver.solution import Solution, judged

__all__ = ["optimise_limited"]

# The limit is met to so much of itself, or to so much volatility.
_MET_RELATIVE = 1e-8
_MET = 2e-9
# Largest growth of the risk aversion from one solve to the next, and in all.
_GROWTH = 16.0
# Near the calmest trades that there are the secant creeps: after so many it is helped by so much.
_SECANTS = 3
_GROWTH_LEAST = 4.0
_LARGEST = 1e7
# A volatility that falls by less than this, of itself, is the least there is.
_FLAT = 1e-9


@dataclass(frozen=True, slots=True)
class _Tried:
    """An aversion added, the answer and its volatility."""

    added: float
    found: Solution
    volatility: float


def optimise_limited(
    problem: AllocationProblem, room: Room, settings: SolverSettings, free: Solution
) -> Solution:
    """The best trades inside the room whose volatility is the limit; `free` where none is found.

    free: the best without the volatility limit, which it breaks.
    """
    limit, gamma = room.volatility, problem.risk_aversion
    over = _Tried(0.0, free, volatility_used(problem, free.trades))
    if limit <= 0.0:
        return free
    last, under = over, None
    added = gamma * (over.volatility / limit - 1.0)
    for solves in range(settings.cone_solves_max):
        tried = _try(problem, room, settings, added)
        if not np.isfinite(tried.found.gap):
            return free
        if abs(tried.volatility - limit) <= max(_MET, _MET_RELATIVE * limit):
            return _priced(problem, room, tried)
        if tried.volatility > limit:
            if under is None and tried.volatility > over.volatility * (1.0 - _FLAT):
                return free
            over = tried
        else:
            under = tried
        growth = 1.0 if solves < _SECANTS else _GROWTH_LEAST
        added, last = _next(limit, gamma, over, under, (last, tried), growth), tried
        if added > _LARGEST * gamma:
            return free
    return free


def _try(problem: AllocationProblem, room: Room, settings: SolverSettings, added: float) -> _Tried:
    averse = replace(problem, risk_aversion=problem.risk_aversion + added)
    found = optimise_segments(averse, replace(room, volatility=np.inf), settings)
    return _Tried(added, found, volatility_used(problem, found.trades))


def _next(
    limit: float,
    gamma: float,
    over: _Tried,
    under: _Tried | None,
    two: tuple[_Tried, _Tried],
    growth: float,
) -> float:
    """The next aversion to try: the secant's through the last two, kept inside what is known.

    growth: what gamma and what is added grow by at least, while no answer is calm enough.
    """
    low = over.added
    high = (gamma + low) * _GROWTH - gamma if under is None else under.added
    last, now = two
    rise = _speed(now) - _speed(last)
    if rise != 0.0 and now.added != last.added:
        aim = now.added + (1.0 / limit - _speed(now)) * (now.added - last.added) / rise
        if under is None:
            aim = max(aim, (gamma + low) * growth - gamma)
        if low < aim < high:
            return aim
    if under is None:
        return high
    return float(np.sqrt((gamma + low) * (gamma + high))) - gamma


def _speed(tried: _Tried) -> float:
    return 1.0 / max(tried.volatility, 1e-300)


def _priced(problem: AllocationProblem, room: Room, tried: _Tried) -> Solution:
    """The answer with the price of volatility among its prices, judged by the problem itself."""
    found = tried.found
    pull = tried.added * (problem.covariance @ (problem.start + found.trades))
    prices = replace(found.prices, volatility=tried.added * tried.volatility, pull=pull)
    return judged(
        problem,
        room,
        solver=found.solver,
        status=found.status,
        iterations=found.iterations,
        found=found.trades,
        prices=prices,
        sizes=found.sizes,
    )
