"""The sizes of strategies that suit given trades best.

Place in the flow: where trades came without sizes (a rule, a hold, whole lots), so that what they
are worth is told with the best split into books. A least-squares problem in one variable a
strategy, solved cold.
"""

from __future__ import annotations

import numpy as np
import piqp

from coordinator.core.ports import AllocationProblem, Floats, Sleeves
from coordinator.solver.worth import NO_SIZES

__all__ = ["SIZE_LARGEST", "best_sizes", "sizes_most"]

SIZE_LARGEST = 100.0
"""No size is larger: a volatility of a hundred times the NAV in one session."""
_TOLERANCE = 1e-12
_ITERATIONS_MAX = 100


def sizes_most(sleeves: Sleeves) -> Floats:
    """(s,) largest sizes, all finite."""
    return np.minimum(sleeves.size_max, SIZE_LARGEST)


def best_sizes(problem: AllocationProblem, trades: Floats) -> Floats:
    """(s,) sizes at which wishes and house are charged least after these trades, (n,)."""
    sleeves = problem.sleeves
    if sleeves is None or not len(sleeves.names):
        return NO_SIZES
    most, targets = sizes_most(sleeves), sleeves.targets
    weight, pi = sleeves.house_weight, sleeves.wish_weight
    curvature = weight * (targets.T @ targets) + np.diag(2.0 * pi)
    linear = -weight * (targets.T @ (problem.start + trades)) - 2.0 * pi * sleeves.wished
    largest = float(np.diag(curvature).max())
    if largest <= 0.0 or not (most > 0.0).any():
        return np.zeros(len(most))
    solver = piqp.DenseSolver()
    solver.settings.eps_abs = solver.settings.eps_rel = _TOLERANCE
    solver.settings.max_iter = _ITERATIONS_MAX
    solver.setup(
        P=np.asfortranarray(curvature / largest),
        c=linear / largest,
        x_l=np.zeros(len(most)),
        x_u=most,
    )
    solver.solve()
    found = np.asarray(solver.result.x)
    if not np.isfinite(found).all():
        return np.minimum(sleeves.wished, most)
    result: Floats = np.clip(found, 0.0, most)
    return result
