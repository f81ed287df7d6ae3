"""Trims whole-lot trades until the limits on sums hold, then finishes mandatory reductions.

Place in the flow: called by `rounding` with trades that each keep their own limits. It must stay
deterministic: names are taken by what their trade is worth, ties by their order in the problem.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import marginal_value
from coordinator.solver.further import further_of
from coordinator.solver.limits import kink, volatility_slope
from coordinator.solver.violations import ROUNDING_TOLERANCE, Violations, measure

__all__ = ["Flags", "one_by_one", "repair"]

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]

# Trimming one sum can overdraw another (a sale dropped for turnover paid for a buy), so it is done
# in rounds.
_ROUNDS = 12
_COUNT_SNAP = 1e-9
# Of the largest relief; a name that eases a row by less would be given up for nothing.
_RELIEF_MIN = 1e-3


def repair(
    problem: AllocationProblem,
    trades: Floats,
    wanted: Floats,
    mandatory: Flags,
    *,
    before: Violations,
    allowed: Violations,
) -> Floats:
    """(n,) trades trimmed to keep all limits on sums, then completed where a breach remains.

    mandatory: (n,) trades that reduce a breached position, trimmed last. before: violations that
    may stay; allowed: those aimed at. The caller checks the result: a repair may fail.
    """
    now = measure(problem, trades)
    if not now.worse_than(before) and _missing(now, allowed) <= ROUNDING_TOLERANCE:
        return trades  # nothing to trim and nothing to complete
    order = _order(problem, trades, mandatory)
    for _ in range(_ROUNDS):
        trades = _trim_turnover(problem, trades, order)
        trades = _trim_gross(problem, trades, order, before)
        trades = _trim_cash(problem, trades, order, before)
        trades = _trim_further(problem, trades, order, before)
        if not measure(problem, trades).worse_than(before):
            break
    return _complete(problem, trades, wanted, before, allowed)


def _order(problem: AllocationProblem, trades: Floats, mandatory: Flags) -> list[int]:
    """Names by what their trade is worth per unit, the least first, mandatory ones last."""
    side = np.sign(trades)
    worth = side * marginal_value(problem, trades)
    worth = worth - np.where(side > 0, problem.cost_buy, problem.cost_sell)
    ranked = np.lexsort((np.arange(len(trades)), worth, mandatory))
    return [int(i) for i in ranked]


def one_by_one(
    problem: AllocationProblem, trades: Floats, mandatory: Flags, before: Violations
) -> Floats:
    """(n,) trades added singly, the most worthy first, where they make no limit worse.

    Twice, as a sale taken late can pay for a buy refused early.
    """
    kept = np.zeros_like(trades)
    order = _order(problem, trades, mandatory)[::-1]
    for i in order + order:
        if kept[i] == trades[i]:
            continue
        tried = kept.copy()
        tried[i] = trades[i]
        if not measure(problem, tried).worse_than(before):
            kept = tried
    return kept


def _trim_turnover(problem: AllocationProblem, trades: Floats, order: list[int]) -> Floats:
    excess = measure(problem, trades).turnover
    half = np.full_like(trades, 0.5)
    return _trim(problem, trades, [i for i in order if trades[i] != 0.0], half, excess)


def _trim_gross(
    problem: AllocationProblem, trades: Floats, order: list[int], before: Violations
) -> Floats:
    excess = measure(problem, trades).gross - before.gross
    turn = kink(problem)
    grows = ((trades > 0.0) & (trades > turn)) | ((trades < 0.0) & (trades < turn))
    return _trim(problem, trades, [i for i in order if grows[i]], np.ones_like(trades), excess)


def _trim_cash(
    problem: AllocationProblem, trades: Floats, order: list[int], before: Violations
) -> Floats:
    excess = measure(problem, trades).cash - before.cash
    return _trim(
        problem, trades, [i for i in order if trades[i] > 0.0], 1.0 + problem.cost_buy, excess
    )


def _trim_further(
    problem: AllocationProblem, trades: Floats, order: list[int], before: Violations
) -> Floats:
    """Trim what each hard row of the further limits is broken by, more than it was before."""
    if not problem.limits:
        return trades
    for row in np.flatnonzero(further_of(problem).hard):
        excess = float(measure(problem, trades).further[row] - before.further[row])
        if excess > ROUNDING_TOLERANCE:
            relief = _relief(problem, trades, int(row))
            enough = _RELIEF_MIN * np.max(np.abs(relief), initial=0.0)
            trades = _trim(
                problem, trades, [i for i in order if relief[i] > enough], relief, excess
            )
    return trades


def _relief(problem: AllocationProblem, trades: Floats, row: int) -> Floats:
    """(n,) how much one unit less of each trade eases a row of the further limits."""
    further, side = further_of(problem), np.sign(trades)
    counts = further.counts
    starts = [counts.part(kind).stop for kind in counts._fields]
    kind = counts._fields[int(np.searchsorted(starts, row, side="right"))]
    if kind == "linear":
        slope = further.linear[row]
    elif kind == "gross":
        group = further.gross[row - counts.linear]
        slope = group * np.where(trades > kink(problem), 1.0, -1.0)
    elif kind == "volatility":
        slope = volatility_slope(problem, trades)
    elif kind == "turnover":
        slope = side / 2
    else:
        slope = np.where(side > 0.0, 1.0 + problem.cost_buy, 0.0)
    result: Floats = slope * side
    return result


def _trim(
    problem: AllocationProblem, trades: Floats, names: list[int], relief: Floats, excess: float
) -> Floats:
    """Cut the named trades, in order, by whole lots until excess is gone.

    relief: (n,) how much one unit less of each trade eases the limit. A trade cut below trade_min
    goes.
    """
    if excess <= ROUNDING_TOLERANCE:
        return trades
    cut = trades.copy()
    for i in names:
        size = abs(trades[i])
        left = _whole(problem, i, max(size - excess / relief[i], 0.0))
        if left < problem.trade_min:
            left = 0.0
        cut[i] = np.sign(trades[i]) * left
        excess -= relief[i] * (size - left)
        if excess <= 0.0:
            break
    return cut


def _whole(problem: AllocationProblem, i: int, size: float) -> float:
    """The largest tradable size of name i up to size."""
    lot = float(problem.lot_weight[i])
    return float(np.floor(size / lot + _COUNT_SNAP) * lot) if lot > 0.0 else size


def _complete(
    problem: AllocationProblem,
    trades: Floats,
    wanted: Floats,
    before: Violations,
    allowed: Violations,
) -> Floats:
    """Round some trades away from zero, while a limit on sums is further broken than it was to be.

    One lot is added to the trades that lost most to rounding, if it helps and worsens nothing.
    """
    now = measure(problem, trades)
    lost = np.where(problem.lot_weight > 0.0, np.abs(wanted) - np.abs(trades), 0.0)
    for i in np.argsort(-lost, kind="stable"):
        missing = _missing(now, allowed)
        if missing <= ROUNDING_TOLERANCE or lost[i] <= 0.0:
            break
        tried = trades.copy()
        tried[i] += np.sign(wanted[i]) * problem.lot_weight[i]
        then = measure(problem, tried)
        if (
            abs(tried[i]) >= problem.trade_min
            and (bool(problem.limits) or _helps(problem, tried, i))
            and not (then.worse_than(before) or _missing(then, allowed) >= missing)
        ):
            trades, now = tried, then
    return trades


def _helps(problem: AllocationProblem, tried: Floats, i: int) -> bool:
    """Whether the trade still only reduces the position and does not cross zero."""
    return bool(tried[i] * problem.filled[i] < 0.0 and abs(tried[i]) <= abs(problem.filled[i]))


def _missing(now: Violations, allowed: Violations) -> float:
    """How much more of gross, cash and the hard rows is broken than was to be, fraction of NAV."""
    sums = max(now.gross - allowed.gross, 0.0) + max(now.cash - allowed.cash, 0.0)
    if not len(now.further):
        return sums
    rows = np.maximum(now.further - allowed.further, 0.0)[now.hard]
    return sums + float(rows.sum())
