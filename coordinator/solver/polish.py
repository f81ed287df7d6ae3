"""The last digits of an answer: Newton's method on what binds and what moves.

Place in the flow: `quick` hands over an answer that is good already, where impact or strategies
make the last digits dear to have from the solver. Which trades rest at a bound or a kink and which
sums are used up is taken as it is; the equations that are left are solved to the end. It must never
be believed: an answer that is not certified as well as before is not taken. Source: Nocedal and
Wright 2006, section 16.5 (active sets); Stellato et al. 2020, section 5 (polish).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices, one_sided_slopes
from coordinator.solver.resting import AT, snapped
from coordinator.solver.room import Room
from coordinator.solver.segments import room_left
from coordinator.solver.sizes import sizes_most
from coordinator.solver.solution import EXCESS_MAX, Solution, judged
from coordinator.solver.sums import every_price, uses_of, with_prices
from coordinator.solver.trim import Flags
from coordinator.solver.worth import curvature_added, size_slopes, variance_weight

__all__ = ["polish"]

_WIDE = 1e-4
"""Of a trade that a solver left off the end where it rests; whoever gains by leaving is let go."""
_USED = 1e-4
"""A sum with a price and no more left is used up."""
_OVERDRAWN = 1e-9
"""A sum overdrawn by more is used up, whatever was thought before."""
_LEAST = 1e-14
"""A trade that is none."""
_STEPS = 24
_DONE = 1e-10
"""A slope that is none."""
_WORTH = 1e-9
"""A slope that a name at rest would move for."""
_NUDGE = 1e-10
"""How far it is moved off its end, so that its side is known."""
_GOOD = 1e-9
"""A gap to the optimum that is none."""
_LOW, _HIGH = 1, 2
"""Where the ends of the box stand among the ends."""
_RANK = 1e-12
"""Singular values below this part of the largest count as none."""
_SAME = 1.0 - 1e-9
"""Two sums whose uses point so much the same way, or against it, as a cosine, are one."""
_RUN_AWAY = 1e100
"""Prices that make more of an equation have run away."""
_LARGEST = 0.1
"""A step further than that is no last digit."""


@dataclass(frozen=True, slots=True)
class _Set:
    """What moves: names and sizes that are free, and sums that are used up.

    none: (n,) names that rest at no trade, and have an impact. ends: (e, n) trades at which a name
    may rest: the ends of its box and its kinks.
    """

    ends: Floats
    free: NDArray[np.intp]
    none: Flags
    sizes: NDArray[np.intp]
    sums: NDArray[np.intp]


def polish(problem: AllocationProblem, room: Room, found: Solution) -> tuple[Solution, bool]:
    """The answer to its last digits and whether it is the best; as it was where that fails.

    A trade may be further off the end where it rests than it seems: then the wider margin knows it.
    """
    best = found
    for near in (AT, _WIDE):
        exact, done = _polished(problem, room, found, near)
        if done:
            return exact, True
        best = exact if exact.gap < best.gap else best
    return best, False


def _polished(
    problem: AllocationProblem, room: Room, found: Solution, near: float
) -> tuple[Solution, bool]:
    """The same; near: how close to an end a trade rests there."""
    now, active = _rest(problem, room, found, near)
    for _ in range(_STEPS):
        now, active = _leave_none(problem, room, now, active)
        step = _step(problem, room, now, active)
        if step is None:
            return found, False
        now, active, size = step
        if size > _DONE:
            continue
        now, active, released = _released(problem, room, now, active)
        if not released:
            break
    else:
        return found, False
    again = judged(
        problem,
        room,
        solver=found.solver,
        status=found.status,
        iterations=found.iterations,
        found=now.trades,
        prices=now.prices,
        sizes=now.sizes,
    )
    if again.gap > max(found.gap, _GOOD) or again.excess > max(found.excess, EXCESS_MAX):
        return found, False
    return again, again.gap <= _GOOD


def _rest(
    problem: AllocationProblem, room: Room, found: Solution, near: float
) -> tuple[Solution, _Set]:
    """The answer with trades at rest exactly there, and what moves."""
    z, prices = found.trades, found.prices
    low, high = room.box
    trades, rests, ends = snapped(problem, room, z, prices, near=near)
    none = rests & (trades == 0.0) & _bent(problem) & (high - low > AT)
    sizes = found.sizes
    most = np.zeros(0) if problem.sleeves is None else sizes_most(problem.sleeves)
    inside = (sizes > AT * np.maximum(most, AT)) & (sizes < most * (1.0 - AT))
    left = room_left(problem, room, z)
    priced = every_price(prices)
    active = _Set(
        ends=ends,
        free=np.flatnonzero(~rests),
        none=none,
        sizes=np.flatnonzero(inside),
        sums=np.flatnonzero((left <= _USED) & (priced > _DONE)),
    )
    return _apart(problem, replace(found, trades=trades), active, left)


def _apart(
    problem: AllocationProblem, now: Solution, active: _Set, left: Floats
) -> tuple[Solution, _Set]:
    """Of sums that use the same of whatever moves, or give it, the tightest, priced for all.

    Such as both sides of an equality, or gross and net of who buys alone: an interior point prices
    all of them, and equations that say the same have no exact answer. left: room of every sum.
    """
    if len(active.sums) <= 1:
        return now, active
    sums, prices = active.sums, every_price(now.prices)[active.sums]
    uses = uses_of(problem, now.trades)[sums][:, active.free]
    length = np.maximum(np.sqrt((uses**2).sum(axis=1)), _LEAST)
    uses, pull = uses / length[:, None], prices * length
    kept, more = np.ones(len(sums), dtype=np.bool_), np.zeros(len(sums))
    for at in range(len(sums)):
        along = uses @ uses[at]
        same = kept & (np.abs(along) >= _SAME)
        if not kept[at] or np.count_nonzero(same) <= 1:
            continue
        net = float(along[same] @ pull[same])
        # One of those that pull the way that all of them do together.
        likely = same & (along * net >= 0.0)
        one = int(np.argmin(np.where(likely, left[sums] / length, np.inf)))
        kept &= ~same
        more[same] = -prices[same]
        kept[one], more[one] = True, abs(net) / length[one] - prices[one]
    priced, _ = _priced(now, sums, more)
    return replace(now, prices=priced), replace(active, sums=sums[kept])


def _bent(problem: AllocationProblem) -> Flags:
    """(n,) names whose trades have an impact to the power 3/2."""
    kappa = problem.charges.impact
    return np.zeros(len(problem.mu), dtype=np.bool_) if kappa is None else kappa > 0.0


def _leave_none(
    problem: AllocationProblem, room: Room, now: Solution, active: _Set
) -> tuple[Solution, _Set]:
    """Names without a trade that are worth one begin it: small trades have next to no impact."""
    kappa = problem.charges.impact
    if kappa is None or not active.none.any():
        return now, active
    less, more = one_sided_slopes(problem, now.trades, now.prices, now.sizes)
    gain = np.where(active.none, np.maximum(more, 0.0) - np.maximum(less, 0.0), 0.0)
    # Where impact, and the curvature of the name alone, take all of the gain.
    rate = 1.5 * kappa * (problem.charges.impact_weight + now.prices.cash)
    curve = _diagonal(problem, now.prices) + variance_weight(problem) * np.diag(problem.covariance)
    below = rate + np.sqrt(rate**2 + 4.0 * curve * np.abs(gain))
    root = np.divide(2.0 * gain, below, out=np.zeros_like(gain), where=below > 0.0)
    low, high = room.box
    with np.errstate(over="ignore"):  # what is beyond all floats is beyond its end
        size = np.minimum(np.maximum(root * np.abs(root), low), high)
    begins = np.abs(size) > _LEAST
    if not begins.any():
        return now, active
    trades = np.where(begins, size, now.trades)
    free = np.union1d(active.free, np.flatnonzero(begins))
    return replace(now, trades=trades), replace(active, free=free, none=active.none & ~begins)


def _released(
    problem: AllocationProblem, room: Room, now: Solution, active: _Set
) -> tuple[Solution, _Set, bool]:
    """Names at rest that would gain by moving are let go, and whether there are any."""
    low, high = room.box
    less, more = one_sided_slopes(problem, now.trades, now.prices, now.sizes)
    up = (more > _WORTH) & (now.trades < high - _NUDGE) & ~active.none
    down = (less > _WORTH) & (now.trades > low + _NUDGE) & ~active.none
    up[active.free] = down[active.free] = False
    let, sizes = up | down, _sizes_released(problem, now, active)
    over = np.flatnonzero(room_left(problem, room, now.trades) < -_OVERDRAWN)
    sums = np.union1d(active.sums, over)
    if not (let.any() or len(sizes) > len(active.sizes) or len(sums) > len(active.sums)):
        return now, active, False
    trades = now.trades + np.where(up, _NUDGE, 0.0) - np.where(down & ~up, _NUDGE, 0.0)
    free = np.union1d(active.free, np.flatnonzero(let))
    then = replace(active, free=free, sizes=sizes, sums=sums)
    return replace(now, trades=trades), then, True


def _sizes_released(problem: AllocationProblem, now: Solution, active: _Set) -> NDArray[np.intp]:
    """The free sizes, and those at an end that would gain by leaving it."""
    if problem.sleeves is None:
        return active.sizes
    slopes = size_slopes(problem, now.trades, now.sizes)
    rises = (slopes > _WORTH) & (now.sizes < sizes_most(problem.sleeves))
    falls = (slopes < -_WORTH) & (now.sizes > 0.0)
    return np.union1d(active.sizes, np.flatnonzero(rises | falls))


def _step(
    problem: AllocationProblem, room: Room, now: Solution, active: _Set
) -> tuple[Solution, _Set, float] | None:
    """One Newton step, what moves then, and the largest slope or use that was left; None: none."""
    free, sums, f = active.free, active.sums, len(active.free)
    _, more = one_sided_slopes(problem, now.trades, now.prices, now.sizes)
    slopes = size_slopes(problem, now.trades, now.sizes)[active.sizes]
    gain = np.concatenate([more[free], slopes])
    left = room_left(problem, room, now.trades)[sums]
    uses = uses_of(problem, now.trades)[sums][:, free]
    k, c = len(gain), len(sums)
    matrix = np.zeros((k + c, k + c))
    matrix[:k, :k] = _curvature(problem, now, active)
    matrix[k:, :f] = uses
    matrix[:f, k:] = uses.T
    move = _solved(matrix, np.concatenate([gain, left]), f)
    if move is None:
        return None
    trades, sizes = now.trades.copy(), now.sizes.copy()
    moved, rests = _moved(problem, active, now.trades, move[:f])
    trades[free] = moved
    sizes[active.sizes] += move[f:k]
    most = sizes if problem.sleeves is None else sizes_most(problem.sleeves)
    out = ((sizes <= 0.0) | (sizes >= most))[active.sizes]
    sizes = np.minimum(np.maximum(sizes, 0.0), most)
    prices, kept = _priced(now, sums, move[k:])
    over = float(max(np.abs(gain).max(initial=0.0), np.abs(left).max(initial=0.0)))
    none = active.none.copy()
    none[free[rests & (moved == 0.0)]] = True
    none &= _bent(problem)
    then = replace(active, free=free[~rests], none=none, sizes=active.sizes[~out], sums=sums[kept])
    return replace(now, trades=trades, sizes=sizes, prices=prices), then, over


def _solved(matrix: Floats, right: Floats, f: int) -> Floats | None:
    """The step; the shortest one where several are as good. None: there is no small one.

    f: how many of its entries are trades. Least squares of what is no number might never end.
    """
    sizes = np.abs(matrix).max(initial=0.0), np.abs(right).max(initial=0.0)
    if not all(size <= _RUN_AWAY for size in sizes):  # what is no number is not below it
        return None
    for solve in (np.linalg.solve, _shortest):
        try:
            found: Floats = np.asarray(solve(matrix, right), dtype=np.float64)
        except np.linalg.LinAlgError:
            continue
        if np.isfinite(found).all() and np.abs(found[:f]).max(initial=0.0) <= _LARGEST:
            return found
    return None


def _shortest(matrix: Floats, right: Floats) -> Floats:
    """Least squares: of a covariance without an inverse, some directions are worth nothing."""
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=_RANK)[0], dtype=np.float64)


def _moved(
    problem: AllocationProblem, active: _Set, trades: Floats, move: Floats
) -> tuple[Floats, Flags]:
    """(f,) trades after a move that stops at the first end on its way, and (f,) whether it did.

    A trade with an impact moves by the root of its size, in which its slope is a straight line.
    """
    before = trades[active.free]
    root = np.sqrt(np.abs(before))
    half = np.divide(np.sign(before) * move, 2.0 * root, out=np.zeros_like(move), where=root > 0.0)
    bent = _bent(problem)[active.free] & (root > 0.0)
    after = np.where(bent, np.sign(before) * np.maximum(root + half, 0.0) ** 2, before + move)
    rests = bent & (after == 0.0)
    for end in active.ends[:, active.free]:
        crossed = (before - end) * (after - end) < 0.0
        after = np.where(crossed, end, after)
        rests |= crossed
    low, high = active.ends[_LOW, active.free], active.ends[_HIGH, active.free]
    outside = (after < low) | (after > high)
    return np.minimum(np.maximum(after, low), high), rests | outside


def _curvature(problem: AllocationProblem, now: Solution, active: _Set) -> Floats:
    """(k, k) curvature of all charges along what is free."""
    free, sleeves = active.free, problem.sleeves
    quadratic = variance_weight(problem) * problem.covariance[free[:, None], free]
    added = _diagonal(problem, now.prices)
    if problem.charges.impact is not None:
        root = np.sqrt(np.maximum(np.abs(now.trades), _LEAST))
        weight = problem.charges.impact_weight + now.prices.cash
        added = added + weight * 0.75 * problem.charges.impact / root
    quadratic[np.diag_indices_from(quadratic)] += added[free]
    if sleeves is None or not len(active.sizes):
        return quadratic
    targets = sleeves.targets[:, active.sizes]
    across = -sleeves.house_weight * targets[free]
    among = sleeves.house_weight * (targets.T @ targets)
    among += np.diag(2.0 * sleeves.wish_weight[active.sizes])
    return np.block([[quadratic, across], [across.T, among]])


def _diagonal(problem: AllocationProblem, prices: Prices) -> Floats:
    """(n,) curvature of each trade alone, but for the variance and impact to the power 3/2."""
    extra, charges = curvature_added(problem), problem.charges
    added = np.zeros_like(problem.mu) if extra is None else extra
    if charges.impact_square is not None:
        added = added + prices.cash * 2.0 * charges.impact_square
    if problem.sleeves is not None:
        added = added + problem.sleeves.house_weight
    return added


def _priced(now: Solution, sums: NDArray[np.intp], more: Floats) -> tuple[Prices, Flags]:
    """The prices with what the step adds to those of the sums, and which of these stay priced.

    A sum that would be worth having less of is not used up after all.
    """
    every = every_price(now.prices)
    every[sums] += more
    kept: Flags = every[sums] >= 0.0
    return with_prices(now.prices, np.maximum(every, 0.0)), kept
