"""The limits of a mandate beyond those every problem has, as one-sided rows of one scale.

Place in the flow: made once for a problem by `allocator`, read by everything that judges trades or
states the model. A row says that a convex quantity of the trades stays at or below its bound: a
floor is a row with its sign turned, and rows of weights are divided by their largest coefficient,
so that one unit of any row is about one unit of weight. It must never know what was solved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import NO_CHARGES, AllocationProblem, Floats, WeightLimit
from coordinator.solver.limits import (
    cash_left,
    largest_weights,
    linear_before,
    turnover_used,
    volatility_used,
)

__all__ = ["NOTHING", "Counts", "Further", "excess", "further_of", "prepare", "used"]

NOTHING: Floats = np.zeros(0)
"""No rows."""
NOTHING.setflags(write=False)


class Counts(NamedTuple):
    """How many rows of each kind there are; rows stand in this order."""

    linear: int = 0
    gross: int = 0
    volatility: int = 0
    turnover: int = 0
    cash: int = 0

    def part(self, kind: str) -> slice:
        """Where the rows of a kind stand."""
        at = self._fields.index(kind)
        return slice(sum(self[:at]), sum(self[: at + 1]))


@dataclass(frozen=True, slots=True)
class Further:
    """m one-sided rows, quantity <= bound.

    linear: (counts.linear, n) and gross: (counts.gross, n), their coefficients. before:
    (counts.linear,) quantity of what is held and working. bound, scale, side: (m,), in the limit's
    own unit a bound is side * scale * bound, side -1 for floors. tier: (m,) 0 where hard. source:
    the limit's index in the problem and the row's in the limit.
    """

    linear: Floats
    gross: Floats
    counts: Counts
    before: Floats
    bound: Floats
    scale: Floats
    side: Floats
    tier: NDArray[np.int64]
    source: tuple[tuple[int, int], ...]

    @property
    def hard(self) -> NDArray[np.bool_]:
        """(m,) rows that never give way."""
        result: NDArray[np.bool_] = self.tier == 0
        return result

    def bounds(self, kind: str) -> Floats:
        """Bounds of the rows of a kind."""
        return self.bound[self.counts.part(kind)]


class _Part(NamedTuple):
    """Rows of one side of one limit."""

    limit: int
    tier: int
    side: float
    rows: Floats
    bound: Floats
    scale: Floats
    kept: NDArray[np.intp]


_NONE = Further(
    linear=np.zeros((0, 0)),
    gross=np.zeros((0, 0)),
    counts=Counts(),
    before=NOTHING,
    bound=NOTHING,
    scale=NOTHING,
    side=NOTHING,
    tier=np.zeros(0, dtype=np.int64),
    source=(),
)


_FIELDS = tuple(one.name for one in fields(AllocationProblem))


@dataclass(frozen=True, slots=True)
class _Prepared(AllocationProblem):
    """A problem that carries its rows, so that they are put together once."""

    further: Further = field(default_factory=lambda: _NONE)


def prepare(problem: AllocationProblem) -> AllocationProblem:
    """The same problem, whose rows `further_of` needs not put together again."""
    charges = NO_CHARGES if problem.charges.none else problem.charges
    further = further_of(problem)
    if not len(further.bound):
        same = charges is problem.charges and not problem.limits
        return problem if same else replace(problem, charges=charges, limits=())
    given = {name: getattr(problem, name) for name in _FIELDS}
    return _Prepared(**{**given, "charges": charges}, further=further)


def further_of(problem: AllocationProblem) -> Further:
    """The rows of a problem's limits; those without a bound are none."""
    if isinstance(problem, _Prepared):
        return problem.further
    if not problem.limits:
        return _NONE
    n = len(problem.instruments)
    found: dict[str, list[_Part]] = {kind: [] for kind in Counts._fields}
    for at, one in enumerate(problem.limits):
        found[one.kind] += _sides(at, one)
    parts = [part for kind in found.values() for part in kind]
    linear, gross = (
        np.concatenate([np.zeros((0, n)), *(part.rows for part in found[kind])])
        for kind in ("linear", "gross")
    )
    sizes = [len(part.bound) for part in parts]
    return Further(
        linear=linear,
        gross=gross,
        counts=Counts(*(sum(len(part.bound) for part in kind) for kind in found.values())),
        before=linear_before(problem, linear),
        bound=np.concatenate([NOTHING, *(part.bound for part in parts)]),
        scale=np.concatenate([NOTHING, *(part.scale for part in parts)]),
        side=np.repeat(np.array([part.side for part in parts], dtype=np.float64), sizes),
        tier=np.repeat(np.array([part.tier for part in parts], dtype=np.int64), sizes),
        source=tuple([(part.limit, row) for part in parts for row in part.kept.tolist()]),
    )


def _sides(at: int, limit: WeightLimit) -> Iterator[_Part]:
    """A limit's rows that bound from above, then those that bound from below."""
    scale = np.ones(len(limit.labels))
    if limit.kind in {"linear", "gross"}:
        largest = np.abs(limit.rows).max(axis=1, initial=0.0)
        scale = np.where(largest > 0.0, largest, 1.0)
    with np.errstate(over="ignore"):
        sides = (1.0, limit.upper / scale), (-1.0, limit.lower / scale)
    for side, scaled in sides:
        # A bound that no weights could reach, in the unit of its row, bounds nothing.
        kept = np.isfinite(scaled).nonzero()[0]
        if len(kept):
            yield _Part(
                limit=at,
                tier=limit.tier,
                side=side,
                rows=side * limit.rows[kept] / scale[kept, None],
                bound=side * scaled[kept],
                scale=scale[kept],
                kept=kept,
            )


def used(problem: AllocationProblem, trades: Floats) -> Floats:
    """(m,) each row's quantity if these trades, (n,) fractions of NAV, are decided."""
    further = further_of(problem)
    counts = further.counts
    sums = [further.before + further.linear @ trades]
    if counts.gross:
        sums.append(further.gross @ largest_weights(problem, trades))
    if counts.volatility:
        sums.append(np.full(counts.volatility, volatility_used(problem, trades)))
    if counts.turnover:
        sums.append(np.full(counts.turnover, turnover_used(trades)))
    if counts.cash:
        sums.append(np.full(counts.cash, -cash_left(problem, trades)))
    return np.concatenate(sums)


def excess(problem: AllocationProblem, trades: Floats) -> Floats:
    """(m,) by how much each row is beyond its bound, 0 where it is kept."""
    if not problem.limits:
        return NOTHING
    result: Floats = np.maximum(used(problem, trades) - further_of(problem).bound, 0.0)
    return result
