"""Searches for the least violation where trades have an impact, that cash pays.

Place in the flow: `solve` hands over its search, here it is said of which problem and by whom it is
made. What is not known to be the least says so by its status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.curved import has_curved_cost
from coordinator.solver.settings import SolverName
from coordinator.solver.solution import Solution
from coordinator.solver.terms import impact_paid
from coordinator.solver.violations import measure

__all__ = ["NOT_PROVEN", "with_impact"]

NOT_PROVEN = "not proven to be the least"
"""Status of an answer that breaks no limit by more than it may, where no solver ended exactly."""

_Search = Callable[[AllocationProblem, SolverName], Solution]

_SETTLES_MAX, _CAREFUL_MAX = 8, 4
"""Searches until the sizes of trades settle, at most; and after these such as overstate impact."""


def with_impact(
    problem: AllocationProblem,
    solver: SolverName,
    search: _Search,
    broken: Callable[[Floats], float],
) -> Solution:
    """The answer of a search, whether or not trades have an impact.

    Without it there is room for more: an answer that breaks no more with it is the least. Where it
    does, impact is stated as it is, for the solver that knows cones. Where that ends inaccurate,
    its trades are compared with those of a search with impact as a linear cost. broken: what the
    searched limits are broken by together after trades, (n,).
    """
    if not has_curved_cost(problem):
        return search(problem, solver)
    free = _at_sizes_of(problem, np.zeros_like(problem.mu), solver, search)
    if free.usable:
        return free
    exact = search(problem, "CLARABEL")
    if exact.usable:
        return exact
    found = [replace(exact, gap=0.0), _settled(problem, solver, search, free)]
    kept = [one for one in found if one.usable]
    if not kept:
        return exact
    return replace(min(kept, key=lambda one: broken(one.trades)), status=NOT_PROVEN)


def _settled(
    problem: AllocationProblem, solver: SolverName, search: _Search, free: Solution
) -> Solution:
    """The answer with impact as a linear cost, at the rate of the sizes found before.

    A name that did not trade before costs nothing then, so that trades may go from name to name for
    ever: in the last searches none costs less than at the largest size found. free: the first one,
    at no sizes.
    """
    best = found = free
    sizes = np.zeros_like(problem.mu)
    for number in range(1, _SETTLES_MAX + _CAREFUL_MAX):
        if best.usable or not np.isfinite(found.gap):
            break
        sizes = np.maximum(np.abs(found.trades), sizes)
        if number >= _SETTLES_MAX:
            sizes = np.full_like(sizes, sizes.max(initial=0.0))
        found = _at_sizes_of(problem, sizes, solver, search)
        best = found if found.excess < best.excess else best
    return best


def _at_sizes_of(
    problem: AllocationProblem, sizes: Floats, solver: SolverName, search: _Search
) -> Solution:
    """The search with impact as a linear cost that is exact at these sizes, (n,).

    excess: with what impact really breaks more than that.
    """
    seen = _at_sizes(problem, sizes)
    found = search(seen, solver)
    more = measure(problem, found.trades).beyond(measure(seen, found.trades))
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
