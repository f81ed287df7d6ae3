"""Solves a problem cold and says what came out, whichever way is the fastest that knows it.

Place in the flow: between `ladder`, which decides what to try, and the ways of solving: `quick` in
segments, `aversion` where a volatility limit binds, `by_model` through cvxpy.
"""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.aversion import optimise_limited
from coordinator.solver.by_model import optimise_model, solve_cold, values_of
from coordinator.solver.certificate import Prices
from coordinator.solver.further import further_of
from coordinator.solver.least import Choice
from coordinator.solver.least_paying import with_impact
from coordinator.solver.least_segments import seek_segments
from coordinator.solver.limits import volatility_used
from coordinator.solver.model_terms import Shape, has_cone, impact_shape_of
from coordinator.solver.quick import optimise_segments
from coordinator.solver.room import Room, make_room
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import (
    CONE_BINDS,
    Solution,
    no_solution,
    volatility_broken,
)
from coordinator.solver.violations import Violations, measure

__all__ = ["least_violation", "optimise", "restore"]

_EASES = (10.0, 100.0)
"""Times the tolerance: of searches beside cones that did not end within it. What is found is judged
by the trades, and a millionth of NAV is what a least violation may be off."""


def optimise(
    problem: AllocationProblem,
    room: Room,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """The best trades inside the room, with the certified distance to the optimum.

    PIQP gets the model in fewer variables, without cvxpy's work for each solve.
    """
    if solver != "PIQP":
        return optimise_model(problem, room, shelf, settings, solver)
    # What breaks the volatility limit here may still be the best without it, to the last digit.
    coneless = replace(room, volatility=np.inf) if np.isfinite(room.volatility) else room
    found = optimise_segments(problem, coneless, settings)
    if found.status == "optimal" and volatility_broken(problem, room, found.trades):
        broken = volatility_used(problem, found.trades) - room.volatility
        free = replace(found, status=CONE_BINDS, excess=max(found.excess, broken))
        found = optimise_limited(problem, room, settings, free)
    return found


def restore(
    problem: AllocationProblem,
    before: Violations,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """Trades with the least total violation, none above what it is before trading (phase 1).

    The gap of the answer is 0 where the solver says it is optimal: `ladder` measures what it is
    worth.
    """

    def search(seen: AllocationProblem, solver: SolverName) -> Solution:
        shape = impact_shape_of(seen)
        model = shelf.restoration(len(seen.instruments), solver, shape)
        model.load(seen, make_room(seen), before)
        status, iterations = _solve_eased(
            model.problem, settings, solver, shape, compiled=not has_cone(shape)
        )
        found = values_of(model.trades)
        if found is None:
            return no_solution(seen, solver, status, iterations)
        trades = np.clip(found, -seen.trade_max, seen.trade_max)
        return _searched(solver, status, iterations, trades, measure(seen, trades).turnover)

    return with_impact(
        problem, solver, search, broken=lambda trades: measure(problem, trades).total
    )


def least_violation(
    problem: AllocationProblem,
    choice: Choice,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """Trades with the least violation of the chosen limits, no limit broken by more than it may.

    The gap of the answer is 0 where the solver says it is optimal; excess: by how much a limit is
    broken beyond what it may.
    """

    def search(seen: AllocationProblem, solver: SolverName) -> Solution:
        if solver == "PIQP":
            return seek_segments(seen, choice, settings)
        counts, shape = further_of(seen).counts, impact_shape_of(seen)
        model = shelf.least(len(seen.instruments), solver, counts, shape)
        model.load(seen, choice)
        status, iterations = _solve_eased(model.problem, settings, solver, shape, compiled=False)
        found = values_of(model.trades)
        if found is None:
            return no_solution(seen, solver, status, iterations)
        trades = np.clip(found, -seen.trade_max, seen.trade_max)
        excess = measure(seen, trades).beyond(choice.most)
        return _searched(solver, status, iterations, trades, excess)

    return with_impact(
        problem, solver, search, broken=lambda trades: choice.broken(measure(problem, trades))
    )


def _solve_eased(
    problem: cp.Problem,
    settings: SolverSettings,
    solver: SolverName,
    shape: Shape,
    *,
    compiled: bool,
) -> tuple[str, int]:
    """Solve; beside impact the last digits can be out of reach, and then fewer are asked for."""
    status, iterations = solve_cold(problem, settings, solver, compiled=compiled)
    for ease in _EASES if shape != Shape() else ():
        if status == cp.OPTIMAL:
            break
        fewer = replace(settings, tolerance=ease * settings.tolerance)
        status, more = solve_cold(problem, fewer, solver, compiled=compiled)
        iterations += more
    return status, iterations


def _searched(
    solver: SolverName, status: str, iterations: int, trades: Floats, excess: float
) -> Solution:
    """A search's answer; its gap is 0 where the solver says that it is optimal."""
    gap = 0.0 if status == cp.OPTIMAL else np.inf
    return Solution(solver, status, iterations, trades, Prices(), gap, excess)
