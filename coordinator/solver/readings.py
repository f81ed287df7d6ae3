"""What each limit was used for and what easing it would be worth.

Place in the flow: the last step of `CvxAllocator`, for the decision's reasons. Prices of sums come
from the solver's duals; those of single names from the optimum's balance at that name, which stays
exact where several bounds coincide (a halted name). It must never invent a price where nothing was
certified.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import HOUSE_TIER, AllocationProblem, Floats, LimitReading
from coordinator.core.words import listed
from coordinator.solver.certificate import Prices, one_sided_slopes
from coordinator.solver.further import excess, further_of, used
from coordinator.solver.ladder import Plan
from coordinator.solver.limits import (
    cash_left,
    cash_paid,
    gross_used,
    position_range,
    turnover_used,
)
from coordinator.solver.sizes import best_sizes
from coordinator.solver.solution import house_used
from coordinator.solver.tiers import GAVE_MIN
from coordinator.solver.trim import Flags

__all__ = ["gave_way", "read_limits"]

# A bound closer than this to the continuous trade binds, fraction of NAV.
_BINDING = 1e-6


def read_limits(problem: AllocationProblem, plan: Plan, trades: Floats) -> tuple[LimitReading, ...]:
    """Readings of all limits on sums, and of single-name limits where they bind, in a fixed order.

    plan: the continuous trades, which say what binds and at which price. trades: (n,) the answer
    after rounding, which says what is used. A floor's price is <= 0: raising it costs.
    """
    prices, rows = _shared(problem, plan, _binding_prices(problem, plan))
    sums: tuple[LimitReading, ...] = (
        LimitReading(
            "gross_max", None, gross_used(problem, trades), problem.gross_max, prices.gross
        ),
        LimitReading(
            "cash_floor",
            None,
            cash_left(problem, trades),
            problem.cash_floor,
            0.0 - prices.cash,
            side="lower",
        ),
        LimitReading(
            "turnover_max", None, turnover_used(trades), problem.turnover_max, prices.turnover
        ),
    )
    sums += _rows(problem, plan, trades, rows)
    sums += _house(problem, plan, trades)
    return sums + (_names(problem, plan, trades) if plan.certified else ())


def gave_way(readings: tuple[LimitReading, ...]) -> tuple[str, ...]:
    """One remark that says which soft limits gave way, by how much and at what price, if any."""
    gone = sorted((one for one in readings if one.tier and one.gave_way), key=lambda one: -one.tier)
    if not gone:
        return ()
    said = [
        f"{one.limit}{f'/{one.label}' if one.label else ''} ({one.side}, tier {one.tier}) "
        f"by {one.gave_way:.2g} at {abs(one.shadow_price):.2g}"
        for one in gone
    ]
    return (f"gave way: {listed(said)}",)


def _shared(problem: AllocationProblem, plan: Plan, prices: Prices) -> tuple[Prices, Floats]:
    """The prices of the limits of every problem, and (m,) those of the further rows, scaled.

    Where several limits bound the same sum, its price is the tightest one's, of equal ones the
    first's: easing another is worth nothing.
    """
    if not problem.limits:
        return prices, np.zeros(0)
    further = further_of(problem)
    counts = further.counts
    rows = np.zeros(len(further.bound))
    for kind, found in (("linear", prices.linear), ("gross", prices.groups)):
        rows[counts.part(kind)] = found if len(found) else 0.0
    eased = further.bound + plan.allowed.further
    cash = [-(problem.cash_floor - plan.allowed.cash), *eased[counts.part("cash")]]
    turnover = [problem.turnover_max, *eased[counts.part("turnover")]]
    volatility = [np.inf, *eased[counts.part("volatility")]]
    totals = {"cash": prices.cash, "turnover": prices.turnover, "volatility": prices.volatility}
    for (kind, price), bounds in zip(totals.items(), (cash, turnover, volatility), strict=True):
        at = int(np.argmin(bounds))
        if at:
            rows[counts.part(kind).start + at - 1] = price
            totals[kind] = 0.0
    return replace(prices, cash=totals["cash"], turnover=totals["turnover"]), rows


def _rows(
    problem: AllocationProblem, plan: Plan, trades: Floats, prices: Floats
) -> tuple[LimitReading, ...]:
    """Readings of the further limits, in the order of the problem, upper bounds before floors.

    trades: (n,) the answer. prices: (m,) scaled.
    """
    if not problem.limits:
        return ()
    further, now = further_of(problem), used(problem, trades)
    gone = excess(problem, plan.trades)
    gone = np.where(gone > GAVE_MIN, gone * further.scale, 0.0)
    own = further.side * further.scale
    columns = (now * own, further.bound * own, further.side * prices / further.scale, gone)
    lines = sorted(zip(further.source, -further.side, range(len(gone)), strict=True))
    values = np.stack(columns, axis=1) + 0.0
    return tuple(
        _reading(problem, at, index, -down, values[row].tolist())
        for (at, index), down, row in lines
    )


def _house(problem: AllocationProblem, plan: Plan, trades: Floats) -> tuple[LimitReading, ...]:
    """The reading of the house book's bound, the last of all soft ones, where there is one."""
    if problem.sleeves is None or not np.isfinite(problem.sleeves.house_max):
        return ()
    bound = problem.sleeves.house_max
    sizes = plan.sizes if plan.certified else best_sizes(problem, plan.trades)
    over = house_used(problem, plan.trades, sizes) - bound
    return (
        LimitReading(
            "house_max",
            None,
            house_used(problem, trades, sizes),
            bound,
            plan.prices.house,
            tier=HOUSE_TIER,
            gave_way=over if over > GAVE_MIN else 0.0,
        ),
    )


def _reading(
    problem: AllocationProblem, at: int, index: int, side: float, values: list[float]
) -> LimitReading:
    limit, (now, bound, price, gone) = problem.limits[at], values
    return LimitReading(
        limit.name,
        None,
        now,
        bound,
        price,
        label=limit.labels[index] or None,
        side="lower" if side < 0.0 else "upper",
        tier=limit.tier,
        gave_way=gone,
    )


def _binding_prices(problem: AllocationProblem, plan: Plan) -> Prices:
    """The prices of the sums that bind; an interior point leaves dust on the others."""
    z, room, prices = plan.trades, plan.room, plan.prices
    gross, turnover = prices.gross, prices.turnover
    binding = Prices(
        gross=gross if gross and gross_used(problem, z) > room.gross - _BINDING else 0.0,
        cash=prices.cash if room.cash - cash_paid(problem, z) < _BINDING else 0.0,
        turnover=turnover if turnover and turnover_used(z) > room.turnover - _BINDING else 0.0,
    )
    if not problem.limits:
        return binding
    further, now = further_of(problem), used(problem, z)
    at_bound = now > further.bound + plan.allowed.further - _BINDING
    linear, groups = at_bound[further.counts.part("linear")], at_bound[further.counts.part("gross")]
    cone = at_bound[further.counts.part("volatility")].any()
    return replace(
        binding,
        linear=np.where(linear, prices.linear, 0.0) if len(prices.linear) else prices.linear,
        groups=np.where(groups, prices.groups, 0.0) if len(prices.groups) else prices.groups,
        volatility=prices.volatility if cone else 0.0,
    )


def _names(problem: AllocationProblem, plan: Plan, trades: Floats) -> tuple[LimitReading, ...]:
    room, z = plan.room, plan.trades
    low, high = room.box
    binding = ((z > high - _BINDING) | (z < low + _BINDING)).nonzero()[0]
    if not len(binding):
        return ()
    less, more = one_sided_slopes(problem, z, plan.prices, plan.sizes)
    lowest, highest = position_range(problem, trades)
    columns = (z, high, low, room.up, room.down, room.trade, more, less, lowest, highest)
    asked = (problem.position_max, problem.position_min, problem.trade_max, np.abs(trades))
    some = np.array((*columns, *asked))[:, binding]
    at, high, low, above, below, trade, more, less = some[:8]
    up = np.where(at > high - _BINDING, np.maximum(more, 0.0), 0.0)
    down = np.where(at < low + _BINDING, np.maximum(less, 0.0), 0.0)
    top = (at > above - _BINDING) & (above <= trade)
    floor = (at < below + _BINDING) & (below >= -trade)
    buys, sells = (at > trade - _BINDING) & ~top, (at < _BINDING - trade) & ~floor
    gain = np.maximum(np.where(buys, up, 0.0), np.where(sells, down, 0.0))
    names = [problem.instruments[i] for i in binding.tolist()]
    return _by_name(
        names,
        _Bound("position_max", "upper", top, some[9], some[10], up),
        _Bound("position_min", "lower", floor, some[8], some[11], 0.0 - down),
        _Bound("trade_max", "upper", buys | sells, some[13], some[12], gain),
    )


class _Bound(NamedTuple):
    """One limit of each of k names: (k,) whether it binds, what is used, the bound, its price."""

    limit: str
    side: str
    binds: Flags
    used: Floats
    bound: Floats
    price: Floats


def _by_name(names: list[str], *bounds: _Bound) -> tuple[LimitReading, ...]:
    """Readings where a limit binds, by name, and of one name in the order of the limits."""
    rows: list[NDArray[np.intp]] = []
    found: list[LimitReading] = []
    for one in bounds:
        at = one.binds.nonzero()[0]
        numbers = (column[at].tolist() for column in (one.used, one.bound, one.price))
        told = [names[i] for i in at.tolist()]
        rest = repeat(None), repeat(one.side), repeat(0), repeat(0.0)
        found += map(
            LimitReading._make, zip(repeat(one.limit), told, *numbers, *rest, strict=False)
        )
        rows.append(at)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return tuple([found[i] for i in order.tolist()])
