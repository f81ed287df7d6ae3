"""Forces that add up: where a solver's prices leave trades pulled, those that balance them best.

Place in the flow: asked by `allocator` for an answer's forces. A thin room has large prices, and
their last digits are far from nothing in a force. Trades stay as they are. It must never take
prices by which the answer is no longer certified.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from coordinator.core.ports import AllocationProblem, Floats, Force
from coordinator.solver.certificate import Prices, upper_bound
from coordinator.solver.forces import forces_of
from coordinator.solver.ladder import Plan
from coordinator.solver.resting import AT, snapped
from coordinator.solver.segments import room_left
from coordinator.solver.sums import every_price, uses_of, with_prices

__all__ = ["balanced"]

_ADDS_UP = 1e-7
"""A pull that is none."""
_ROUNDS = 4


def balanced(
    problem: AllocationProblem, plan: Plan, gap_max: float
) -> tuple[Plan, tuple[Force, ...]]:
    """The plan with the prices that balance it best, and its forces; gap_max: as certified."""
    best, forces = plan, forces_of(problem, plan)
    least = left = _residual(forces)
    if np.abs(left).max(initial=0.0) <= _ADDS_UP:
        return best, forces
    # Only a sum that is used up is given a price; others keep the dust that a solver left on them.
    priced = np.flatnonzero(room_left(problem, plan.room, plan.trades) <= AT)
    moves = ~snapped(problem, plan.room, plan.trades, plan.prices)[1]
    prices = plan.prices
    for _ in range(_ROUNDS if len(priced) else 0):
        # A trade at an end is pulled by whatever its two sides allow, until that is too little.
        moves |= np.abs(left) > _ADDS_UP
        found = _refitted(problem, plan, prices, priced, np.flatnonzero(moves), left)
        if found is None:
            break
        prices = found
        gap = upper_bound(problem, plan.room, plan.trades, prices, plan.sizes) - plan.worth
        # Each is a bound, whoever found the prices: the tighter one stays.
        then = replace(plan, prices=prices, gap=min(max(gap, 0.0), plan.gap))
        pulls = forces_of(problem, then)
        left = _residual(pulls)
        better = np.abs(left).max() < np.abs(least).max()
        if better and gap <= gap_max * max(1.0, abs(plan.worth)):
            best, forces, least = then, pulls, left
    return best, forces


def _residual(forces: tuple[Force, ...]) -> Floats:
    """(n,) what all forces together leave of a pull; nothing where there are none."""
    total: Floats = np.sum([force.pulls for force in forces], axis=0) if forces else np.zeros(0)
    return total


def _refitted(
    problem: AllocationProblem,
    plan: Plan,
    prices: Prices,
    priced: NDArray[np.intp],
    names: NDArray[np.intp],
    left: Floats,
) -> Prices | None:
    """Prices of the sums that take most of what is left of the names' pulls; None: none found."""
    every = every_price(prices)
    uses = uses_of(problem, plan.trades)[priced][:, names].T
    if not uses.size:
        return None
    try:
        every[priced] = nnls(np.ascontiguousarray(uses), uses @ every[priced] + left[names])[0]
    except RuntimeError:
        return None
    return with_prices(prices, every)
