"""Broken: which limits of a mandate trades would leave broken, whoever thought of them.

Place in the flow: asked by `impact` with a situation as the engine sees it. The measures are those
that the solver checks its own answers with; they know nothing of how trades were found. A limit
holds only if it does whichever open orders fill, and its bound is what those leave of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from coordinator.core.allocate import Situation
from coordinator.core.ports import DRIFT, AllocationProblem, Floats
from coordinator.quality.impact import LimitLine
from coordinator.solver.further import excess, further_of, used
from coordinator.solver.limits import cash_left, gross_used, position_range, turnover_used
from coordinator.solver.violations import Violations, measure

__all__ = ["broken_limits"]


class _Reading(NamedTuple):
    """A bound, how far it is used, and by how much it is passed."""

    used: float
    bound: float
    given: float


class _Row(NamedTuple):
    """Which limit a reading is of. tier: 0 where hard."""

    limit: str
    about: str | None
    tier: int


def broken_limits(found: Situation, trades: Floats) -> tuple[LimitLine, ...]:
    """Every limit that is broken after (n,) trades or before any, hard ones first."""
    sides = [_readings(found, at) for at in (np.zeros_like(trades), trades)]
    lines = [
        LimitLine(
            limit=row.limit,
            about=row.about,
            priority=row.tier or None,
            bound=before.bound,
            used_before=before.used,
            used_after=after.used,
            given_before=before.given,
            given_after=after.given,
        )
        for (row, before), (_, after) in zip(*sides, strict=True)
        if max(before.given, after.given) > DRIFT
    ]
    return tuple(sorted(lines, key=lambda one: (one.priority or 0, one.limit, one.about or "")))


def _readings(found: Situation, trades: Floats) -> list[tuple[_Row, _Reading]]:
    """Of every limit there is, in the same order for all trades."""
    problem = found.problem
    told = measure(problem, trades)
    return [
        *_totals(problem, trades, told),
        *_rows(problem, trades),
        *_boxes(found, trades, told),
    ]


def _totals(
    problem: AllocationProblem, trades: Floats, told: Violations
) -> Iterator[tuple[_Row, _Reading]]:
    """Of limits that every problem has a bound of its own for: hard ones, or out of reach."""
    gross, cash = gross_used(problem, trades), cash_left(problem, trades)
    yield _Row("gross_max", None, 0), _Reading(gross, problem.gross_max, told.gross)
    yield _Row("cash_floor", None, 0), _Reading(cash, problem.cash_floor, told.cash)
    turnover = _Reading(turnover_used(trades), problem.turnover_max, told.turnover)
    yield _Row("turnover_max", None, 0), turnover


def _rows(problem: AllocationProblem, trades: Floats) -> Iterator[tuple[_Row, _Reading]]:
    """Of all others; each in the unit of its bound."""
    if not problem.limits:
        return
    further = further_of(problem)
    own = further.side * further.scale
    now, bound = used(problem, trades) * own, further.bound * own
    given = excess(problem, trades) * further.scale
    for (at, index), *numbers in zip(further.source, now, bound, given, strict=True):
        limit = problem.limits[at]
        row = _Row(limit.name, limit.labels[index] or None, limit.tier)
        yield row, _Reading(*(float(one) for one in numbers))


def _boxes(found: Situation, trades: Floats, told: Violations) -> Iterator[tuple[_Row, _Reading]]:
    """Of single instruments, by the names of the limits that their bounds come from."""
    problem, boxes = found.problem, found.boxes
    lowest, highest = position_range(problem, trades)
    sides = (
        (boxes.upper_by, highest, problem.position_max, told.over),
        (boxes.lower_by, lowest, problem.position_min, told.under),
        (boxes.trade_by, np.abs(trades), problem.trade_max, told.trade),
    )
    for names, now, bound, given in sides:
        columns = (column.tolist() for column in (now, bound, given))
        for name, limit, *numbers in zip(problem.instruments, names, *columns, strict=True):
            yield _Row(limit, name, 0), _Reading(*numbers)
