"""The allocator that the core asks: one problem in, one answer out, always.

Place in the flow: implements `core.ports.Allocator`; bootstrap gives it to the engine. It must
never keep anything from one problem to the next but compiled models and what it found of a
covariance that cannot have changed.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

import numpy as np

from coordinator.core.ports import Allocation, AllocationProblem, Floats, Force, LimitReading
from coordinator.core.recall import Recall
from coordinator.core.words import listed
from coordinator.solver.balance import balanced
from coordinator.solver.certificate import Prices
from coordinator.solver.further import further_of, prepare
from coordinator.solver.ladder import Plan, climb
from coordinator.solver.plain import plain_problem
from coordinator.solver.readings import gave_way, read_limits
from coordinator.solver.room import make_room
from coordinator.solver.rounding import Lots, round_trades
from coordinator.solver.settings import SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.sizes import best_sizes
from coordinator.solver.validate import check_problem, positive_semidefinite
from coordinator.solver.violations import Violations, broken_names, measure
from coordinator.solver.worth import objective

__all__ = ["CvxAllocator"]

_COVARIANCES_MAX = 16
_BY_LOTS_MIN = 1e-4
"""A basis point: what lots add to the house book by less is none worth a word."""


class CvxAllocator:
    """Allocator by convex optimisation, with lower rungs for when no solver answers.

    The same problem gives the same bits, whatever was solved before. Threads may share one; they
    take turns.
    """

    def __init__(self, settings: SolverSettings | None = None) -> None:
        """settings: pinned solvers, tolerances and iteration limits."""
        self._settings = settings or SolverSettings()
        self._shelf = ModelShelf(self._settings.models_max)
        self._judged: Recall[tuple[Floats, bool]] = Recall(entries_max=_COVARIANCES_MAX)
        self._turn = Lock()

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """The best whole-lot trades found, honouring hard limits or making no breach worse.

        Raises ProblemError, naming the field, for NaN, infinity, wrong shapes or wrong signs only.
        """
        problem = plain_problem(problem)
        check_problem(problem)
        covariance, mended = self._semidefinite(problem.covariance)
        if mended:
            problem = replace(problem, covariance=covariance, factors=None)
        problem = prepare(problem)
        before = measure(problem, np.zeros_like(problem.filled))
        plan = self._plan(problem, before)
        if mended:
            remark = "covariance was not symmetric positive semidefinite: mended"
            plan = replace(plan, remarks=(remark, *plan.remarks))
        lots = round_trades(problem, plan.trades, before=before, allowed=plan.allowed)
        plan, forces = balanced(problem, plan, self._settings.gap_max)
        return _answer(problem, plan, lots, before, forces)

    def _semidefinite(self, covariance: Floats) -> tuple[Floats, bool]:
        """As `positive_semidefinite`; one that nobody can write to is judged once."""
        if covariance.flags.writeable or not covariance.flags.owndata:
            return positive_semidefinite(covariance)
        with self._turn:
            return self._judged.get(
                None, lambda: positive_semidefinite(covariance), same=(covariance,)
            )

    def _plan(self, problem: AllocationProblem, before: Violations) -> Plan:
        if _turnover_max(problem) <= 0.0 or not np.any(problem.trade_max > 0.0):
            return Plan(
                trades=np.zeros_like(problem.filled),
                rung="hold",
                solver="none",
                status="nothing to solve",
                iterations=0,
                room=make_room(problem, before),
                allowed=before,
                prices=Prices(),
                certified=False,
                remarks=("no instrument can trade",),
            )
        with self._turn:
            return climb(problem, before, self._shelf, self._settings)


def _turnover_max(problem: AllocationProblem) -> float:
    """The tightest hard bound on turnover; below 0 where a budget is overdrawn already."""
    further = further_of(problem)
    hard = further.hard[further.counts.part("turnover")]
    return float(further.bounds("turnover")[hard].min(initial=problem.turnover_max))


def _answer(
    problem: AllocationProblem,
    plan: Plan,
    lots: Lots,
    before: Violations,
    forces: tuple[Force, ...],
) -> Allocation:
    readings = read_limits(problem, plan, lots.trades)
    nothing = np.zeros_like(lots.trades)
    # The best split of whole lots knows nothing of the house book's bound.
    bounded = bool(np.isfinite(plan.room.house))
    begun = plan.sizes if plan.certified else None
    sizes = plan.sizes if bounded else best_sizes(problem, lots.trades, begun)
    worth = plan.worth
    if not plan.certified:
        worth = objective(problem, plan.trades, best_sizes(problem, plan.trades))
    return Allocation(
        trades=lots.trades,
        lots=lots.counts,
        continuous=plan.trades,
        rung="hold" if lots.held else plan.rung,
        solver=plan.solver,
        status=plan.status,
        iterations=plan.iterations,
        objective=objective(problem, lots.trades, sizes),
        objective_continuous=worth,
        violation=lots.violations.largest,
        violation_before=before.largest,
        limits=readings,
        remarks=(*plan.remarks, *gave_way(readings), *_after_lots(problem, lots, readings)),
        sizes=sizes,
        forces=forces,
        objective_before=objective(problem, nothing, best_sizes(problem, nothing)),
        gap=plan.gap,
    )


def _after_lots(
    problem: AllocationProblem, lots: Lots, readings: tuple[LimitReading, ...]
) -> tuple[str, ...]:
    """Remarks of rounding, and of what the trades leave broken of the hard limits."""
    said = (*lots.remarks, *_house_lots(readings))
    if not lots.violations.breached:
        return said
    return (*said, f"still broken after trading: {listed(broken_names(problem, lots.violations))}")


def _house_lots(readings: tuple[LimitReading, ...]) -> tuple[str, ...]:
    """A remark where whole lots left the house book larger than it may be."""
    for one in readings:
        if one.limit == "house_max" and one.used > one.bound + one.gave_way + _BY_LOTS_MIN:
            return ("broken further by whole lots: house_max",)
    return ()
