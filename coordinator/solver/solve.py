"""Solves a problem cold and says what came out, whichever way is the fastest that knows it.

Place in the flow: between `ladder`, which decides what to try, and the ways of solving: `quick` in
segments, `aversion` where a volatility limit binds, `by_model` through cvxpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.aversion import optimise_limited
from coordinator.solver.by_model import optimise_model, solve_cold, values_of
from coordinator.solver.certificate import Prices
from coordinator.solver.curved import has_curved_cost
from coordinator.solver.further import further_of
from coordinator.solver.least import Choice
from coordinator.solver.least_segments import seek_segments
from coordinator.solver.limits import volatility_used
from coordinator.solver.model_terms import Shape, has_cone, impact_shape_of
from coordinator.solver.quick import optimise_segments
from coordinator.solver.room import Room, make_room
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import (
    CONE_BINDS,
    EXCESS_MAX,
    Solution,
    no_solution,
    volatility_broken,
)
from coordinator.solver.terms import impact_paid
from coordinator.solver.violations import Violations, measure

__all__ = ["least_violation", "optimise", "restore"]

_Search = Callable[[AllocationProblem, SolverName], Solution]

_EASES = (10.0, 100.0)
"""Times the tolerance: of searches beside cones that did not end within it. What is found is judged
by the trades, and a millionth of NAV is what a least violation may be off."""
_SETTLES_MAX, _CAREFUL_MAX = 8, 4
"""Searches until the sizes of trades settle, at most; and after these such as overstate impact."""


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

    return _with_impact(problem, solver, search)


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

    return _with_impact(problem, solver, search)


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


def _with_impact(
    problem: AllocationProblem,
    solver: SolverName,
    search: _Search,
) -> Solution:
    """The answer of a search where trades may have an impact, that cash pays.

    Without it there is room for more: an answer that breaks no more with it is the least. Where it
    does, impact is stated as it is, for the solver that knows cones; where that ends inaccurate,
    impact is taken as linear. That answer breaks no more than it may, and little more than it must.
    """
    if not has_curved_cost(problem):
        return search(problem, solver)
    none = np.zeros_like(problem.mu)
    found = _paying(problem, none, search(_at_sizes(problem, none), solver))
    if not _usable(found):
        found = search(problem, "CLARABEL")
    if not _usable(found):
        found = _settled(problem, solver, search)
    return found


def _usable(found: Solution) -> bool:
    return bool(np.isfinite(found.gap)) and found.excess <= EXCESS_MAX


def _settled(problem: AllocationProblem, solver: SolverName, search: _Search) -> Solution:
    """The answer with impact as a linear cost, at the rate of the sizes found before.

    A name that did not trade before costs nothing then, so that trades may go from name to name for
    ever: in the last searches none costs less than at the largest size found. What is left is the
    answer's excess to tell.
    """
    sizes = np.zeros_like(problem.mu)
    best: Solution | None = None
    for number in range(_SETTLES_MAX + _CAREFUL_MAX):
        found = _paying(problem, sizes, search(_at_sizes(problem, sizes), solver))
        if best is None or found.excess < best.excess:
            best = found
        if _usable(best) or not np.isfinite(found.gap):
            break
        sizes = np.maximum(np.abs(found.trades), sizes)
        if number >= _SETTLES_MAX - 1:
            sizes = np.full_like(sizes, sizes.max(initial=0.0))
    if best is None:
        raise ValueError("no search was made")
    return best


def _paying(problem: AllocationProblem, sizes: Floats, found: Solution) -> Solution:
    """The answer to the problem at these sizes; excess: with what impact breaks more than there."""
    thought = measure(_at_sizes(problem, sizes), found.trades)
    more = measure(problem, found.trades).beyond(thought)
    return replace(found, excess=found.excess + max(more, 0.0))


def _at_sizes(problem: AllocationProblem, sizes: Floats) -> AllocationProblem:
    """The problem with impact as a linear cost that is exact at these sizes, (n,)."""
    rate = np.divide(impact_paid(problem, sizes), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return replace(
        problem,
        cost_buy=problem.cost_buy + rate,
        cost_sell=problem.cost_sell + rate,
        charges=replace(problem.charges, impact=None, impact_square=None),
    )
