"""The ladder: solved, relaxed, rule, hold. Some rung always answers.

Place in the flow: `allocator` hands over a checked problem and rounds what comes back. It must
never raise for a finite problem, and never hide which rung answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, objective
from coordinator.solver.room import Room, make_room
from coordinator.solver.rule import reduce_breaches
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.solution import Solution
from coordinator.solver.solve import ModelShelf, optimise, restore
from coordinator.solver.violations import (
    BREACH_TOLERANCE,
    ROUNDING_TOLERANCE,
    Violations,
    measure,
)

__all__ = ["Plan", "climb"]

# Added to the least violation so that phase 2 has an inside. Source: MATH, stage B.
_EASE = 5e-7
# What a solver may overdraw a sum by and still be accepted; rounding repairs it to float precision.
_EXCESS_MAX = 1e-7


@dataclass(frozen=True, slots=True)
class Plan:
    """Continuous trades, before rounding, and how they were found.

    room: what the trades were allowed; allowed: the violations it includes; certified: within
    gap_max of the best.
    """

    trades: Floats
    rung: str
    solver: str
    status: str
    iterations: int
    room: Room
    allowed: Violations
    prices: Prices
    certified: bool
    remarks: tuple[str, ...]


def climb(
    problem: AllocationProblem, before: Violations, shelf: ModelShelf, settings: SolverSettings
) -> Plan:
    """The first rung's answer that can be trusted."""
    solvers = (settings.solver, settings.second_solver)
    if not before.breached:
        # Drift below the tolerance may stay, it may not grow.
        return _solve_rungs(problem, before, solvers, shelf, settings)
    broken = "breached before trading: " + ", ".join(before.names())
    left = measure(problem, reduce_breaches(problem, before))
    if left.largest <= ROUNDING_TOLERANCE:
        # Trades that break nothing prove that the least violation is none: no search for it.
        return _relaxed(problem, _allowed(left, before), solvers, shelf, settings, (broken,))
    remarks = [broken]
    for solver in solvers:
        found = restore(problem, before, shelf, settings, solver)
        if np.isfinite(found.gap) and found.excess <= _EXCESS_MAX:
            allowed = _allowed(measure(problem, found.trades), before)
            return _relaxed(problem, allowed, solvers, shelf, settings, tuple(remarks))
        remarks.append(f"{solver} found no least violation: {found.status}")
    return _rule(problem, before, tuple(remarks))


def _relaxed(
    problem: AllocationProblem,
    allowed: Violations,
    solvers: tuple[SolverName, SolverName],
    shelf: ModelShelf,
    settings: SolverSettings,
    remarks: tuple[str, ...],
) -> Plan:
    """The best trades (phase 2) that leave no more broken than allowed."""
    plan = _solve_rungs(problem, allowed, solvers, shelf, settings)
    rung = "relaxed" if plan.certified else plan.rung
    return replace(plan, rung=rung, remarks=(*remarks, *plan.remarks))


def _allowed(found: Violations, before: Violations) -> Violations:
    """What phase 2 may leave broken: the least violation and a little, never more than before."""
    return Violations(
        over=np.minimum(before.over, found.over + _EASE * (before.over > 0)),
        under=np.minimum(before.under, found.under + _EASE * (before.under > 0)),
        trade=np.zeros_like(before.trade),
        gross=min(before.gross, found.gross + _EASE),
        cash=min(before.cash, found.cash + _EASE),
        turnover=0.0,
    )


def _solve_rungs(
    problem: AllocationProblem,
    allowed: Violations,
    solvers: tuple[SolverName, SolverName],
    shelf: ModelShelf,
    settings: SolverSettings,
) -> Plan:
    """Ask each solver until an answer is certified, then fall to the rule."""
    room = make_room(problem, allowed)
    remarks: list[str] = []
    for solver in solvers:
        found = optimise(problem, room, shelf, settings, solver)
        if _certified(problem, found, settings):
            return Plan(
                trades=found.trades,
                rung="solved",
                solver=found.solver,
                status=found.status,
                iterations=found.iterations,
                room=room,
                allowed=allowed,
                prices=found.prices,
                certified=True,
                remarks=tuple(remarks),
            )
        remarks.append(
            f"{solver} not certified: {found.status}, "
            f"gap {found.gap:.1e}, excess {found.excess:.1e}"
        )
    return _rule(problem, measure(problem, np.zeros_like(problem.filled)), tuple(remarks))


def _certified(problem: AllocationProblem, found: Solution, settings: SolverSettings) -> bool:
    """Whether the answer keeps the room and is within gap_max (of values above 1) of the best."""
    size = max(1.0, abs(objective(problem, found.trades)))
    return found.excess <= _EXCESS_MAX and found.gap <= settings.gap_max * size


def _rule(problem: AllocationProblem, before: Violations, remarks: tuple[str, ...]) -> Plan:
    """Reduce what is breached by rule and keep the rest; without a breach, hold."""
    trades = reduce_breaches(problem, before)
    acts = bool(np.any(np.abs(trades) > BREACH_TOLERANCE))
    return Plan(
        trades=trades,
        rung="rule" if acts else "hold",
        solver="none",
        status="no solver answered",
        iterations=0,
        room=make_room(problem, before),
        allowed=before,
        prices=Prices(),
        certified=False,
        remarks=(*remarks, "reduced breached limits by rule" if acts else "kept all positions"),
    )
