"""The search of `least` in few variables, handed to PIQP directly: the fast way, but for cones.

Place in the flow: `solve` asks here when the solver is PIQP. Trades are the segments of `segments`,
inside a room eased by all that each limit may be broken by; each chosen limit has one more row,
with a slack, and the least sum of slacks is sought. Segments may fill in any order here, as nothing
prices them: that overstates what is used, so what is found is kept by the trades all the same.

A volatility limit is not in the search. Where its answer breaks one, the calmest trades among those
with that least violation are looked for: if they keep it, they are the answer; and where nothing
else is chosen, the calmest of all are. What is left is for the cone solver.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import piqp
from numpy.typing import NDArray

from coordinator.core.ports import NO_CHARGES, AllocationProblem, Floats
from coordinator.solver.certificate import Prices
from coordinator.solver.further import further_of, used
from coordinator.solver.least import Choice
from coordinator.solver.limits import cash_left, gross_used, position_range
from coordinator.solver.model import EVENNESS
from coordinator.solver.pinned import pin
from coordinator.solver.room import Room, make_room
from coordinator.solver.segment_qp import STATUS, set_up
from coordinator.solver.segments import Segments, can_bind, cut, room_left
from coordinator.solver.settings import SolverSettings
from coordinator.solver.solution import CONE_BINDS, Solution, no_solution
from coordinator.solver.violations import Violations, measure

__all__ = ["seek_segments"]

# What a cone that is not in the search may be broken by: the answer is none otherwise.
_CONE_KEPT = 1e-8
# Added to the least violation found without the cone, so that the calmest trades have an inside.
_CONE_EASE = 5e-8


def seek_segments(problem: AllocationProblem, choice: Choice, settings: SolverSettings) -> Solution:
    """Trades with the least violation of the chosen limits, as `solve.least_violation`."""
    found = _seek(problem, choice, settings)
    if found.gap > 0.0 or not further_of(problem).counts.volatility:
        return found
    cone, now = _cone(problem), measure(problem, found.trades)
    chosen = (choice.rows > 0.0) & (choice.most.further > 0.0)
    # What the cone may be broken by, were it not for those of its rows that are chosen: nothing.
    most = np.where(cone & chosen, 0.0, choice.most.further)
    if not (now.further > most + _CONE_KEPT)[cone].any():
        return found
    least = np.where(chosen & ~cone, np.minimum(most, now.further + _CONE_EASE), most)
    kept = replace(choice.most, further=np.where(cone, choice.most.further, least))
    if choice.always:
        kept = _no_more(kept, now)
    calm = _calmest(problem, kept, settings)
    then = measure(problem, calm.trades)
    alone = not (choice.always and _any(choice.most)) and not (chosen & ~cone).any()
    found_calm = calm.gap == 0.0 and calm.excess <= _CONE_KEPT
    if found_calm and (alone or not (then.further > most + _CONE_KEPT)[cone].any()):
        return calm
    return replace(found, status=CONE_BINDS, gap=np.inf)


def _cone(problem: AllocationProblem) -> NDArray[np.bool_]:
    """(m,) rows of volatility."""
    counts = further_of(problem).counts
    result = np.zeros(sum(counts), dtype=np.bool_)
    result[counts.part("volatility")] = True
    return result


def _any(most: Violations) -> bool:
    """Whether any limit of every problem may be broken."""
    return bool(most.over.any() or most.under.any() or most.gross > 0.0 or most.cash > 0.0)


def _no_more(most: Violations, now: Violations) -> Violations:
    """What the limits of every problem may be broken by, as little as it is now."""
    return replace(
        most,
        over=np.minimum(most.over, now.over + _CONE_EASE),
        under=np.minimum(most.under, now.under + _CONE_EASE),
        gross=min(most.gross, now.gross + _CONE_EASE),
        cash=min(most.cash, now.cash + _CONE_EASE),
    )


def _calmest(problem: AllocationProblem, most: Violations, settings: SolverSettings) -> Solution:
    """Trades of the least volatility that break no other limit by more than it may be."""
    room = make_room(problem, most)
    parts = cut(problem, room)
    parts = replace(parts, cost=np.zeros_like(parts.cost))
    if not len(parts.name):
        return _found(problem, most, room, parts.start, "optimal", 0)
    left = room_left(problem, room, parts.start)
    kept = can_bind(parts, left)
    pull = -problem.risk_aversion * (problem.covariance @ (problem.start + parts.start))
    largest = problem.risk_aversion * float(np.diag(problem.covariance).max())
    scale = 2.0 ** -np.floor(np.log2(largest)) if largest > 0.0 else 1.0
    plain = replace(problem, charges=NO_CHARGES, sleeves=None)
    solver = set_up(plain, parts, kept, left[kept], scale, pull, settings)
    return _solved(problem, most, room, parts, solver)


def _seek(problem: AllocationProblem, choice: Choice, settings: SolverSettings) -> Solution:
    """The search without the cone."""
    room = make_room(problem, choice.most)
    parts = cut(problem, room)
    if not len(parts.name):
        return _found(problem, choice.most, room, parts.start, "optimal", 0)
    left = room_left(problem, room, parts.start)
    kept = can_bind(parts, left)
    solver = _set_up(parts, kept, left[kept], *_chosen(problem, choice, parts), settings)
    return _solved(problem, choice.most, room, parts, solver)


def _solved(
    problem: AllocationProblem,
    most: Violations,
    room: Room,
    parts: Segments,
    solver: piqp.DenseSolver,
) -> Solution:
    status = STATUS.get(solver.solve(), "failed")
    iterations = int(solver.result.info.iter)
    length = np.asarray(solver.result.x)[: len(parts.name)]
    if not np.isfinite(length).all():
        return no_solution(problem, "PIQP", status, iterations)
    found = parts.start + np.bincount(parts.name, length, minlength=len(parts.start))
    return _found(problem, most, room, found, status, iterations)


def _found(
    problem: AllocationProblem,
    most: Violations,
    room: Room,
    found: Floats,
    status: str,
    iterations: int,
) -> Solution:
    """The trades inside the box; excess: by how much a limit but the cone is too much broken."""
    low, high = room.box
    trades = np.minimum(np.maximum(found, low), high)
    gap = 0.0 if status == "optimal" else np.inf
    plain = replace(most, further=np.where(_cone(problem), np.inf, most.further))
    excess = measure(problem, trades).beyond(plain)
    return Solution("PIQP", status, iterations, trades, Prices(), gap, excess)


def _chosen(problem: AllocationProblem, choice: Choice, parts: Segments) -> tuple[Floats, Floats]:
    """(c, k) uses of the chosen limits per part and (c,) what they leave, unbroken, at z0."""
    further, start = further_of(problem), parts.start
    counts, spare = further.counts, further.bound - used(problem, start)
    uses = [
        parts.uses[3:],
        np.tile(parts.uses[2], (counts.turnover, 1)),
        np.tile(parts.uses[1], (counts.cash, 1)),
    ]
    at = counts.part("volatility")
    stated = np.delete(np.arange(len(spare)), np.arange(at.start, at.stop))
    wanted = choice.rows[stated] > 0.0
    rows, left = np.concatenate(uses)[wanted], spare[stated][wanted]
    if choice.always:
        more_rows, more_left = _always(problem, choice, parts)
        rows, left = np.concatenate([rows, more_rows]), np.concatenate([left, more_left])
    return _useful(parts, rows, left)


def _always(problem: AllocationProblem, choice: Choice, parts: Segments) -> tuple[Floats, Floats]:
    """The same for the broken ones among the limits of every problem."""
    most, start = choice.most, parts.start
    lowest, highest = position_range(problem, start)
    over, under = np.flatnonzero(most.over > 0.0), np.flatnonzero(most.under > 0.0)
    rows = [(parts.name == over[:, None]) * 1.0, (parts.name == under[:, None]) * -1.0]
    left = [
        (problem.position_max - highest)[over],
        (lowest - problem.position_min)[under],
    ]
    if most.gross > 0.0:
        rows.append(parts.uses[:1])
        left.append(np.array([problem.gross_max - gross_used(problem, start)]))
    if most.cash > 0.0:
        rows.append(parts.uses[1:2])
        left.append(np.array([cash_left(problem, start) - problem.cash_floor]))
    return np.concatenate(rows), np.concatenate(left)


def _useful(parts: Segments, rows: Floats, left: Floats) -> tuple[Floats, Floats]:
    """Rows whose slack depends on the trades, the rest of their slack taken off."""
    ends = rows * parts.low, rows * parts.high
    lowest, highest = np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)
    depends = (highest > left) & (highest > lowest)
    return rows[depends], np.maximum(left, lowest - 1.0)[depends]


def _set_up(
    parts: Segments,
    kept: NDArray[np.intp],
    left: Floats,
    rows: Floats,
    spare: Floats,
    settings: SolverSettings,
) -> piqp.DenseSolver:
    """A solver that has seen nothing but this search: parts' lengths, then slacks."""
    k, c = len(parts.name), len(rows)
    limits = np.zeros((len(left) + c, k + c))
    limits[: len(left), :k] = parts.uses[kept]
    limits[len(left) :, :k] = rows
    limits[len(left) :, k:] = -np.eye(c)
    solver = piqp.DenseSolver()
    pin(solver, settings, settings.tolerance)
    solver.setup(
        P=np.diag(np.concatenate([np.zeros(k), np.full(c, 2.0 * EVENNESS)])),
        c=np.concatenate([np.zeros(k), np.ones(c)]),
        G=np.asfortranarray(limits),
        h_u=np.concatenate([left, spare]),
        x_l=np.concatenate([parts.low, np.zeros(c)]),
        x_u=np.concatenate([parts.high, np.full(c, np.inf)]),
    )
    return solver
