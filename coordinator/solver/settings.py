"""The solver's pinned settings: which solvers, how tight, how many iterations.

Place in the flow: built in bootstrap, passed to `CvxAllocator`; part of the solver identity that
each decision names. It holds no time limit and must never get one: an answer that depends on
measured time cannot be replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FoundBy", "SolverName", "SolverSettings"]

SolverName = Literal["PIQP", "CLARABEL"]
FoundBy = Literal["PIQP", "CLARABEL", "NEWTON"]
"""Who may have found an answer: the solvers, or `semismooth` before the first of them."""


@dataclass(frozen=True, slots=True)
class SolverSettings:
    """What the decision path pins.

    solver, second_solver: the first to ask, and the one asked when the first does not certify.
    tolerance: residual and gap tolerance of the scaled problem, absolute and relative;
    quick_tolerance: the same of the best trades in segments, by PIQP directly. iterations_max:
    interior-point iterations before a solver gives up. newton_steps_max: steps before `semismooth`
    does, 0 to leave it out.
    gap_max: certified distance to the optimum that counts as solved, fraction of NAV (1e-6 is 0.01
    bp). models_max: compiled models kept, one per size, purpose, solver and rows.
    tier_solves_max: searches for soft limits that cannot all be kept, at least 1, one a tier: as
    many as a mandate has priorities; what is left after them stays as it is and is said.
    cone_solves_max: solves for the risk aversion at which a volatility limit is just kept, before a
    cone solver is asked. impact_solves_max: solves with impact as a parabola before that, at least
    1.
    """

    solver: SolverName = "PIQP"
    second_solver: SolverName = "CLARABEL"
    tolerance: float = 1e-9
    quick_tolerance: float = 1e-10
    iterations_max: int = 100
    newton_steps_max: int = 30
    gap_max: float = 1e-6
    models_max: int = 24
    tier_solves_max: int = 100
    cone_solves_max: int = 24
    impact_solves_max: int = 12
