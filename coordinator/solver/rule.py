"""Reduces breached limits without a solver.

Place in the flow: the rung below the solvers. It must never make any limit worse, and it trades
nothing where nothing is breached.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import excess, further_of
from coordinator.solver.limits import cash_left, gross_used, position_range, turnover_used
from coordinator.solver.violations import Violations, measure

__all__ = ["reduce_breaches"]

# Portions of the wanted reduction that are tried, largest first.
_PORTIONS = (1.0, 0.75, 0.5, 0.25, 0.1)
_NAMES_MAX = 100
"""Most names tried one by one, the largest trades first."""


def reduce_breaches(problem: AllocationProblem, before: Violations) -> Floats:
    """(n,) trades that move breached limits towards being kept and worsen no other.

    Positions come first, then gross exposure, cash and the further limits by reducing in proportion
    what uses them. The wanted trades
    are cut to what each position can take, trade_max and turnover_max, then to the largest tried
    portion that makes no limit worse; where there is none, names are taken one by one.
    """
    nothing = np.zeros_like(problem.filled)
    if not before.breached:
        return nothing
    by_position = _takes(problem, before.under - before.over)
    for wanted in (_with_sums(problem, by_position), by_position, np.minimum(by_position, 0.0)):
        within = _within_turnover(problem, wanted)
        for portion in _PORTIONS:
            if not measure(problem, portion * within).worse_than(before):
                return portion * within
    return _one_by_one(problem, _with_sums(problem, by_position), before)


def _one_by_one(problem: AllocationProblem, wanted: Floats, before: Violations) -> Floats:
    """(n,) the largest tried portion of each name's trade that makes no limit worse, by size."""
    found = np.zeros_like(wanted)
    largest = np.argsort(-np.abs(wanted), kind="stable")[:_NAMES_MAX]
    for i in largest[wanted[largest] != 0.0].tolist():
        for portion in _PORTIONS:
            tried = found.copy()
            tried[i] = portion * wanted[i]
            if not measure(problem, tried).worse_than(before):
                found = tried
                break
    return found


def _takes(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) trades cut to trade_max and to what keeps each position inside its own limits.

    What may fill counts both ways; a side that is broken already gets no worse.
    """
    lowest, highest = position_range(problem, np.zeros_like(trades))
    down = np.minimum(problem.position_min - lowest, 0.0)
    up = np.maximum(problem.position_max - highest, 0.0)
    within: Floats = np.clip(
        trades, np.maximum(down, -problem.trade_max), np.minimum(up, problem.trade_max)
    )
    return within


def _with_sums(problem: AllocationProblem, trades: Floats) -> Floats:
    """Trades, plus proportional reductions of what breaches gross exposure or cash."""
    lowest, highest = position_range(problem, trades)
    gross = gross_used(problem, trades)
    share = np.clip(1.0 - problem.gross_max / gross, 0.0, 1.0) if gross > 0 else 0.0
    # A name whose sign is open, because working trades may flip it, is left alone.
    longs, shorts = np.maximum(lowest, 0.0), np.minimum(highest, 0.0)
    missing = max(problem.cash_floor - cash_left(problem, trades), 0.0)
    sellable = float(np.sum(longs * np.maximum(1.0 - problem.cost_sell, 0.0)))
    sold = np.clip(missing / sellable, 0.0, 1.0) if sellable > 0 else 0.0
    wanted = trades - np.maximum(share, sold) * longs - share * shorts
    if problem.limits:
        wanted = np.where(trades == 0.0, _with_rows(problem, wanted, longs, shorts), wanted)
    return _takes(problem, wanted)


def _with_rows(problem: AllocationProblem, trades: Floats, longs: Floats, shorts: Floats) -> Floats:
    """(n,) trades, or the reduction that the most broken further limit on each name asks, if more.

    longs, shorts: (n,) what may be reduced. Only what is held is reduced, so that a floor which
    needs buys is left to other rungs.
    """
    further, nothing = further_of(problem), np.zeros_like(trades)
    counts, over = further.counts, np.where(further.hard, excess(problem, nothing), 0.0)
    held = longs + shorts
    share = nothing.copy()
    pushes = [further.linear * held, further.gross * np.abs(held)]
    for push, kind in zip(pushes, ("linear", "gross"), strict=True):
        adds = np.maximum(push, 0.0)
        size = adds.sum(axis=1)
        # Whose excess is larger is sold whole: no quotient is beyond all floats.
        part = np.minimum(over[counts.part(kind)], size) / np.where(size > 0.0, size, 1.0)
        asked = part[:, None] * (adds > 0.0)
        share = np.maximum(share, asked.max(axis=0, initial=0.0))
    volatility = counts.part("volatility")
    most = over[volatility] / np.maximum(over[volatility] + further.bound[volatility], 1e-300)
    share = np.maximum(share, np.clip(most, 0.0, 1.0).max(initial=0.0))
    cash = over[counts.part("cash")].max(initial=0.0)
    sellable = float(np.sum(longs * np.maximum(1.0 - problem.cost_sell, 0.0)))
    sold = min(cash, sellable) / sellable if sellable > 0.0 else 0.0
    reduction = -share * held - np.maximum(sold - share, 0.0) * longs
    return np.where(np.abs(reduction) > np.abs(trades), reduction, trades)


def _within_turnover(problem: AllocationProblem, trades: Floats) -> Floats:
    used = turnover_used(trades)
    if used <= problem.turnover_max:
        return trades
    return trades * (problem.turnover_max / used)
