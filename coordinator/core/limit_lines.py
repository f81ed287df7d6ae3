"""Limit lines: what a decision says of each limit: used, bound, worth, and whether it gave way.

Place in the flow: asked by `decide` with the situation and the answer. Reads, changes nothing. The
allocator knows bounds of single instruments as one box each; here each has the name of the limit
that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from coordinator.core.allocate import Situation
from coordinator.core.assemble import is_sound, lines_of
from coordinator.core.ports import Allocation, Floats, LimitReading
from schemas.decisions import LimitUse

__all__ = ["limit_uses"]

GIVEN_MIN = 1e-7
"""A bound passed by less is drift, fraction of NAV."""
_GROUPS = ("sectors", "factors")
"""Limits that are about something else than an instrument."""
_ALONE = ("position_min", "position_max", "positions", "must_hold", "days_to_liquidate_max")
"""Limits of one instrument each."""
_OWN = ("gross_max", "cash_floor", "turnover_max")
"""Limits that a problem has a bound of its own for."""
_FLOORS = ("position_min", "cash_floor")
BINDING = 1e-6
"""A bound closer than this binds, fraction of NAV."""


class _Row(NamedTuple):
    """What a reading is about: bounds, and the tier of those that may give way."""

    lower: float
    upper: float
    tier: int


def limit_uses(found: Situation, answer: Allocation) -> tuple[LimitUse, ...]:
    """How far each limit was used, what easing it would be worth, by how much it gave way."""
    if not answer.limits:
        return ()
    columns = [(one.used, one.bound, one.shadow_price) for one in answer.limits]
    numbers = np.array(columns, dtype=np.float64) + 0.0
    return lines_of(LimitUse, _lines(found, answer, numbers), sound=is_sound(numbers))


def _lines(found: Situation, answer: Allocation, numbers: Floats) -> Iterator[dict[str, Any]]:
    """numbers: (k, 3) used, bound and price of each reading."""
    rows = _rows(found)
    boxes = {
        "position_min": found.boxes.lower_by,
        "position_max": found.boxes.upper_by,
        "trade_max": found.boxes.trade_by,
    }
    places = {name: i for i, name in enumerate(found.problem.instruments)}
    for reading, (used, bound, price) in zip(answer.limits, numbers.tolist(), strict=True):
        label = reading.label or reading.instrument or ""
        row, limit = rows.get((reading.limit, label)), reading.limit
        if row is None and limit in boxes and label in places:
            limit = boxes[limit][places[label]]
        given = _given(reading.limit, row, used=used, bound=bound)
        if row is not None and not _tells(reading, row, given):
            continue
        about = label or None if limit in _GROUPS else None
        yield {
            "limit": limit,
            "instrument": None if limit in _GROUPS else label or None,
            "used": used,
            "bound": bound,
            "shadow_price": price,
            "about": about,
            "priority": row.tier if row is not None and row.tier else None,
            "given": given,
        }


def _tells(reading: LimitReading, row: _Row, given: float) -> bool:
    """Whether a reading of a row is worth a line: totals are, and single instruments that bind.

    A soft bound of the problem's own is out of reach there, and a row that tells.
    """
    if reading.limit in _OWN and row.tier and not row.lower <= reading.bound <= row.upper:
        return False
    alone = reading.limit in _ALONE
    binds = given > 0.0 or reading.shadow_price != 0.0
    return binds or not alone or abs(reading.used - reading.bound) <= BINDING


def _rows(found: Situation) -> dict[tuple[str, str], _Row]:
    """Every row of the problem's limits by its name and label."""
    return {
        (limit.name, label): _Row(lower, upper, limit.tier)
        for limit in found.problem.limits
        for label, lower, upper in zip(
            limit.labels, limit.lower.tolist(), limit.upper.tolist(), strict=True
        )
    }


def _given(limit: str, row: _Row | None, *, used: float, bound: float) -> float:
    """By how much the bound is passed, 0 where it holds."""
    if row is not None:
        passed = max(used - row.upper, row.lower - used)
    else:
        passed = bound - used if limit in _FLOORS else used - bound
    return passed if passed > GIVEN_MIN else 0.0
