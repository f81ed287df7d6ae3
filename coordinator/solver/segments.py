"""The model of `model` in few variables: each trade as a start and a few segments.

Place in the flow: `quick` and `least_segments` cut a problem here and solve it in this form. It
must never know another problem than `model` states: tests hold both to the same answers, and the
certificate judges each.

What a trade costs and uses is linear between the ends of its box and its kinks: no trade, the
trade at which exposure is smallest, and where holding is charged the trade to no weight. So each
trade is a start plus at most a few segments,

    z = z0 + A t,  low <= t <= high,  z0 the trade nearest to none,

A the (n, k) matrix that adds up each name's segments. Slopes rise away from z0 (all costs and uses
are convex), so segments fill in order by themselves, and gross, cash, turnover and each further row
are one row:

    min  c't + t'A' H A t / 2   s.t.  G t <= room left at z0

H the curvature of the smooth terms. A strategy's size is one more segment, from 0 to its largest.

A long-only portfolio has about one segment a name, where the model has three variables and eight
rows a name. Names that cannot trade have none. Solved cold by a solver object of its own. A
volatility limit is not in it: where the answer keeps one anyway, it is the answer with it; where
not, the answer's excess says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats, Sleeves
from coordinator.solver.further import further_of
from coordinator.solver.limits import cash_paid, kink
from coordinator.solver.room import Room
from coordinator.solver.sizes import sizes_most
from coordinator.solver.worth import rates_of

__all__ = ["Segments", "can_bind", "cut", "room_left", "size_units", "with_sizes"]

_NARROW = 1e-12
"""A segment this narrow is none, fraction of NAV: an interior needs width."""


@dataclass(frozen=True, slots=True)
class Segments:
    """The pieces of all trades and sizes, (k,) each.

    name: index of the instrument, or n plus that of the strategy. low, high: how far it goes below
    and above z0; before: the trade from z0 that those nearer to it make together, where this one
    begins. cost: paid per unit of weight. uses: (3 + r, k) of gross, cash, turnover and the r
    further rows per unit of weight. start: (n,) z0.
    """

    name: NDArray[np.intp]
    low: Floats
    high: Floats
    before: Floats
    cost: Floats
    uses: Floats
    start: Floats

    def of(self, kept: NDArray[np.bool_]) -> Segments:
        """Those of a mask, (k,); the other parts stay unused."""
        return Segments(
            name=self.name[kept],
            low=self.low[kept],
            high=self.high[kept],
            before=self.before[kept],
            cost=self.cost[kept],
            uses=self.uses[:, kept],
            start=self.start,
        )


def cut(problem: AllocationProblem, room: Room) -> Segments:
    """The segments of every trade that has room."""
    low, high = room.box
    turn, zero = kink(problem), -problem.start
    rates = rates_of(problem)
    start = np.minimum(np.maximum(0.0, low), high)
    turned = np.minimum(np.maximum(turn, low), high)
    kinks = np.array([np.minimum(start, turned), np.maximum(start, turned)])
    if rates.long is not None:
        held = np.minimum(np.maximum(zero, low), high)
        kinks = np.sort(np.array([*kinks, held]), axis=0)
    ends = np.array([low, *kinks, high])
    below, above = ends[:-1], ends[1:]
    piece, name = np.nonzero(above - below > _NARROW)
    below, above, at = below[piece, name], above[piece, name], start[name]
    middle = (below + above) / 2
    bought = middle > 0.0
    cost = np.where(bought, rates.buy[name], -rates.sell[name])
    if rates.long is not None and rates.short is not None:
        cost = cost + np.where(middle > zero[name], rates.long[name], -rates.short[name])
    uses = np.array(
        [
            np.where(middle > turn[name], 1.0, -1.0),
            # Selling one unit brings 1 - cost_sell.
            1.0 + np.where(bought, problem.cost_buy[name], -problem.cost_sell[name]),
            np.where(bought, 0.5, -0.5),
        ]
    )
    if problem.limits:
        further = further_of(problem)
        uses = np.concatenate([uses, further.linear[:, name], further.gross[:, name] * uses[0]])
    up = below >= at
    width = above - below
    return Segments(
        name=name,
        low=np.where(up, 0.0, -width),
        high=np.where(up, width, 0.0),
        before=np.where(up, below, above) - at,
        cost=cost,
        uses=uses,
        start=start,
    )


def with_sizes(problem: AllocationProblem, parts: Segments) -> Segments:
    """The segments with one more for each strategy, in units of `size_units`; it uses nothing."""
    sleeves = problem.sleeves
    if sleeves is None or not len(sleeves.names):
        return parts
    most = sizes_most(sleeves) / size_units(sleeves)
    nothing = np.zeros(len(most))
    return Segments(
        name=np.concatenate([parts.name, len(parts.start) + np.arange(len(most))]),
        low=np.concatenate([parts.low, nothing]),
        high=np.concatenate([parts.high, most]),
        before=np.concatenate([parts.before, nothing]),
        cost=np.concatenate([parts.cost, nothing]),
        uses=np.concatenate([parts.uses, np.zeros((len(parts.uses), len(most)))], axis=1),
        start=parts.start,
    )


def can_bind(parts: Segments, left: Floats) -> NDArray[np.intp]:
    """Rows to solve with: the first three, and of the further ones those that parts can use up."""
    further = parts.uses[3:]
    most = np.maximum(further * parts.low, further * parts.high).sum(axis=1)
    return np.concatenate([np.arange(3), 3 + np.flatnonzero(most > left[3:])])


def size_units(sleeves: Sleeves) -> Floats:
    """(s,) sizes at which each strategy's weights have a length of 1.

    Sizes and trades are then of one scale, which a solver's last digits need.
    """
    length = np.sqrt(np.einsum("is,is->s", sleeves.targets, sleeves.targets))
    units: Floats = np.divide(1.0, length, out=np.ones_like(length), where=length > 0.0)
    return units


def room_left(problem: AllocationProblem, room: Room, start: Floats) -> Floats:
    """(3 + r,) room of gross, cash, turnover and the rows that z0 leaves; < 0 where overdrawn."""
    exposure = np.maximum(room.highest + start, -(room.lowest + start))
    turned = np.abs(start).sum() / 2
    paid = cash_paid(problem, start)
    left = np.array([room.gross - exposure.sum(), room.cash - paid, room.turnover - turned])
    if not problem.limits:
        return left
    further = further_of(problem)
    linear, groups = room.linear - further.linear @ start, room.groups - further.gross @ exposure
    return np.concatenate([left, linear, groups])
