"""The ladder: solved, relaxed, rule, hold. Some rung always answers.

Place in the flow: `allocator` hands over a checked problem and rounds what comes back. It must
never raise for a finite problem, and never hide which rung answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from coordinator.core.ports import DRIFT, AllocationProblem, Floats
from coordinator.core.words import listed
from coordinator.solver.certificate import Prices
from coordinator.solver.house import keep_house
from coordinator.solver.least import Choice
from coordinator.solver.least_paying import NOT_PROVEN
from coordinator.solver.room import Room, make_room
from coordinator.solver.rule import reduce_breaches
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import CONE_BINDS, EXCESS_MAX, Solution
from coordinator.solver.solve import least_violation, optimise, restore
from coordinator.solver.tiers import (
    EASE,
    any_gave_way,
    ease_soft,
    has_soft,
    settle,
    strict,
)
from coordinator.solver.violations import (
    ROUNDING_TOLERANCE,
    Violations,
    broken_names,
    measure,
)
from coordinator.solver.worth import NO_SIZES

__all__ = ["Plan", "climb"]

_EASE_ALL = 8e-7
"""What all broken limits are eased by together, at most: a millionth of NAV is their bound."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Continuous trades, before rounding, and how they were found.

    room: what the trades were allowed; allowed: the violations it includes; certified: within
    gap_max of the best. sizes: (s,) of the sleeves; gap: certified distance to the best; worth: the
    objective, where it is certified.
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
    sizes: Floats = field(default_factory=lambda: NO_SIZES)
    gap: float = float("inf")
    worth: float = float("nan")


def climb(
    problem: AllocationProblem, before: Violations, shelf: ModelShelf, settings: SolverSettings
) -> Plan:
    """The first rung's answer that can be trusted."""
    nothing = np.zeros_like(problem.filled)
    if not before.breached:
        # Drift below the tolerance may stay, it may not grow.
        return _softly(problem, before, nothing, shelf, settings)
    broken = f"breached before trading: {listed(broken_names(problem, before))}"
    ruled = reduce_breaches(problem, before)
    left = measure(problem, ruled)
    if left.largest <= ROUNDING_TOLERANCE:
        # Trades that break nothing prove that the least violation is none: no search for it.
        allowed = _allowed(left, before)
        return _relaxed(problem, allowed, ruled, shelf, settings, (broken,))
    remarks = [broken]
    for solver in (settings.solver, settings.second_solver):
        found = _restored(problem, before, shelf, settings, solver)
        if found.usable:
            if found.status == NOT_PROVEN:
                remarks.append("beside impact, what stays broken is not proven to be the least")
            allowed = _allowed(measure(problem, found.trades), before)
            return _relaxed(problem, allowed, found.trades, shelf, settings, tuple(remarks))
        if found.status != CONE_BINDS:
            broken_by = f", {found.excess:.1e} beyond" if np.isfinite(found.gap) else ""
            remarks.append(f"{solver} found no least violation: {found.status}{broken_by}")
    return _rule(problem, before, tuple(remarks))


def _restored(
    problem: AllocationProblem,
    before: Violations,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """The least violation of all hard limits (phase 1), none above what it is before trading."""
    if not problem.limits:
        return restore(problem, before, shelf, settings, solver)
    hard = before.hard
    most = replace(before, further=np.where(hard, before.further, np.inf), turnover=0.0)
    choice = Choice(always=True, rows=hard.astype(np.float64), most=most)
    return least_violation(problem, choice, shelf, settings, solver)


def _relaxed(
    problem: AllocationProblem,
    allowed: Violations,
    known: Floats,
    shelf: ModelShelf,
    settings: SolverSettings,
    remarks: tuple[str, ...],
) -> Plan:
    """The best trades (phase 2) that leave no more broken than allowed."""
    plan = _softly(problem, allowed, known, shelf, settings)
    rung = "relaxed" if plan.certified else plan.rung
    return replace(plan, rung=rung, remarks=(*remarks, *plan.remarks))


def _allowed(found: Violations, before: Violations) -> Violations:
    """What phase 2 may leave broken: the least violation and a little, never more than before."""
    hard = before.hard
    sums = int(before.gross > 0.0) + int(before.cash > 0.0)
    names = np.count_nonzero(before.over > 0.0) + np.count_nonzero(before.under > 0.0)
    broken = sums + int(names) + int(np.count_nonzero(before.further[hard] > 0.0))
    ease = min(EASE, _EASE_ALL / max(broken, 1))
    return Violations(
        over=np.minimum(before.over, found.over + ease * (before.over > 0)),
        under=np.minimum(before.under, found.under + ease * (before.under > 0)),
        trade=np.zeros_like(before.trade),
        gross=min(before.gross, found.gross + ease),
        cash=min(before.cash, found.cash + ease),
        turnover=0.0,
        further=np.where(hard, np.minimum(before.further, found.further + ease), 0.0),
        hard=hard,
    )


def _softly(
    problem: AllocationProblem,
    allowed: Violations,
    known: Floats,
    shelf: ModelShelf,
    settings: SolverSettings,
) -> Plan:
    """The best trades with soft limits kept; where that cannot be, as little broken as can be.

    allowed: of the hard limits. known: (n,) trades that keep to it.
    """
    solvers = (settings.solver, settings.second_solver)
    kept = strict(problem, allowed)
    if not has_soft(problem):
        return _solve_rungs(problem, kept, known, solvers, shelf, settings)
    # Kept all, they are hard ones: that is the answer wherever it exists, and the fast way. Where
    # the first solver finds none, the tiers say whether there is one.
    plan = _first_certified(problem, kept, solvers[:1], shelf, settings)
    if isinstance(plan, Plan):
        return plan
    settled = settle(problem, allowed, known, shelf, settings)
    # A room can be too thin to be certified: then soft limits give way a little more.
    plan = _first_certified(problem, settled.allowed, solvers, shelf, settings)
    if not isinstance(plan, Plan):
        wider, thin = ease_soft(problem, settled.allowed), plan
        plan = _solve_rungs(problem, wider, known, solvers, shelf, settings)
        plan = replace(plan, remarks=(*thin, *plan.remarks))
    relaxed = plan.certified and any_gave_way(problem, plan.trades)
    rung = "relaxed" if relaxed else plan.rung
    return replace(plan, rung=rung, remarks=(*settled.remarks, *plan.remarks))


def _solve_rungs(
    problem: AllocationProblem,
    allowed: Violations,
    known: Floats,
    solvers: tuple[SolverName, SolverName],
    shelf: ModelShelf,
    settings: SolverSettings,
) -> Plan:
    """Ask each solver until an answer is certified, then fall to what is known, or to the rule."""
    plan = _first_certified(problem, allowed, solvers, shelf, settings)
    if isinstance(plan, Plan):
        return plan
    before = measure(problem, np.zeros_like(problem.filled))
    ruled, least = _rule(problem, before, plan), measure(problem, known)
    if least.total > measure(problem, ruled.trades).total - _EASE_ALL:
        return ruled
    remarks = (*plan, "kept the trades that leave least broken")
    kept = _allowed(least, before)
    room = make_room(problem, kept)
    return replace(ruled, trades=known, rung="rule", room=room, allowed=kept, remarks=remarks)


def _first_certified(
    problem: AllocationProblem,
    allowed: Violations,
    solvers: tuple[SolverName, ...],
    shelf: ModelShelf,
    settings: SolverSettings,
) -> Plan | tuple[str, ...]:
    """The first solver's answer that is certified, or why none is."""
    room = make_room(problem, allowed)
    remarks: list[str] = []
    for solver in solvers:
        found = optimise(problem, room, shelf, settings, solver)
        if _certified(found, settings):
            plan = _plan(room, allowed, found, tuple(remarks))
            return _with_house(problem, plan, found, shelf, settings)
        if found.status != CONE_BINDS:
            remarks.append(
                f"{solver} not certified: {found.status}, "
                f"gap {found.gap:.1e}, excess {found.excess:.1e}"
            )
    return tuple(remarks)


def _plan(
    room: Room,
    allowed: Violations,
    found: Solution,
    remarks: tuple[str, ...],
) -> Plan:
    """The plan of an answer that is certified."""
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
        remarks=remarks,
        sizes=found.sizes,
        gap=max(found.gap, 0.0),
        worth=found.worth,
    )


def _with_house(
    problem: AllocationProblem,
    plan: Plan,
    found: Solution,
    shelf: ModelShelf,
    settings: SolverSettings,
) -> Plan:
    """The plan under the house book's bound, which gives way before all else."""
    kept = keep_house(
        problem,
        plan.room,
        found,
        lambda answer: _certified(answer, settings),
        shelf,
        settings,
    )
    if kept is None:
        return plan
    remarks = (*plan.remarks, *kept.remarks)
    if kept.found is None:
        return replace(plan, rung="relaxed", remarks=remarks)
    rung = "relaxed" if kept.gave_way > 0.0 else plan.rung
    under = _plan(kept.room, plan.allowed, kept.found, remarks)
    return replace(under, rung=rung)


def _certified(found: Solution, settings: SolverSettings) -> bool:
    """Whether the answer keeps the room and is within gap_max (of values above 1) of the best."""
    return found.excess <= EXCESS_MAX and found.gap <= settings.gap_max * max(1.0, abs(found.worth))


def _rule(problem: AllocationProblem, before: Violations, remarks: tuple[str, ...]) -> Plan:
    """Reduce what is breached by rule and keep the rest; without a breach, hold."""
    trades = reduce_breaches(problem, before)
    acts = bool(np.any(np.abs(trades) > DRIFT))
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
