"""The further limits in the convex model: their parameters and their constraints.

Place in the flow: `model` adds them to the allocation, `least` to the search for the least
violation; both load them before each solve. Paper symbols as in `model`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp

from coordinator.core.ports import AllocationProblem
from coordinator.solver.further import Counts, further_of
from coordinator.solver.limits import group_limit, linear_limit, root_of, volatility_limit
from coordinator.solver.room import Room

__all__ = ["RowParameters", "RowRooms", "Rows", "build_parameters", "build_rows"]


@dataclass(frozen=True, slots=True)
class RowParameters:
    """The coefficients of further rows; None where there is no row of a kind.

    linear, groups: (k, n). root: (n, n) R with R'R = Sigma; root_start: (n,) R w0.
    """

    linear: cp.Parameter | None
    groups: cp.Parameter | None
    root: cp.Parameter | None
    root_start: cp.Parameter | None

    def load(self, problem: AllocationProblem) -> None:
        """Set all coefficients."""
        further = further_of(problem)
        if self.linear is not None:
            self.linear.value = further.linear
        if self.groups is not None:
            self.groups.value = further.gross
        if self.root is not None and self.root_start is not None:
            root = root_of(problem.covariance)
            self.root.value, self.root_start.value = root, root @ problem.start


@dataclass(frozen=True, slots=True)
class RowRooms:
    """What the rows may use, as in `room.Room`: (k,), (k,) and a scalar."""

    linear: cp.Parameter | None
    groups: cp.Parameter | None
    volatility: cp.Parameter | None

    def load(self, room: Room) -> None:
        """Set all that the rows may use."""
        if self.linear is not None:
            self.linear.value = room.linear
        if self.groups is not None:
            self.groups.value = room.groups
        if self.volatility is not None:
            self.volatility.value = room.volatility


@dataclass(frozen=True, slots=True)
class Rows:
    """The constraints of the further limits whose duals are the rows' prices."""

    parameters: RowParameters
    rooms: RowRooms
    linear: cp.Constraint | None
    groups: cp.Constraint | None
    volatility: cp.SOC | None

    @property
    def constraints(self) -> list[cp.Constraint]:
        """Those that there are, in a fixed order."""
        return [one for one in (self.linear, self.groups, self.volatility) if one is not None]


def build_parameters(n: int, counts: Counts) -> RowParameters:
    """Parameters for so many rows over n instruments."""
    cone = counts.volatility > 0
    return RowParameters(
        linear=cp.Parameter((counts.linear, n)) if counts.linear else None,
        groups=cp.Parameter((counts.gross, n), nonneg=True) if counts.gross else None,
        root=cp.Parameter((n, n)) if cone else None,
        root_start=cp.Parameter(n) if cone else None,
    )


def build_rows(counts: Counts, trades: cp.Variable, exposure: cp.Variable) -> Rows:
    """The further limits of the allocation; turnover and cash are in the rows it has already."""
    given = build_parameters(trades.shape[0], counts)
    linear = groups = volatility = None
    rooms = RowRooms(
        linear=cp.Parameter(counts.linear) if counts.linear else None,
        groups=cp.Parameter(counts.gross) if counts.gross else None,
        volatility=cp.Parameter() if counts.volatility else None,
    )
    if given.linear is not None and rooms.linear is not None:
        linear = linear_limit(trades, given.linear, rooms.linear)
    if given.groups is not None and rooms.groups is not None:
        groups = group_limit(exposure, given.groups, rooms.groups)
    if given.root is not None and given.root_start is not None and rooms.volatility is not None:
        volatility = volatility_limit(trades, given.root, given.root_start, rooms.volatility)
    return Rows(given, rooms, linear, groups, volatility)
