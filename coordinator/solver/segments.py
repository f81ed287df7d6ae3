"""The model of `model` in few variables, handed to PIQP directly: the fast way of most decisions.

Place in the flow: `solve` asks here when the solver is PIQP. It must never know another problem
than `model` states: tests hold both to the same answers, and the certificate judges each.

What a trade costs and uses is linear between the ends of its box and two kinks: no trade, and the
trade at which exposure is smallest. So each trade is a start plus at most three segments,

    z = z0 + A t,  low <= t <= high,  z0 the trade nearest to none,

A the (n, k) matrix that adds up each name's segments. Slopes rise away from z0 (all costs and uses
are convex), so segments fill in order by themselves, and gross, cash, turnover and each further row
are one row:

    min  c't + t'A' (gamma Sigma) A t / 2   s.t.  G t <= room left at z0

A long-only portfolio has about one segment a name, where the model has three variables and eight
rows a name. Names that cannot trade have none. Solved cold by a solver object of its own. A
volatility limit is not in it: where the answer keeps one anyway, it is the answer with it; where
not, the answer's excess says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import piqp
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, marginal_value, one_sided_slopes
from coordinator.solver.further import further_of
from coordinator.solver.limits import kink
from coordinator.solver.model import scale_of
from coordinator.solver.room import Room
from coordinator.solver.settings import SolverSettings
from coordinator.solver.solution import Solution, judged, no_solution

__all__ = ["STATUS", "Segments", "can_bind", "cut", "optimise_segments", "room_left", "set_up"]

_NARROW = 1e-12
"""A segment this narrow is none, fraction of NAV: an interior needs width."""
_WHOLE_MAX = 40
"""So few segments are solved at once."""
_FIRST_MIN = 24
"""Names that join those that hold in the first round, where so many promise anything."""
_ROUNDS_MAX = 4
"""Then all join."""
_WORTH = 1e-9
"""A gain per unit of trade that is none: with everything traded, a thousandth of the gap."""
STATUS = {
    piqp.PIQP_SOLVED: "optimal",
    piqp.PIQP_MAX_ITER_REACHED: "user_limit",
    piqp.PIQP_PRIMAL_INFEASIBLE: "infeasible",
    piqp.PIQP_DUAL_INFEASIBLE: "unbounded",
}


@dataclass(frozen=True, slots=True)
class Segments:
    """The pieces of all trades, (k,) each.

    name: index of the instrument. low, high: how far it goes below and above z0. cost: paid per
    unit of weight. uses: (3 + r, k) of gross, cash, turnover and the r further rows per unit of
    weight. start: (n,) z0.
    """

    name: NDArray[np.intp]
    low: Floats
    high: Floats
    cost: Floats
    uses: Floats
    start: Floats

    def of(self, within: NDArray[np.bool_]) -> Segments:
        """Those of some names; the others' trades stay at z0."""
        kept = within[self.name]
        return Segments(
            name=self.name[kept],
            low=self.low[kept],
            high=self.high[kept],
            cost=self.cost[kept],
            uses=self.uses[:, kept],
            start=self.start,
        )


def cut(problem: AllocationProblem, room: Room) -> Segments:
    """The segments of every trade that has room."""
    low, high = room.box
    turn = kink(problem)
    start = np.minimum(np.maximum(0.0, low), high)
    inner = np.minimum(np.maximum(turn, low), high)
    ends = np.stack([low, np.minimum(start, inner), np.maximum(start, inner), high])
    below, above = ends[:-1], ends[1:]
    piece, name = np.nonzero(above - below > _NARROW)
    below, above, at = below[piece, name], above[piece, name], start[name]
    middle = (below + above) / 2
    bought = middle > 0.0
    cost = np.where(bought, problem.cost_buy[name], -problem.cost_sell[name])
    uses = np.stack(
        [
            np.where(middle > turn[name], 1.0, -1.0),
            1.0 + cost,  # selling one unit brings 1 - cost_sell
            np.where(bought, 0.5, -0.5),
        ]
    )
    if problem.limits:
        further = further_of(problem)
        uses = np.concatenate([uses, further.linear[:, name], further.gross[:, name] * uses[0]])
    up = below >= at
    width = above - below
    return Segments(
        name=name,
        low=np.where(up, 0.0, -width),
        high=np.where(up, width, 0.0),
        cost=cost,
        uses=uses,
        start=start,
    )


def optimise_segments(problem: AllocationProblem, room: Room, settings: SolverSettings) -> Solution:
    """The best trades inside the room, with the certified distance to the optimum.

    Of many names few trade: those that promise most are solved first, the others stay at z0, and
    whoever of them would still be worth a trade at that answer's prices joins. What is left out
    at the end is worth none, so the answer is that of the whole.
    """
    parts = cut(problem, room)
    slope = marginal_value(problem, parts.start)
    within = _promising(problem, room, parts, slope)
    for _ in range(_ROUNDS_MAX):
        if within.all():
            break
        found = _solve(problem, room, parts.of(within), slope, settings)
        missed = _missed(problem, room, found, within)
        if not missed.any():
            return found
        within |= missed
    return _solve(problem, room, parts, slope, settings)


def _promising(
    problem: AllocationProblem, room: Room, parts: Segments, slope: Floats
) -> NDArray[np.bool_]:
    """(n,) names to solve first: all that hold or must trade, and the best of the others."""
    n = len(slope)
    if len(parts.name) <= _WHOLE_MAX:
        return np.ones(n, dtype=np.bool_)
    working = (problem.working_buys != 0.0) | (problem.working_sells != 0.0)
    within: NDArray[np.bool_] = (problem.filled != 0.0) | working | (parts.start != 0.0)
    low, high = room.box
    gain = np.maximum(
        np.where(high > 0.0, slope - problem.cost_buy, 0.0),
        np.where(low < 0.0, -slope - problem.cost_sell, 0.0),
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
    less, more = one_sided_slopes(problem, found.trades, found.prices)
    low, high = room.box
    worth = ((more > _WORTH) & (found.trades < high)) | ((less > _WORTH) & (found.trades > low))
    missed: NDArray[np.bool_] = worth & ~within
    return missed


def _solve(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    slope: Floats,
    settings: SolverSettings,
) -> Solution:
    """The best lengths of the parts, all other trades as they start."""
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
    scale = scale_of(problem)
    left = room_left(problem, room, parts.start)
    kept = can_bind(parts, left)
    solver = set_up(problem, parts, kept, left[kept], scale, slope, settings)
    status = STATUS.get(solver.solve(), "failed")
    result = solver.result
    iterations = int(result.info.iter)
    length, duals = np.asarray(result.x), np.asarray(result.z_u)
    if status == "failed" or not (np.isfinite(length).all() and np.isfinite(duals).all()):
        return no_solution(problem, "PIQP", status, iterations)
    found = parts.start + np.bincount(parts.name, weights=length, minlength=len(parts.start))
    rows = np.zeros(len(left))
    rows[kept] = np.maximum(duals, 0.0) / scale
    gross, cash, turnover = rows[:3].tolist()
    linear, groups = np.split(rows[3:], [len(room.linear)])
    return judged(
        problem,
        room,
        solver="PIQP",
        status=status,
        iterations=iterations,
        found=found,
        prices=Prices(gross=gross, cash=cash, turnover=turnover, linear=linear, groups=groups),
    )


def can_bind(parts: Segments, left: Floats) -> NDArray[np.intp]:
    """Rows to solve with: the first three, and of the further ones those that parts can use up."""
    further = parts.uses[3:]
    most = np.maximum(further * parts.low, further * parts.high).sum(axis=1)
    return np.concatenate([np.arange(3), 3 + np.flatnonzero(most > left[3:])])


def set_up(
    problem: AllocationProblem,
    parts: Segments,
    kept: NDArray[np.intp],
    left: Floats,
    scale: float,
    slope: Floats,
    settings: SolverSettings,
) -> piqp.DenseSolver:
    """A solver that has seen nothing but this problem.

    kept: the rows to solve with, left: their room at z0. slope: (n,) marginal value at z0.
    """
    name, curvature = parts.name, scale * problem.risk_aversion
    quadratic = problem.covariance[name[:, None], name]
    quadratic *= curvature
    solver = piqp.DenseSolver()
    solver.settings.eps_abs = settings.tolerance
    solver.settings.eps_rel = settings.tolerance
    solver.settings.max_iter = settings.iterations_max
    solver.setup(
        # Symmetric, so the transposed view is the order of memory that the solver wants.
        P=quadratic.T,
        c=scale * (parts.cost - slope[name]),
        G=np.asfortranarray(parts.uses[kept]),
        h_u=left,
        x_l=parts.low,
        x_u=parts.high,
    )
    return solver


def room_left(problem: AllocationProblem, room: Room, start: Floats) -> Floats:
    """(3 + r,) room of gross, cash, turnover and the rows that z0 leaves; < 0 where overdrawn."""
    exposure = np.maximum(room.highest + start, -(room.lowest + start))
    buys, sells = np.maximum(start, 0.0), np.maximum(-start, 0.0)
    paid = buys @ (1.0 + problem.cost_buy) - sells @ (1.0 - problem.cost_sell)
    turned = (buys + sells).sum() / 2
    left = np.array([room.gross - exposure.sum(), room.cash - paid, room.turnover - turned])
    if not problem.limits:
        return left
    further = further_of(problem)
    linear, groups = room.linear - further.linear @ start, room.groups - further.gross @ exposure
    return np.concatenate([left, linear, groups])
