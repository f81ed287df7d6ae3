"""Whole lots moved one by one, or two at a time, while that is worth something.

Place in the flow: the last step of `rounding`, where lots are large enough to matter. Rounding
takes each name on its own; two names rounded the same way lose more than one up and one down. It
must never break a limit further than the trades it is given, and it takes the best move first, ties
by the order of the names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.sizes import best_sizes
from coordinator.solver.terms import power_paid
from coordinator.solver.violations import ROUNDING_TOLERANCE, Violations, measure
from coordinator.solver.worth import (
    curvature_added,
    marginal_value,
    objective,
    rates_of,
    variance_weight,
)

__all__ = ["improve"]

_LOSS_MIN = 1e-6
"""A hundredth of a basis point: lots that lose less are let be."""
_GAIN_MIN = 1e-9
_MOVES_MAX = 24
_TRIES_MAX = 12
"""Best moves that are tried before none is taken: others break limits, too."""
_NAMES_MAX = 80
"""Names whose lots are moved, the largest differences first: all pairs of them are looked at."""
_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class _Moves:
    """One lot of each name up, then down: (2 c,) name, change of weight and gain alone."""

    name: NDArray[np.intp]
    step: Floats
    gain: Floats


def improve(problem: AllocationProblem, trades: Floats, wanted: Floats, kept: Violations) -> Floats:
    """(n,) whole-lot trades worth at least as much, no limit broken further.

    wanted: (n,) the continuous trades. trades: (n,) whole lots, which break what is in kept.
    """
    names = _movable(problem, trades, wanted)
    if not len(names) or _worth(problem, wanted) - _worth(problem, trades) <= _LOSS_MIN:
        return trades
    for _ in range(_MOVES_MAX):
        better = _better(problem, trades, wanted, names, kept)
        if better is None:
            break
        trades = better
    return trades


def _worth(problem: AllocationProblem, trades: Floats) -> float:
    return objective(problem, trades, best_sizes(problem, trades))


def _movable(problem: AllocationProblem, trades: Floats, wanted: Floats) -> NDArray[np.intp]:
    """Names in whole lots that may have one more or less; what is sold whole is left alone."""
    lot = problem.lot_weight
    sold = (trades == -problem.filled) & (trades != 0.0)
    away = np.where((lot > 0.0) & ~sold & (problem.trade_max > 0.0), np.abs(wanted - trades), 0.0)
    active = (away > _NEAR) | ((lot > 0.0) & ~sold & (trades != 0.0))
    names = np.flatnonzero(active)
    order = np.argsort(-away[names], kind="stable")[:_NAMES_MAX]
    result: NDArray[np.intp] = np.sort(names[order])
    return result


def _better(
    problem: AllocationProblem,
    trades: Floats,
    wanted: Floats,
    names: NDArray[np.intp],
    kept: Violations,
) -> Floats | None:
    """The trades after the best move that breaks nothing further; None where there is none."""
    moves = _moves(problem, trades, names)
    curvature = variance_weight(problem) * problem.covariance[moves.name[:, None], moves.name]
    both = moves.gain[:, None] + moves.gain - curvature * moves.step[:, None] * moves.step
    # Two lots of one name are two moves.
    both[moves.name[:, None] == moves.name] = -np.inf
    both = np.triu(both)
    count = len(moves.gain)
    gains = np.concatenate([moves.gain, both.reshape(-1)])
    best = np.argsort(-gains, kind="stable")[:_TRIES_MAX]
    for at in best[gains[best] > _GAIN_MIN].tolist():
        chosen = [at] if at < count else list(divmod(at - count, count))
        tried = trades.copy()
        tried[moves.name[chosen]] += moves.step[chosen]
        # A trade that is taken back is none, whatever floats make of it.
        tried[np.abs(tried) < problem.lot_weight / 2] = 0.0
        if _allowed(problem, tried, wanted, moves.name[chosen], kept):
            return tried
    return None


def _moves(problem: AllocationProblem, trades: Floats, names: NDArray[np.intp]) -> _Moves:
    name, lots = np.concatenate([names, names]), problem.lot_weight[names]
    step = np.concatenate([lots, -lots])
    start, rates = problem.start, rates_of(problem)
    slope = marginal_value(problem, trades, best_sizes(problem, trades))[name]
    curvature = variance_weight(problem) * np.diag(problem.covariance)
    added = curvature_added(problem)
    curvature = curvature if added is None else curvature + added
    if problem.sleeves is not None:
        curvature = curvature + problem.sleeves.house_weight
    moved = np.tile(trades, (2, 1))
    moved[0, names] += lots
    moved[1, names] -= lots
    paid = rates.paid(moved, start + moved) - rates.paid(trades, start + trades)
    impact = power_paid(problem, moved) - power_paid(problem, trades)
    paid = paid + problem.charges.impact_weight * impact
    charged = np.concatenate([paid[0, names], paid[1, names]])
    gain = slope * step - curvature[name] / 2 * step**2 - charged
    return _Moves(name, step, gain)


def _allowed(
    problem: AllocationProblem,
    trades: Floats,
    wanted: Floats,
    names: NDArray[np.intp],
    kept: Violations,
) -> bool:
    """Whether moved trades stay within a lot of what was wanted and no limit is broken further."""
    lot = problem.lot_weight[names]
    if (np.abs(trades[names] - wanted[names]) >= lot * (1.0 - _NEAR)).any():
        return False
    size = np.abs(trades[names])
    if not ((size == 0.0) | (size >= problem.trade_min - _NEAR)).all():
        return False
    found = measure(problem, trades)
    soft = (found.further <= kept.further + ROUNDING_TOLERANCE).all()
    return bool(soft and not found.worse_than(kept))
