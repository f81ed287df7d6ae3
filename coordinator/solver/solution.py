"""A solver's answer to one problem, and what it is worth whoever found it.

Place in the flow: made by `solve` and `segments`, judged by `ladder`. It must never take a solver's
word: prices and trades are put through the certificate, sums are added up again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, upper_bound
from coordinator.solver.further import further_of
from coordinator.solver.limits import cash_paid, turnover_used, volatility_used
from coordinator.solver.room import Room
from coordinator.solver.settings import FoundBy
from coordinator.solver.sizes import sizes_most
from coordinator.solver.terms import house_of
from coordinator.solver.worth import NO_SIZES, objective

__all__ = [
    "CONE_BINDS",
    "EXCESS_MAX",
    "Solution",
    "house_used",
    "judged",
    "no_solution",
    "volatility_broken",
]

CONE_BINDS = "a cone binds"
"""Status of an answer by a way that knows no cones: no failure, but another has to be asked."""
EXCESS_MAX = 1e-7
"""What a solver may overdraw a sum by and still be accepted; rounding repairs it to floats."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A solver's answer to one model, in fractions of NAV.

    trades: (n,) inside every single-name bound. gap: certified distance to the optimum, infinite
    when there is no usable answer. excess: largest amount by which the room is overdrawn. sizes:
    (s,) of the sleeves. worth: the objective, where the answer was judged.
    """

    solver: FoundBy
    status: str
    iterations: int
    trades: Floats
    prices: Prices
    gap: float
    excess: float
    sizes: Floats = field(default_factory=lambda: NO_SIZES)
    worth: float = np.nan

    @property
    def usable(self) -> bool:
        """Whether there is an answer at all, that overdraws no sum by more than rounding mends."""
        return bool(np.isfinite(self.gap)) and self.excess <= EXCESS_MAX


def judged(
    problem: AllocationProblem,
    room: Room,
    *,
    solver: FoundBy,
    status: str,
    iterations: int,
    found: Floats,
    prices: Prices,
    sizes: Floats = NO_SIZES,
) -> Solution:
    """What a solver found, pulled into the box, with its certified distance to the optimum."""
    low, high = room.box
    trades = np.minimum(np.maximum(found, low), high)
    if problem.sleeves is not None:
        sizes = np.minimum(np.maximum(sizes, 0.0), sizes_most(problem.sleeves))
    worth = objective(problem, trades, sizes)
    gap = upper_bound(problem, room, trades, prices, sizes, worth) - worth
    house = house_used(problem, trades, sizes) - room.house if problem.sleeves else 0.0
    excess = max(_overdrawn(problem, room, trades), house)
    return Solution(solver, status, iterations, trades, prices, gap, excess, sizes, worth)


def no_solution(
    problem: AllocationProblem, solver: FoundBy, status: str, iterations: int
) -> Solution:
    """What a solver that gave no usable numbers is worth: nothing."""
    nothing = np.zeros(len(problem.instruments))
    sizes = NO_SIZES if problem.sleeves is None else np.zeros(len(problem.sleeves.names))
    return Solution(solver, status, iterations, nothing, Prices(), np.inf, np.inf, sizes)


def volatility_broken(problem: AllocationProblem, room: Room, trades: Floats) -> bool:
    """Whether trades, (n,), are more volatile than is accepted."""
    if not np.isfinite(room.volatility):
        return False
    return volatility_used(problem, trades) > room.volatility + EXCESS_MAX


def house_used(problem: AllocationProblem, trades: Floats, sizes: Floats) -> float:
    """Sum of the house book's absolute weights, fraction of NAV; 0 without strategies."""
    if problem.sleeves is None:
        return 0.0
    return float(np.abs(house_of(problem.sleeves, problem.start + trades, sizes)).sum())


def _overdrawn(problem: AllocationProblem, room: Room, trades: Floats) -> float:
    """Largest amount by which trades overdraw the room of the sums, fraction of NAV."""
    exposure = np.maximum(room.highest + trades, -(room.lowest + trades))
    paid, turned = cash_paid(problem, trades), turnover_used(trades)
    sums = float(exposure.sum()) - room.gross, paid - room.cash, turned - room.turnover
    return float(max(*sums, _rows_overdrawn(problem, room, trades, exposure), 0.0))


def _rows_overdrawn(
    problem: AllocationProblem, room: Room, trades: Floats, exposure: Floats
) -> float:
    """The same for the further rows, in their scaled unit."""
    if not problem.limits:
        return 0.0
    further = further_of(problem)
    linear = (further.linear @ trades - room.linear).max(initial=0.0)
    groups = (further.gross @ exposure - room.groups).max(initial=0.0)
    if not further.counts.volatility:
        return float(max(linear, groups))
    return float(max(linear, groups, volatility_used(problem, trades) - room.volatility))
