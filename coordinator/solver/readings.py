"""What each limit was used for and what easing it would be worth.

Place in the flow: the last step of `CvxAllocator`, for the decision's reasons. Prices of sums come
from the solver's duals; those of single names from the optimum's balance at that name, which stays
exact where several bounds coincide (a halted name). It must never invent a price where nothing was
certified.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats, LimitReading
from coordinator.solver.certificate import Prices, one_sided_slopes
from coordinator.solver.ladder import Plan
from coordinator.solver.limits import cash_left, gross_used, position_range, turnover_used

__all__ = ["read_limits"]

# A bound closer than this to the continuous trade binds, fraction of NAV.
_BINDING = 1e-6


def read_limits(problem: AllocationProblem, plan: Plan, trades: Floats) -> tuple[LimitReading, ...]:
    """Readings of all limits on sums, and of single-name limits where they bind, in a fixed order.

    plan: the continuous trades, which say what binds and at which price. trades: (n,) the answer
    after rounding, which says what is used. A floor's price is <= 0: raising it costs.
    """
    prices = _binding_prices(problem, plan)
    sums = (
        LimitReading(
            "gross_max", None, gross_used(problem, trades), problem.gross_max, prices.gross
        ),
        LimitReading(
            "cash_floor", None, cash_left(problem, trades), problem.cash_floor, 0.0 - prices.cash
        ),
        LimitReading(
            "turnover_max", None, turnover_used(trades), problem.turnover_max, prices.turnover
        ),
    )
    return sums + (_names(problem, plan, trades) if plan.certified else ())


def _binding_prices(problem: AllocationProblem, plan: Plan) -> Prices:
    """The prices of the sums that bind; an interior point leaves dust on the others."""
    z, room = plan.trades, plan.room
    spare = cash_left(problem, z) - problem.cash_floor + plan.allowed.cash
    return Prices(
        gross=plan.prices.gross if gross_used(problem, z) > room.gross - _BINDING else 0.0,
        cash=plan.prices.cash if spare < _BINDING else 0.0,
        turnover=plan.prices.turnover if turnover_used(z) > room.turnover - _BINDING else 0.0,
    )


def _names(problem: AllocationProblem, plan: Plan, trades: Floats) -> tuple[LimitReading, ...]:
    room, z = plan.room, plan.trades
    low, high = room.box
    less, more = one_sided_slopes(problem, z, plan.prices)
    gain_up = np.where(z > high - _BINDING, np.maximum(more, 0.0), 0.0)
    gain_down = np.where(z < low + _BINDING, np.maximum(less, 0.0), 0.0)
    at_max = (z > room.up - _BINDING) & (room.up <= room.trade)
    at_min = (z < room.down + _BINDING) & (room.down >= -room.trade)
    buys_max = (z > room.trade - _BINDING) & ~at_max
    sells_max = (z < _BINDING - room.trade) & ~at_min
    lowest, highest = position_range(problem, trades)
    readings: list[LimitReading] = []
    columns: list[NDArray[Any]] = [at_max, at_min, buys_max, sells_max, lowest, highest]
    columns += [gain_up, gain_down, problem.position_max, problem.position_min]
    columns += [problem.trade_max, np.abs(trades)]
    binding = np.flatnonzero(at_max | at_min | buys_max | sells_max)
    lines = zip(binding.tolist(), *(column[binding].tolist() for column in columns), strict=True)
    for i, top, floor, buys, sells, low_end, high_end, up, down, most, least, reach, size in lines:
        name = problem.instruments[i]
        if top:
            readings.append(LimitReading("position_max", name, high_end, most, up))
        if floor:
            readings.append(LimitReading("position_min", name, low_end, least, 0.0 - down))
        if buys or sells:
            gain = max(up if buys else 0.0, down if sells else 0.0)
            readings.append(LimitReading("trade_max", name, size, reach, gain))
    return tuple(readings)
