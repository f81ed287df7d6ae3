"""From continuous trades to whole lots.

Place in the flow: after `ladder`, before the answer. It must never leave a hard limit more broken
than not trading would: what cannot be repaired is held, and said so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coordinator.core.ports import DRIFT, AllocationProblem, Floats
from coordinator.core.words import listed
from coordinator.solver.repair import in_pairs, one_by_one, repair
from coordinator.solver.swaps import improve
from coordinator.solver.trim import Flags
from coordinator.solver.violations import (
    ROUNDING_TOLERANCE,
    Violations,
    beyond,
    measure,
    row_name,
)

__all__ = ["Lots", "round_trades"]

# A count this close to a whole number of lots is that number; a weight this close to zero is an
# exit.
_LOT_SNAP = 1e-6
_EXIT_SNAP = 1e-6
_WHOLE_SNAP = 1e-9
# An optimum certified to 0.01 bp of NAV says nothing about trades smaller than that.
_DUST = 1e-6
# A basis point: a soft limit that lots broke further by less is none worth a word.
_BY_LOTS_MIN = 1e-4


@dataclass(frozen=True, slots=True)
class Lots:
    """Whole-lot trades.

    trades: (n,) fractions of NAV. counts: (n,) as `Allocation.lots`. violations: of the trades.
    held: nothing else kept to the limits.
    """

    trades: Floats
    counts: Floats
    violations: Violations
    held: bool = False
    remarks: tuple[str, ...] = ()


def round_trades(
    problem: AllocationProblem, wanted: Floats, *, before: Violations, allowed: Violations
) -> Lots:
    """Round toward not trading, mandatory reductions away from it, then repair and check again.

    wanted: (n,) continuous trades. before: violations of not trading, never exceeded. allowed:
    violations that the continuous trades were to leave, aimed at. The first candidate that passes
    all hard limits wins.
    """
    if not np.any(wanted):
        return _lots(problem, wanted, before)
    for trades, found, remark in _candidates(problem, wanted, before, allowed):
        gave_up = bool(remark) and not trades.any()
        if not gave_up and not found.worse_than(before):
            better = improve(problem, trades, wanted, found)
            left = found if better is trades else measure(problem, better)
            said = _by_whole_lots(problem, left, allowed)
            return _lots(problem, better, left, remarks=(*remark, *said))
    nothing = np.zeros_like(wanted)
    why = "no whole-lot trades keep all limits: held"
    if np.any(problem.working_buys) and np.any(problem.working_sells):
        why += "; open buys and sells leave them little room"
    return _lots(problem, nothing, before, held=True, remarks=(why,))


def _by_whole_lots(
    problem: AllocationProblem, found: Violations, allowed: Violations
) -> tuple[str, ...]:
    """A remark that names the soft limits which whole lots broke further, if any."""
    more = found.further > allowed.further + _BY_LOTS_MIN
    rows = np.flatnonzero(more & ~found.hard).tolist()
    if not rows:
        return ()
    return (f"broken further by whole lots: {listed([row_name(problem, row) for row in rows])}",)


def _candidates(
    problem: AllocationProblem, wanted: Floats, before: Violations, allowed: Violations
) -> Iterator[tuple[Floats, Violations, tuple[str, ...]]]:
    """What to try, best first, with what it breaks and what to say of it.

    All trades repaired, those that can be had one by one or in pairs, those that mend a position.
    """
    mandatory = _mandatory(wanted, before)
    rounded = _round_each(problem, wanted, mandatory)
    now = measure(problem, rounded)
    trades = repair(problem, rounded, wanted, mandatory, now=now, before=before, allowed=allowed)
    yield trades, now if trades is rounded else measure(problem, trades), ()
    exact = np.where(problem.lot_weight > 0.0, rounded, wanted)
    if not np.array_equal(exact, rounded):
        # Where a limit leaves no room, such as an equality, dust counts.
        yield exact, measure(problem, exact), ()
    remark = "whole lots break a limit: kept one by one those trades that do not"
    for way in (one_by_one, in_pairs):
        trades = way(problem, rounded, mandatory, before)
        yield trades, measure(problem, trades), (remark,)
    trades = np.where(mandatory, rounded, 0.0)
    yield trades, measure(problem, trades), (remark,)


def _mandatory(wanted: Floats, before: Violations) -> Flags:
    """(n,) whether each wanted trade reduces a breach of that position's own limits."""
    selling = (before.over > DRIFT) & (wanted < 0.0)
    buying = (before.under > DRIFT) & (wanted > 0.0)
    result: Flags = selling | buying
    return result


def _round_each(
    problem: AllocationProblem,
    wanted: Floats,
    mandatory: Flags,
) -> Floats:
    """(n,) each trade rounded on its own, without regard to the sums."""
    lot = problem.lot_weight
    step = np.where(lot > 0.0, lot, 1.0)
    counts = np.abs(wanted) / step
    size = np.where(lot > 0.0, np.floor(counts + _LOT_SNAP) * step, np.abs(wanted))
    away = size
    if mandatory.any():
        up = np.where(lot > 0.0, np.ceil(counts - _LOT_SNAP) * step, np.abs(wanted))
        smallest = np.where(lot > 0.0, np.ceil(problem.trade_min / step) * step, problem.trade_min)
        away = np.maximum(up, smallest)
        # Away from zero only as far as the trade itself is possible.
        fits = (away <= problem.trade_max) & _inside(problem, np.sign(wanted) * away, wanted)
        size = np.where(mandatory & fits, away, size)
    size = np.where(size + _LOT_SNAP * lot < max(problem.trade_min, _DUST), 0.0, size)
    exits = _exits(problem, wanted, np.where(mandatory, away, size))
    return np.where(exits, -problem.filled, np.sign(wanted) * size)


def _inside(problem: AllocationProblem, trades: Floats, wanted: Floats) -> Flags:
    """(n,) whether each position's limits are no more broken than by the wanted trade."""
    (over, under), (over_goal, under_goal) = beyond(problem, trades), beyond(problem, wanted)
    gap = ROUNDING_TOLERANCE
    result: Flags = (over <= over_goal + gap) & (under <= under_goal + gap)
    return result


def _exits(problem: AllocationProblem, wanted: Floats, size: Floats) -> Flags:
    """(n,) whether the trade closes the position for good, odd lot or not.

    Only where nothing is working: an open order could still fill and leave another odd lot. Either
    the continuous trade ends at zero, or a mandatory reduction was rounded past zero.
    """
    held = np.abs(problem.filled)
    idle = (problem.working_buys == 0.0) & (problem.working_sells == 0.0)
    against = wanted * problem.filled < 0.0
    lands = (np.abs(problem.filled + wanted) <= _EXIT_SNAP) & (np.abs(wanted) >= held / 2)
    crosses = (np.abs(wanted) <= held) & (size > held)
    if crosses.any():
        crosses &= _inside(problem, -problem.filled, wanted)
    step = np.where(problem.lot_weight > 0.0, problem.lot_weight, 1.0)
    odd = (problem.lot_weight > 0.0) & (np.abs(held / step - np.rint(held / step)) > _WHOLE_SNAP)
    possible = (held > 0.0) & (held <= problem.trade_max) & (problem.exit_odd_lot | ~odd)
    result: Flags = idle & against & possible & (lands | crosses)
    return result


def _lots(
    problem: AllocationProblem,
    trades: Floats,
    violations: Violations,
    *,
    held: bool = False,
    remarks: tuple[str, ...] = (),
) -> Lots:
    """Count the lots: whole numbers, but for an odd-lot exit, whose count is what is held."""
    lot = problem.lot_weight
    step = np.where(lot > 0.0, lot, 1.0)
    whole = np.rint(trades / step)
    odd = (lot > 0.0) & (trades == -problem.filled) & (trades != 0.0)
    counts = np.where(lot > 0.0, np.where(odd, -problem.filled / step, whole), trades)
    # A holding of whole lots, but for float dust, is sold in whole lots.
    near = (np.abs(counts - whole) <= _WHOLE_SNAP) & (whole != 0.0)
    counts = np.where((lot > 0.0) & near, whole, counts)
    return Lots(trades + 0.0, counts + 0.0, violations, held, remarks)
