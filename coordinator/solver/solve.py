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
from coordinator.solver.limits import cash_paid, volatility_used
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
    if has_curved_cost(problem):
        return _settled(problem, lambda seen: restore(seen, before, shelf, settings, solver))
    model = shelf.restoration(len(problem.instruments), solver)
    model.parameters.load_room(problem, make_room(problem))
    model.load_caps(before)
    status, iterations = solve_cold(model.problem, settings, solver)
    found = values_of(model.trades)
    if found is None:
        return no_solution(problem, solver, status, iterations)
    trades = np.clip(found, -problem.trade_max, problem.trade_max)
    excess = measure(problem, trades).turnover
    gap = 0.0 if status == cp.OPTIMAL else np.inf
    return Solution(solver, status, iterations, trades, Prices(), gap, excess)


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
    if has_curved_cost(problem):
        return _settled(
            problem, lambda seen: least_violation(seen, choice, shelf, settings, solver)
        )
    if solver == "PIQP":
        return seek_segments(problem, choice, settings)
    model = shelf.least(len(problem.instruments), solver, further_of(problem).counts)
    model.load(problem, choice)
    status, iterations = solve_cold(model.problem, settings, solver, compiled=False)
    found = values_of(model.trades)
    if found is None:
        return no_solution(problem, solver, status, iterations)
    trades = np.clip(found, -problem.trade_max, problem.trade_max)
    gap = 0.0 if status == cp.OPTIMAL else np.inf
    excess = measure(problem, trades).beyond(choice.most)
    return Solution(solver, status, iterations, trades, Prices(), gap, excess)


def _settled(
    problem: AllocationProblem, search: Callable[[AllocationProblem], Solution]
) -> Solution:
    """The answer of a search that knows linear costs only, where cash pays for impact, too.

    Impact is taken as linear, at the rate that it has at the sizes found before, until they settle.
    A name that did not trade before costs nothing then, so that trades may go from name to name for
    ever: in the last searches none costs less than at the largest size found. What is left is the
    answer's excess to tell.
    """
    sizes, most = np.zeros_like(problem.mu), np.inf
    found = None
    for number in range(_SETTLES_MAX + _CAREFUL_MAX):
        answer = search(_at_sizes(problem, sizes))
        more = cash_paid(problem, answer.trades) - cash_paid(
            _at_sizes(problem, sizes), answer.trades
        )
        excess = answer.excess + max(more, 0.0)
        if excess < most or found is None:
            found, most = replace(answer, excess=excess), excess
        if most <= EXCESS_MAX or not np.isfinite(answer.gap):
            break
        sizes = np.maximum(np.abs(answer.trades), sizes)
        if number >= _SETTLES_MAX - 1:
            sizes = np.full_like(sizes, sizes.max(initial=0.0))
    if found is None:
        raise ValueError("no search was made")
    return found


def _at_sizes(problem: AllocationProblem, sizes: Floats) -> AllocationProblem:
    """The problem with impact as a linear cost that is exact at these sizes, (n,)."""
    rate = np.divide(impact_paid(problem, sizes), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return replace(
        problem,
        cost_buy=problem.cost_buy + rate,
        cost_sell=problem.cost_sell + rate,
        charges=replace(problem.charges, impact=None, impact_square=None),
    )
