"""The balance of an answer: how each term and limit pulls at each trade, adding up to nothing.

Place in the flow: the last step of `CvxAllocator`, for the decision's reasons. At the optimum the
pulls on every trade add up to 0; what is left shows itself as the residual. Where a charge has a
kink, at no trade or no weight, its pull is whatever within its two sides keeps the balance: that is
what a no-trade zone is. Source: the Karush-Kuhn-Tucker conditions; MATH, "Reasons that add up".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, Force
from coordinator.solver.certificate import Prices
from coordinator.solver.further import further_of
from coordinator.solver.ladder import Plan
from coordinator.solver.limits import kink
from coordinator.solver.terms import power_slope, square_slope
from coordinator.solver.worth import Point, has_impact, kinked_charges, point_of, smooth_terms

__all__ = ["forces_of"]

_AT = 1e-6
"""A trade this close to a kink, or to a bound, is at it: fraction of NAV."""
_AT_MOST = 1e-4
_LEFT = 1e-7
"""A residual that is none."""
_WORTHLESS = 1e-9
"""A hundred-thousandth of a basis point of NAV."""


class _Kinked(NamedTuple):
    """A charge per unit that changes at a trade. up, down: (n,) above and below it. at: (n,)."""

    name: str
    up: Floats
    down: Floats
    at: Floats


def forces_of(problem: AllocationProblem, plan: Plan) -> tuple[Force, ...]:
    """The pulls at the continuous trades, in a fixed order; none where nothing was certified."""
    if not plan.certified or not len(problem.mu):
        return ()
    point = point_of(problem, plan.trades, plan.sizes)
    firm = [*_smooth(point), *_rows(problem, plan.prices), *_impact(problem, plan)]
    kinked = list(_kinked(problem, plan.prices))
    missing = -_added([force.pulls for force in firm])
    near = np.full(len(missing), _AT)
    found = _balanced(plan, kinked, missing, near)
    left = np.abs(_added([force.pulls for force in found]) - missing)
    if left.max() > _LEFT:
        # So near a kink that it is worth nothing to go there: it is as good as at it.
        near = np.clip(_WORTHLESS / np.maximum(left, _LEFT), _AT, _AT_MOST)
        found = _balanced(plan, kinked, missing, np.where(left > _LEFT, near, _AT))
    return tuple(_merged([*firm, *found]))


def _balanced(plan: Plan, kinked: list[_Kinked], missing: Floats, near: Floats) -> list[Force]:
    """What charges with kinks, and single names' limits, give of what is missing.

    near: (n,) how close to a kink, or a bound, a trade is taken to be at it.
    """
    lower, upper = _sides(kinked, plan.trades, near)
    low = _added(lower)
    width = _added(upper) - low
    # Of several charges at their kinks each gives the same part of what it can.
    part = np.divide(missing - low, width, out=np.zeros_like(width), where=width > 0.0)
    part = np.minimum(np.maximum(part, 0.0), 1.0)
    given = [
        Force(one.name, below + part * (above - below))
        for one, below, above in zip(kinked, lower, upper, strict=True)
    ]
    left = missing - _added([force.pulls for force in given])
    return [*given, *_bounds(plan, left, near)]


def _added(rows: Sequence[Floats]) -> Floats:
    """(n,) the sum of some rows, in their order."""
    return reduce(np.add, rows)


def _smooth(point: Point) -> Iterator[Force]:
    for term in smooth_terms(point.problem):
        yield Force(term.name, term.pull(point))


def _impact(problem: AllocationProblem, plan: Plan) -> Iterator[Force]:
    """Impact to the power 3/2, and what the price of cash makes of all impact."""
    if has_impact(problem):
        slope = problem.charges.impact_weight * power_slope(problem, plan.trades)
        yield Force("impact", -slope)
    if plan.prices.cash > 0.0 and not problem.charges.none:
        slope = power_slope(problem, plan.trades) + square_slope(problem, plan.trades)
        yield Force("cash_floor", -plan.prices.cash * slope)


def _rows(problem: AllocationProblem, prices: Prices) -> Iterator[Force]:
    """The further limits that are linear in the weights where they are, and the house's bound."""
    further = further_of(problem)
    if len(prices.linear):
        for row in np.flatnonzero(prices.linear > 0.0).tolist():
            yield Force(_name(problem, row), -prices.linear[row] * further.linear[row])
    if len(prices.pull):
        yield Force(_name(problem, further.counts.part("volatility").start), -prices.pull)
    if len(prices.house_pull):
        yield Force("house_max", -prices.house_pull)


def _name(problem: AllocationProblem, row: int) -> str:
    """A further limit as its readings call it, with the label of its row."""
    at, index = further_of(problem).source[row]
    limit = problem.limits[at]
    label = limit.labels[index]
    return f"{limit.name}/{label}" if label else limit.name


def _kinked(problem: AllocationProblem, prices: Prices) -> Iterator[_Kinked]:
    nothing = np.zeros_like(problem.mu)
    for one in kinked_charges(problem):
        yield _Kinked(one.name, one.more, one.less, -problem.start if one.of_weight else nothing)
    if prices.cash > 0.0:
        paid = prices.cash * (1.0 + problem.cost_buy)
        brought = prices.cash * (1.0 - problem.cost_sell)
        yield _Kinked("cash_floor", paid, -brought, nothing)
    if prices.turnover > 0.0:
        half = nothing + prices.turnover / 2
        yield _Kinked("turnover_max", half, half, nothing)
    turn = kink(problem)
    if prices.gross > 0.0:
        gross = nothing + prices.gross
        yield _Kinked("gross_max", gross, gross, turn)
    further = further_of(problem)
    for row in np.flatnonzero(prices.groups > 0.0).tolist() if len(prices.groups) else ():
        each = prices.groups[row] * further.gross[row]
        yield _Kinked(_name(problem, further.counts.linear + row), each, each, turn)


def _sides(
    kinked: list[_Kinked], trades: Floats, near: Floats
) -> tuple[list[Floats], list[Floats]]:
    """The least and the largest pull of each charge at these trades, (n,) each."""
    lower, upper = [], []
    for one in kinked:
        above, below = trades > one.at + near, trades < one.at - near
        lower.append(np.where(below, one.down, -one.up))
        upper.append(np.where(above, -one.up, one.down))
    return lower, upper


def _bounds(plan: Plan, left: Floats, near: Floats) -> Iterator[Force]:
    """The pulls of single names' own limits: what is left where one is reached."""
    z, room = plan.trades, plan.room
    low, high = room.box
    up = np.where(z > high - near, np.minimum(left, 0.0), 0.0)
    down = np.where(z < low + near, np.maximum(left, 0.0), 0.0)
    by_position = (room.up <= room.trade, room.down >= -room.trade)
    parts = (
        ("position_max", np.where(by_position[0], up, 0.0)),
        ("position_min", np.where(by_position[1], down, 0.0)),
        ("trade_max", np.where(by_position[0], 0.0, up) + np.where(by_position[1], 0.0, down)),
    )
    for name, pulls in parts:
        if pulls.any():
            yield Force(name, pulls)


def _merged(forces: list[Force]) -> list[Force]:
    """One force a name, in the order of their first."""
    found: dict[str, Floats] = {}
    for force in forces:
        before = found.get(force.name)
        found[force.name] = force.pulls if before is None else before + force.pulls
    return [Force(name, pulls) for name, pulls in found.items()]
