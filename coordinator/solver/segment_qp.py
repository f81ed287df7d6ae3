"""Segments handed to PIQP directly, without cvxpy's work for each solve.

Place in the flow: `quick`, `curved` and `least_segments` solve here. Each solve has a solver object
of its own and starts cold, so an answer never depends on earlier ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import piqp
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices
from coordinator.solver.factor_qp import set_up_factors, suits_factors
from coordinator.solver.model import scale_of
from coordinator.solver.pinned import pin
from coordinator.solver.room import Room
from coordinator.solver.segments import Segments, can_bind, size_units
from coordinator.solver.semismooth import solve_coupled
from coordinator.solver.settings import FoundBy, SolverSettings
from coordinator.solver.solution import Solution, judged, no_solution
from coordinator.solver.worth import curvature_added, variance_weight

__all__ = ["STATUS", "set_up", "solve_parts"]

_EXACT = 1e-9
"""A gap, and an excess, that the last digits of Newton's method stay below."""
STATUS = {
    piqp.PIQP_SOLVED: "optimal",
    piqp.PIQP_MAX_ITER_REACHED: "user_limit",
    piqp.PIQP_PRIMAL_INFEASIBLE: "infeasible",
    piqp.PIQP_DUAL_INFEASIBLE: "unbounded",
}


def solve_parts(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    slopes: Floats,
    left: Floats,
    settings: SolverSettings,
    bent: Floats | None = None,
) -> Solution:
    """The best lengths of the parts, judged by the problem itself.

    left: (3 + r,) room at z0. bent: (n,) curvature added to each trade.
    """
    kept = can_bind(parts, left)
    coupled = solve_coupled(problem, parts, kept, left[kept], slopes, settings, bent)
    if coupled is not None:
        answer = _judged(problem, room, parts, kept, _Found("NEWTON", "optimal", *coupled))
        # A parabola's answer is not the problem's, and is not held to its certificate.
        if bent is not None or max(answer.gap, answer.excess) <= _EXACT:
            return answer
    scale = scale_of(problem)
    solver = set_up(problem, parts, kept, left[kept], scale, slopes, settings, bent)
    status = STATUS.get(solver.solve(), "failed")
    result = solver.result
    iterations = int(result.info.iter)
    length, duals = np.asarray(result.x)[: len(parts.name)], np.asarray(result.z_u)
    if status == "failed" or not (np.isfinite(length).all() and np.isfinite(duals).all()):
        return no_solution(problem, "PIQP", status, iterations)
    return _judged(
        problem, room, parts, kept, _Found("PIQP", status, length, duals / scale, iterations)
    )


class _Found(NamedTuple):
    """(k,) lengths of the parts and (r,) prices of the rows, whoever found them."""

    solver: FoundBy
    status: str
    lengths: Floats
    prices: Floats
    iterations: int


def _judged(
    problem: AllocationProblem,
    room: Room,
    parts: Segments,
    kept: NDArray[np.intp],
    found: _Found,
) -> Solution:
    """The trades of all names and the prices of all rows, judged. kept: the rows solved with."""
    n, sleeves = len(parts.start), problem.sleeves
    numbers = n if sleeves is None else n + len(sleeves.names)
    sums = np.bincount(parts.name, weights=found.lengths, minlength=numbers).astype(np.float64)
    rows = np.zeros(len(parts.uses))
    rows[kept] = np.maximum(found.prices, 0.0)
    gross, cash, turnover = rows[:3].tolist()
    linear, groups = np.split(rows[3:], [len(room.linear)])
    return judged(
        problem,
        room,
        solver=found.solver,
        status=found.status,
        iterations=found.iterations,
        found=parts.start + sums[:n],
        prices=Prices(gross=gross, cash=cash, turnover=turnover, linear=linear, groups=groups),
        sizes=sums[n:] if sleeves is None else sums[n:] * size_units(sleeves),
    )


def set_up(
    problem: AllocationProblem,
    parts: Segments,
    kept: NDArray[np.intp],
    left: Floats,
    scale: float,
    slopes: Floats,
    settings: SolverSettings,
    bent: Floats | None = None,
) -> piqp.DenseSolver | piqp.SparseSolver:
    """A solver of parts' lengths, and maybe more, that has seen nothing but this problem.

    kept: the rows to solve with, left: their room at z0. slopes: (n + s,) at z0 and no sizes.
    bent: (n,) curvature added to each trade.
    """
    name = parts.name
    if problem.sleeves is not None and len(slopes) > len(parts.start):
        units = np.concatenate([np.ones(len(parts.start)), size_units(problem.sleeves)])
        slopes = slopes * units
    if suits_factors(problem, len(parts.name), len(kept)):
        return set_up_factors(problem, parts, kept, left, scale, slopes, settings, bent)
    quadratic = _curvature(problem, name, scale, bent)
    solver = piqp.DenseSolver()
    pin(solver, settings, settings.quick_tolerance)
    solver.setup(
        # Symmetric, so the transposed view is the order of memory that the solver wants.
        P=quadratic.T,
        c=scale * (parts.cost - slopes[name]),
        G=np.asfortranarray(parts.uses[kept]),
        h_u=left,
        x_l=parts.low,
        x_u=parts.high,
    )
    return solver


def _curvature(
    problem: AllocationProblem, name: NDArray[np.intp], scale: float, bent: Floats | None
) -> Floats:
    """(k, k) curvature of the smooth terms along the parts, times scale."""
    n = len(problem.mu)
    of_names = name if problem.sleeves is None else name[name < n]
    quadratic = problem.covariance[of_names[:, None], of_names]
    quadratic *= scale * variance_weight(problem)
    added, sleeves = curvature_added(problem), problem.sleeves
    if bent is not None:
        added = bent if added is None else added + bent
    if sleeves is not None:
        house = np.full(n, sleeves.house_weight)
        added = house if added is None else added + house
    if added is not None:
        # A name's parts are the same trade.
        quadratic += (scale * added[of_names]) * (of_names[:, None] == of_names)
    if sleeves is None or len(of_names) == len(name):
        return quadratic
    units = size_units(sleeves)
    delta, targets = scale * sleeves.house_weight, sleeves.targets * units
    across = -delta * targets[of_names]
    among = delta * (targets.T @ targets) + np.diag(2.0 * scale * sleeves.wish_weight * units**2)
    return np.block([[quadratic, across], [across.T, among]])
