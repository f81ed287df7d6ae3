"""The sizes of strategies that suit given trades best.

Place in the flow: where trades came without sizes (a rule, a hold, whole lots), so that what they
are worth is told with the best split into books. A least-squares problem in one variable a
strategy, exact where sizes settle at their bounds or between them, from the wishes on; where they
do not, which is where several are as good, as near as PIQP comes.
"""

from __future__ import annotations

import numpy as np
import piqp

from coordinator.core.ports import AllocationProblem, Floats, Sleeves
from coordinator.solver.pinned import pin
from coordinator.solver.settings import SolverSettings
from coordinator.solver.worth import NO_SIZES, variance_weight

__all__ = ["SIZE_LARGEST", "best_sizes", "likely_sizes", "sizes_most"]

SIZE_LARGEST = 100.0
"""No size is larger: a volatility of a hundred times the NAV in one session."""
_SETTLES_MAX = 12
"""Rounds in which sizes settle at their bounds or between them."""
_SAME = 1e-13
_TINY = np.finfo(float).tiny
_TOLERANCE = 1e-12
"""Tighter than a decision's: what is left here is told as the strategies' sizes."""


def sizes_most(sleeves: Sleeves) -> Floats:
    """(s,) largest sizes, all finite."""
    return np.minimum(sleeves.size_max, SIZE_LARGEST)


def best_sizes(problem: AllocationProblem, trades: Floats, begun: Floats | None = None) -> Floats:
    """(s,) sizes at which wishes and house are charged least after these trades, (n,).

    begun: (s,) sizes to begin from, best those of trades nearby; otherwise those wished for.
    """
    if problem.sleeves is None or not len(problem.sleeves.names):
        return NO_SIZES
    weight = problem.sleeves.house_weight
    return _fitted(problem.sleeves, problem.start + trades, weight, begun)


def likely_sizes(problem: AllocationProblem) -> Floats:
    """(s,) sizes as they would be were trading free and names independent: where to begin.

    Each name's weight then lies between what its opinion asks for and what the strategies do, so
    that the house is charged less than delta for it.
    """
    sleeves = problem.sleeves
    if sleeves is None or not len(sleeves.names):
        return NO_SIZES
    own = variance_weight(problem) * np.diag(problem.covariance)
    delta = sleeves.house_weight
    asked = np.divide(problem.mu, own, out=np.zeros_like(own), where=own > 0.0)
    asked = np.minimum(np.maximum(asked, problem.position_min), problem.position_max)
    together = own + delta
    weight = np.divide(delta * own, together, out=np.zeros_like(own), where=together > 0.0)
    return _fitted(sleeves, asked, weight)


def _fitted(
    sleeves: Sleeves, weights: Floats, charged: Floats | float, begun: Floats | None = None
) -> Floats:
    """(s,) sizes of least sum of pi (a - abar)^2 and charged / 2 (weights - T a)^2.

    weights: (n,). charged: (n,), or one number for all.
    """
    most, targets, pi = sizes_most(sleeves), sleeves.targets, sleeves.wish_weight
    pulled = (charged[:, None] if isinstance(charged, np.ndarray) else charged) * targets
    curvature = targets.T @ pulled
    own = np.einsum("ii->i", curvature)
    own += 2.0 * pi
    linear = -(pulled.T @ weights) - 2.0 * pi * sleeves.wished
    largest = float(own.max(initial=0.0))
    if largest <= 0.0 or not (most > 0.0).any():
        return np.zeros(len(most))
    begun = np.minimum(np.maximum(sleeves.wished if begun is None else begun, 0.0), most)
    sizes = _settled(curvature, linear, most, begun)
    if sizes is None:
        near = _near(curvature / largest, linear / largest, most)
        if near is None:
            return begun
        sizes = _settled(curvature, linear, most, near)
        return near if sizes is None else sizes
    return sizes


def _settled(curvature: Floats, linear: Floats, most: Floats, sizes: Floats) -> Floats | None:
    """(s,) sizes of least charge exactly, None where they do not settle from those given.

    Each is at a bound that it is pushed into, or nothing is gained by moving it.
    """
    own = np.maximum(curvature.diagonal(), _TINY)
    before = b""
    for _ in range(_SETTLES_MAX):
        alone = sizes - (curvature @ sizes + linear) / own
        above = alone > 0.0
        free = above & (alone < most)
        # Who rests and where says all: the same once more is the same sizes.
        now = free.tobytes() + above.tobytes()
        if now == before:
            return np.minimum(np.maximum(sizes, 0.0), most)
        before = now
        moved = np.where(free, 0.0, np.where(above, most, 0.0))
        try:
            slopes = linear[free] + curvature[free] @ moved
            moved[free] = -np.linalg.solve(curvature[free][:, free], slopes)
        except np.linalg.LinAlgError:
            return None
        if np.abs(moved - sizes).max() <= _SAME * max(float(np.abs(moved).max()), _SAME):
            return np.minimum(np.maximum(moved, 0.0), most)
        sizes = moved
    return None


def _near(curvature: Floats, linear: Floats, most: Floats) -> Floats | None:
    """(s,) nearly the same by PIQP, which ends a little inside the bounds; None where it fails."""
    solver = piqp.DenseSolver()
    pin(solver, SolverSettings(), _TOLERANCE)
    solver.setup(
        P=np.asfortranarray((curvature + curvature.T) / 2.0),
        c=linear,
        x_l=np.zeros(len(most)),
        x_u=most,
    )
    solver.solve()
    found = np.asarray(solver.result.x)
    return np.minimum(np.maximum(found, 0.0), most) if np.isfinite(found).all() else None
