"""How tight PIQP solves and how long: one place says it.

Place in the flow: whoever hands PIQP a problem makes a solver of its own for it, so that every
solve is cold, and has it pinned here.
"""

from __future__ import annotations

import piqp

from coordinator.solver.settings import SolverSettings

__all__ = ["pin"]


def pin(
    solver: piqp.DenseSolver | piqp.SparseSolver, settings: SolverSettings, tolerance: float
) -> None:
    """Set the tolerance and the most iterations of a solver that has seen no problem."""
    given = solver.settings
    given.eps_abs = given.eps_rel = tolerance
    given.max_iter = settings.iterations_max
