"""Trims whole-lot trades until the limits on sums hold, then finishes mandatory reductions.

Place in the flow: called by `rounding` with trades that each keep their own limits. It must stay
deterministic: names are taken by what their trade is worth, ties by their order in the problem.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.limits import kink
from coordinator.solver.repair_cash import trim_cash
from coordinator.solver.repair_rows import soft_kept, trim_rows, trim_soft_rows
from coordinator.solver.sizes import best_sizes
from coordinator.solver.trim import Flags, trim, whole
from coordinator.solver.violations import ROUNDING_TOLERANCE, Violations, measure
from coordinator.solver.worth import marginal_value, rates_of

__all__ = ["in_pairs", "one_by_one", "repair"]

# Trimming one sum can overdraw another (a sale dropped for turnover paid for a buy), so it is done
# in rounds.
_ROUNDS = 12
# Names of each direction that are paired: all pairs are looked at.
_PAIRED_MAX = 8


def repair(
    problem: AllocationProblem,
    trades: Floats,
    wanted: Floats,
    mandatory: Flags,
    *,
    now: Violations,
    before: Violations,
    allowed: Violations,
) -> Floats:
    """(n,) trades trimmed to keep all limits on sums, then completed where a breach remains.

    mandatory: (n,) trades that reduce a breached position, trimmed last. now: what the trades
    break; before: violations that may stay; allowed: those aimed at. The caller checks the result:
    a repair may fail.
    """
    done = not now.worse_than(before) and _missing(now, allowed) <= ROUNDING_TOLERANCE
    if done and soft_kept(now, allowed):
        return trades  # nothing to trim and nothing to complete
    order = _order(problem, trades, mandatory)
    cut = _trimmed(problem, trades, order, before)
    if (np.abs(cut) < np.abs(trades))[mandatory].any():
        names = [i for i in order if mandatory[i]]
        other = _trimmed(problem, _step_back(problem, trades, wanted, names, before), order, before)
        if _better(measure(problem, other), measure(problem, cut), before):
            cut = other
    trades = _complete(problem, cut, wanted, before, allowed)
    return trim_soft_rows(problem, trades, order, allowed)


def _better(one: Violations, other: Violations, before: Violations) -> bool:
    """Whether the first breaks less: in all, or as much in all but less of the most broken."""
    if one.worse_than(before) or other.worse_than(before):
        return not one.worse_than(before)
    more = one.total - other.total
    return more < -ROUNDING_TOLERANCE or (
        more <= ROUNDING_TOLERANCE and one.largest < other.largest - ROUNDING_TOLERANCE
    )


def _trimmed(
    problem: AllocationProblem, trades: Floats, order: list[int], before: Violations
) -> Floats:
    """(n,) trades cut, in order, until no sum is more broken than before; that may fail."""
    for _ in range(_ROUNDS):
        trades = _trim_turnover(problem, trades, order)
        trades = _trim_gross(problem, trades, order, before)
        excess = measure(problem, trades).cash - before.cash
        trades = trim_cash(problem, trades, order, excess)
        trades = trim_rows(problem, trades, order, before)
        if not measure(problem, trades).worse_than(before):
            break
    return trades


def _step_back(
    problem: AllocationProblem, trades: Floats, wanted: Floats, names: list[int], before: Violations
) -> Floats:
    """(n,) trades of these names that were rounded away from zero a lot nearer to it, as needed.

    Mandatory ones are, each on its own: together they can ask more of a sum than it has. Otherwise
    one of them would be cut for all.
    """
    left = measure(problem, trades).beyond(before)
    for i in names:
        if left <= ROUNDING_TOLERANCE:
            break
        lot = float(problem.lot_weight[i])
        size = abs(trades[i]) - lot
        if lot <= 0.0 or abs(trades[i]) <= abs(wanted[i]) or size < max(problem.trade_min, lot):
            continue
        tried = trades.copy()
        tried[i] = np.sign(trades[i]) * whole(problem, i, size)
        then = measure(problem, tried).beyond(before)
        if then < left:
            trades, left = tried, then
    return trades


def _order(problem: AllocationProblem, trades: Floats, mandatory: Flags) -> list[int]:
    """Names by what their trade is worth per unit, the least first, mandatory ones last."""
    side = np.sign(trades)
    rates = rates_of(problem)
    worth = side * marginal_value(problem, trades, best_sizes(problem, trades))
    worth = worth - np.where(side > 0, rates.buy, rates.sell)
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


def in_pairs(
    problem: AllocationProblem, trades: Floats, mandatory: Flags, before: Violations
) -> Floats:
    """(n,) trades of as much bought as sold, pair by pair, where they make no limit worse.

    What bounds a sum from both sides can refuse each of the two alone. The larger one of a pair is
    cut to whole lots of the smaller one's weight.
    """
    kept, order = np.zeros_like(trades), _order(problem, trades, mandatory)[::-1]
    buys = [i for i in order if trades[i] > 0.0][:_PAIRED_MAX]
    sells = [i for i in order if trades[i] < 0.0][:_PAIRED_MAX]
    for buy in buys:
        for sell in sells:
            size = min(trades[buy] - kept[buy], kept[sell] - trades[sell])
            tried = kept.copy()
            tried[buy] += whole(problem, buy, size)
            tried[sell] -= whole(problem, sell, size)
            sizes = np.abs(tried[[buy, sell]])
            if (sizes < max(problem.trade_min, ROUNDING_TOLERANCE)).any():
                continue
            if not measure(problem, tried).worse_than(before):
                kept = tried
    return kept


def _trim_turnover(problem: AllocationProblem, trades: Floats, order: list[int]) -> Floats:
    excess = measure(problem, trades).turnover
    half = np.full_like(trades, 0.5)
    return trim(problem, trades, [i for i in order if trades[i] != 0.0], half, excess)


def _trim_gross(
    problem: AllocationProblem, trades: Floats, order: list[int], before: Violations
) -> Floats:
    excess = measure(problem, trades).gross - before.gross
    turn = kink(problem)
    grows = ((trades > 0.0) & (trades > turn)) | ((trades < 0.0) & (trades < turn))
    return trim(problem, trades, [i for i in order if grows[i]], np.ones_like(trades), excess)


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
