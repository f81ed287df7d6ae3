"""Problems whose names are coupled by few numbers, solved exactly by Newton's method on these.

Place in the flow: `segment_qp` asks here first, where a problem has its covariance in factors that
are few beside its parts. What is found is judged like any answer; where nothing is, or it is not
exact, PIQP is asked.

Once the factors' returns y = F z, the sizes a and the prices p of the rows are known, what each
name trades depends on nothing else: with d the curvature of its own,

    z_i = clip(-(c_k + gamma F_i'y - delta T_i'a + p'G_k) / d_i, segment k),  c_k cost less slope

So the optimum solves as many piecewise linear equations as there are numbers: y is F z, the slope
of each size is 0 or holds it at a bound, and each row is kept, and priced only where it is used up.
A step solves the piece it stands in; near the optimum it ends there, exactly. Without sizes
what is left is the slope of a convex function, the negative dual, and a step goes to where that
is lowest along it; with sizes it goes as far as the residual falls.
Sources: Qi and Sun 1993, "A nonsmooth version of Newton's method"; Li, Sun and Toh 2018, "A highly
efficient semismooth Newton augmented Lagrangian method for solving Lasso problems".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats, RiskEstimate, Sleeves
from coordinator.solver.factor_qp import suits_factors
from coordinator.solver.segments import Segments, size_units
from coordinator.solver.settings import SolverSettings
from coordinator.solver.sizes import sizes_most
from coordinator.solver.worth import curvature_added, variance_weight

__all__ = ["Coupled", "solve_coupled"]

_FLAT = 1e-3
"""Median curvature along a segment, as a share of the spread of slopes: below, steps circle."""
_LEAST = 1e-3
"""Of the median curvature: a name curved less moves rows as if it had so much."""
_EXACT = 1e-26
"""A squared residual that is none."""
_FALLS, _SHORTER, _SHORTEST = 1e-4, 0.4, 0.02
_LOWEST, _TRIES_MAX, _FURTHER = 0.4, 12, 4.0
"""A slope along a step that is low enough, beside the first; how often a length is tried; how much
longer one is where it still falls."""
_NOISE = 1e-14
"""Of a dual: what float arithmetic makes of it."""
_LEVEL, _HARDLY, _ALONE = 1e-3, 1e-3, 3e-3
"""Shares of a row's reach: what is added at most to what its price moves, so that two rows that say
the same can both be priced; below what hardly a name follows it, and how far it then goes."""
_DEAREST = 1e4
"""Prices so many times the largest slope are those of rows that nothing keeps."""


class Coupled(NamedTuple):
    """What was found: (k,) lengths of the parts, (r,) prices of the rows, and steps taken."""

    lengths: Floats
    prices: Floats
    steps: int


def solve_coupled(
    problem: AllocationProblem,
    parts: Segments,
    kept: NDArray[np.intp],
    left: Floats,
    slopes: Floats,
    settings: SolverSettings,
    bent: Floats | None = None,
) -> Coupled | None:
    """The best lengths of the parts, None where that is not found.

    kept: the rows to solve with, left: their room at z0. slopes: (n + s,) at z0 and no sizes. bent:
    (n,) curvature added to each trade.
    """
    factors, sleeves = problem.factors, problem.sleeves
    if factors is None or not suits_factors(problem, len(parts.name), len(kept)):
        return None
    equations = _stated(problem, factors, parts, kept, left, slopes, bent)
    if equations is None:
        return None
    numbers = np.zeros(len(equations.own))
    first, coupling = len(factors.rows), equations.first
    if sleeves is not None:
        numbers[first:coupling] = np.minimum(np.maximum(sleeves.wished, 0.0), sizes_most(sleeves))
    now, dearest = equations.at(numbers), _DEAREST * equations.largest_slope()
    left_over = equations.left(numbers, now)
    for step in range(1, settings.newton_steps_max + 1):
        direction = _direction(equations, now, left_over)
        if direction is None or numbers[coupling:].max(initial=0.0) > dearest:
            return None
        numbers, now, left_over = _along(equations, numbers, now, left_over, direction)
        if left_over.squared <= _EXACT:
            lengths = now.trades - equations.before
            if sleeves is not None:
                lengths = np.concatenate([lengths, numbers[first:coupling] / size_units(sleeves)])
            return Coupled(lengths, numbers[coupling:], step)
    return None


class _Now(NamedTuple):
    """What some numbers lead to.

    wished: (k,) trades from z0 were segments endless; trades: (k,) within their segments. slack:
    (N,) of the equations.
    """

    wished: Floats
    trades: Floats
    slack: Floats


class _Left(NamedTuple):
    """What some numbers leave to do.

    alone: (N,) the numbers as each would be were it the only one; missed: (N,) by how far they are
    off, a price where its row is overdrawn, or has room left though it is priced. squared: all of
    it, in the unit of the objective.
    """

    alone: Floats
    missed: Floats
    squared: float


@dataclass(frozen=True, slots=True)
class _Equations:
    """own @ u = trades(u) @ uses + given, of N numbers u: m returns, s sizes, r prices.

    uses: (k, N) of each number by each part, which a unit of it pulls at as much, side: (N,) 1, or
    -1 against it. cost: (k,) less slope. gives: (k,) -1 / d. low, high: (k,) the ends of parts as
    trades from z0; before: (k,) where lengths begin. least, most: (N,) bounds of the numbers;
    weight: (N,) their own curvature, of a price its reach: what a unit of it can move. alone,
    hardly: (r,) shares of the prices' reach, see `_direction`. first: where prices begin. bounded:
    whether any number has a largest value.
    """

    own: Floats
    uses: Floats
    side: Floats
    given: Floats
    cost: Floats
    gives: Floats
    low: Floats
    high: Floats
    before: Floats
    least: Floats
    most: Floats
    weight: Floats
    alone: Floats
    hardly: Floats
    first: int
    bounded: bool

    def at(self, numbers: Floats) -> _Now:
        """What these numbers lead to."""
        wished = (self.cost + self.uses @ (self.side * numbers)) * self.gives
        trades = np.minimum(np.maximum(wished, self.low), self.high)
        return _Now(wished, trades, self.own @ numbers - trades @ self.uses - self.given)

    def left(self, numbers: Floats, now: _Now) -> _Left:
        """What these numbers leave to do."""
        alone = numbers - now.slack / self.weight
        missed = numbers - np.minimum(np.maximum(alone, self.least), self.most)
        return _Left(alone, missed, float(missed @ (self.weight * missed)))

    def dual(self, numbers: Floats, now: _Now) -> float:
        """The negative dual without sizes: convex, and its slope is `slack`."""
        lengths = now.trades - self.before
        alone = lengths @ (self.cost - (self.before + lengths / 2) / self.gives)
        return float(numbers @ now.slack - numbers @ (self.own @ numbers) / 2 - alone)

    def largest_slope(self) -> float:
        """No part's slope is larger anywhere between its ends, whatever other names do little."""
        along = np.maximum(np.abs(self.low), np.abs(self.high)) / -self.gives
        return float((np.abs(self.cost) + along).max())


def _direction(equations: _Equations, now: _Now, left: _Left) -> Floats | None:
    """(N,) to the solution of the piece that some numbers stand in; None where it has none."""
    inner = ((now.wished > equations.low) & (now.wished < equations.high)).nonzero()[0]
    uses = equations.uses[inner]
    slopes = equations.own - (uses.T * equations.gives[inner]) @ uses * equations.side
    # The diagonal of the prices: how the parts that are inside follow each.
    alone, follows = equations.alone, np.einsum("ii->i", slopes)[equations.first :]
    level = min(_LEVEL, math.sqrt(left.squared) / 10.0) / _ALONE  # the last steps are Newton's own
    hardly = np.where(follows > 0.0, np.minimum(alone, follows), alone)
    follows += np.where(follows > equations.hardly, level * alone, hardly)
    free = (left.alone > equations.least) & (left.alone < equations.most)
    # What is not free goes to its bound, a price to 0.
    step = np.where(free, 0.0, -left.missed)
    wanted = -(now.slack + slopes @ step)
    try:
        if free.all():
            step = np.linalg.solve(slopes, wanted)
        else:
            moving = free.nonzero()[0]
            step[moving] = np.linalg.solve(slopes[moving[:, None], moving], wanted[moving])
    except np.linalg.LinAlgError:
        return None
    return step if np.isfinite(step).all() else None


def _along(
    equations: _Equations, numbers: Floats, now: _Now, left: _Left, direction: Floats
) -> tuple[Floats, _Now, _Left]:
    """How far to go along a step, and what is left there."""
    if equations.bounded or direction @ now.slack >= 0.0:
        return _to_less(equations, numbers, left, direction)
    return _to_lowest(equations, numbers, now, direction)


def _to_lowest(
    equations: _Equations, numbers: Floats, now: _Now, direction: Floats
) -> tuple[Floats, _Now, _Left]:
    """To where the negative dual hardly falls any more; no price goes below 0."""
    rows = equations.first
    falls = direction[rows:] < 0.0
    slope, worth = float(direction @ now.slack), None
    share, near, far = 1.0, (0.0, slope), None
    for _ in range(_TRIES_MAX):
        tried, moving = numbers + share * direction, direction
        gone = falls & (tried[rows:] <= 0.0)
        stopped = bool(gone.any())
        if stopped:
            moving = direction.copy()
            tried[rows:][gone] = moving[rows:][gone] = 0.0
        then = equations.at(tried)
        here = float(moving @ then.slack)
        low, risen = abs(here) <= -_LOWEST * slope, False
        # It is convex: where it falls all along the step it has not risen, nor is it low beyond.
        if stopped or (low and here > 0.0):
            worth = equations.dual(numbers, now) if worth is None else worth
            risen = equations.dual(tried, then) > worth + _NOISE * abs(worth)
        if low and not risen:
            break
        if here < 0.0 and not risen:
            near = share, here
        else:
            far = share, max(here, -slope) if risen else here
        if far is None:
            share *= _FURTHER
        else:
            part = -near[1] / (far[1] - near[1])
            share = near[0] + (far[0] - near[0]) * min(max(part, 0.1), 0.9)
    return tried, then, equations.left(tried, then)


def _to_less(
    equations: _Equations, numbers: Floats, left: _Left, direction: Floats
) -> tuple[Floats, _Now, _Left]:
    """As far as less is left; where nothing is gained, the best of what was tried."""
    share, best = 1.0, None
    while best is None or share >= _SHORTEST:
        tried = numbers + share * direction
        then = equations.at(tried)
        after = equations.left(tried, then)
        if best is None or after.squared < best[2].squared:
            best = tried, then, after
        if after.squared <= (1.0 - _FALLS * share) * left.squared:
            break
        share *= _SHORTER
    return best


def _stated(
    problem: AllocationProblem,
    factors: RiskEstimate,
    parts: Segments,
    kept: NDArray[np.intp],
    left: Floats,
    slopes: Floats,
    bent: Floats | None,
) -> _Equations | None:
    """The equations; None where names are too flat, or something is not curved at all."""
    n, sleeves = len(parts.start), problem.sleeves or _no_sleeves(len(parts.start))
    trades = parts.name < n
    name = parts.name[trades]
    gamma, delta, targets = variance_weight(problem), sleeves.house_weight, sleeves.targets
    curve = gamma * factors.rest + delta
    for added in (curvature_added(problem), bent):
        curve = curve if added is None else curve + added
    curve = curve[name]
    among = delta * (targets.T @ targets) + np.diag(2.0 * sleeves.wish_weight)
    weight = np.concatenate([np.full(len(factors.rows), gamma), among.diagonal()])
    uses = parts.uses[kept][:, trades]
    if not (len(name) and curve.min() > 0.0 and weight.min(initial=1.0) > 0.0):
        return None
    cost, low, high = parts.cost[trades] - slopes[name], parts.low[trades], parts.high[trades]
    reach = uses**2 @ (1.0 / np.maximum(curve, _LEAST * _middle(curve)))
    if _middle(curve * (high - low)) < _FLAT * _spread(cost) or reach.min(initial=1.0) <= 0.0:
        return None
    returns, held = gamma * factors.rows[:, name], delta * targets[name].T
    every = np.ascontiguousarray(np.concatenate([returns, held, uses]).T)
    before = parts.before[trades]
    m, s, r = len(returns), len(held), len(kept)
    own = np.zeros((m + s + r, m + s + r))
    np.einsum("ii->i", own)[:m] = gamma
    own[m : m + s, m : m + s] = among
    return _Equations(
        own=own,
        uses=every,
        side=np.concatenate([np.ones(m), np.full(s, -1.0), np.ones(r)]),
        given=np.concatenate([np.zeros(m), slopes[n:], -left]) - before @ every,
        cost=cost,
        gives=-1.0 / curve,
        low=before + low,
        high=before + high,
        before=before,
        least=np.concatenate([np.full(m, -np.inf), np.zeros(s + r)]),
        most=np.concatenate([np.full(m, np.inf), sizes_most(sleeves), np.full(r, np.inf)]),
        weight=np.concatenate([weight, reach]),
        alone=_ALONE * reach,
        hardly=_HARDLY * reach,
        first=m + s,
        bounded=s > 0,
    )


def _middle(values: Floats) -> float:
    """The median, of an even number the upper one."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def _spread(values: Floats) -> float:
    """The standard deviation."""
    apart = values - values.sum() / len(values)
    return float(np.sqrt(apart @ apart / len(values)))


def _no_sleeves(n: int) -> Sleeves:
    """Of no strategies, so that one statement serves for both."""
    none = np.zeros(0)
    return Sleeves((), np.zeros((n, 0)), none, none, none, 0.0)
