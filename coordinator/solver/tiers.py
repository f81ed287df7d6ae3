"""Soft limits: kept where they can all be kept, else they give way in the order of their tiers.

Place in the flow: `ladder` says what hard limits may be broken by, here it is settled what each
soft row may be. Tier 1 is settled first, so what has the largest number gives way first. Each tier
is a solve for the least violation of its rows, all that was settled before kept; together they
define the answer. A tier that the trades found so far keep needs no solve. It must never trade one
tier against another, by weights or in one search: no weight is safe.
Source: MATH, stage B.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import excess, further_of
from coordinator.solver.least import Choice
from coordinator.solver.settings import SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import EXCESS_MAX
from coordinator.solver.solve import least_violation
from coordinator.solver.violations import Violations

__all__ = [
    "EASE",
    "GAVE_MIN",
    "Settled",
    "any_gave_way",
    "ease_soft",
    "has_soft",
    "settle",
    "strict",
]

EASE = 2e-7
"""Added to the least violation of each row, so that the next solve has an inside. MATH, stage B,
allows 5e-7 in all."""
_EASE_WIDE = 1e-5
"""The same where a room is too thin for any solver: a tenth of a basis point."""
GAVE_MIN = 1e-6
"""A soft row broken by less than this, in its scaled unit, gave not way: it is the ease above."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What each limit may be broken by, now that every tier is settled, and what was hard to."""

    allowed: Violations
    remarks: tuple[str, ...]


def has_soft(problem: AllocationProblem) -> bool:
    """Whether any further limit may give way."""
    return any(limit.tier > 0 for limit in problem.limits)


def strict(problem: AllocationProblem, allowed: Violations) -> Violations:
    """The same, with no soft row broken."""
    if not has_soft(problem):
        return allowed
    return replace(allowed, further=np.where(further_of(problem).hard, allowed.further, 0.0))


def any_gave_way(problem: AllocationProblem, trades: Floats) -> bool:
    """Whether trades, (n,), leave a soft row broken by more than the ease."""
    soft = ~further_of(problem).hard
    return bool((excess(problem, trades)[soft] > GAVE_MIN).any())


def ease_soft(problem: AllocationProblem, allowed: Violations) -> Violations:
    """The same, with every soft row allowed to be broken a little more."""
    more = np.where(further_of(problem).hard, 0.0, _EASE_WIDE)
    return replace(allowed, further=allowed.further + more)


def settle(
    problem: AllocationProblem,
    allowed: Violations,
    known: Floats,
    shelf: ModelShelf,
    settings: SolverSettings,
) -> Settled:
    """What each soft row may be broken by, tier by tier.

    allowed: of the hard limits. known: (n,) trades that keep to it: where a tier cannot be solved,
    it is left as the last trades found leave it.
    """
    further, solves = further_of(problem), 0
    most = np.where(further.hard, allowed.further, np.inf)
    for level in np.unique(further.tier[further.tier > 0]).tolist():
        rows = further.tier == level
        if (excess(problem, known)[rows] > EXCESS_MAX).any():
            solves += 1
            limits = replace(allowed, further=most)
            choice = Choice(always=False, rows=rows.astype(np.float64), most=limits)
            found = _searched(problem, choice, shelf, settings, solves)
            if isinstance(found, str):
                # What follows is left as the last trades found leave it.
                most = np.minimum(most, excess(problem, known) + EASE)
                remark = f"soft limits from tier {level} on not settled, left as they are: {found}"
                return Settled(replace(allowed, further=most), (remark,))
            known = found
        most = np.where(rows, excess(problem, known) + EASE, most)
    return Settled(replace(allowed, further=most), ())


def _searched(
    problem: AllocationProblem,
    choice: Choice,
    shelf: ModelShelf,
    settings: SolverSettings,
    solves: int,
) -> Floats | str:
    """The trades of the search that is the solves-th, or why there are none."""
    if solves > settings.tier_solves_max:
        return f"more than {settings.tier_solves_max} searches"
    return _least(problem, choice, shelf, settings)


def _least(
    problem: AllocationProblem, choice: Choice, shelf: ModelShelf, settings: SolverSettings
) -> Floats | str:
    """The trades of the first solver whose answer can be trusted, or why there are none."""
    why = []
    for solver in (settings.solver, settings.second_solver):
        found = least_violation(problem, choice, shelf, settings, solver)
        if found.usable:
            return found.trades
        why.append(f"{solver} {found.status}, excess {found.excess:.1e}")
    return "; ".join(why)
