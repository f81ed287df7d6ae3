"""Limit lines: what a decision says of each limit: used, bound, worth, and whether it gave way.

Place in the flow: asked by `decide` with the situation and the answer. Reads, changes nothing. The
allocator knows bounds of single instruments as one box each; here each has the name of the limit
that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from coordinator.core.allocate import Situation
from coordinator.core.assemble import is_sound, lines_of
from coordinator.core.ports import DRIFT, Allocation, Floats, LimitReading
from schemas.decisions import LimitUse

__all__ = ["limit_uses"]

_GROUPS = ("sectors", "factors")
"""Limits that are about something else than an instrument."""
_ALONE = ("position_min", "position_max", "positions", "must_hold", "days_to_liquidate_max")
"""Limits of one instrument each."""
_OWN = ("gross_max", "cash_floor", "turnover_max")
"""Limits that a problem has a bound of its own for."""
PRICE_MAX = 1e18
"""The largest price that is told: as `schemas.base.Finite`."""
BINDING = 1e-6
"""A bound closer than this binds, fraction of NAV."""

_Key = tuple[str, str | None, str | None, str]
"""Limit, label of its row, instrument, side."""


def limit_uses(found: Situation, answer: Allocation) -> tuple[LimitUse, ...]:
    """How far each limit was used, what easing it would be worth, by how much it gave way."""
    if not answer.limits:
        return ()
    columns = [(one.used, one.bound, one.shadow_price) for one in answer.limits]
    numbers = np.array(columns, dtype=np.float64) + 0.0
    # Of a bound next to nothing any use has no end of a price.
    numbers[:, 2] = np.clip(numbers[:, 2], -PRICE_MAX, PRICE_MAX)
    return lines_of(LimitUse, _lines(found, answer, numbers), sound=is_sound(numbers))


def _lines(found: Situation, answer: Allocation, numbers: Floats) -> Iterator[dict[str, Any]]:
    """numbers: (k, 3) used, bound and price of each reading."""
    boxes = {
        "position_min": found.boxes.lower_by,
        "position_max": found.boxes.upper_by,
        "trade_max": found.boxes.trade_by,
    }
    places = {name: i for i, name in enumerate(found.problem.instruments)}
    soft = frozenset(limit.name for limit in found.problem.limits if limit.tier)
    stated = _stated(found)
    for reading, (used, left, price) in zip(answer.limits, numbers.tolist(), strict=True):
        # Open orders may change it: told is the limit, and by how much it is broken till they fill.
        bound, held = stated.get(_key(reading), (left, left))
        if abs(bound - left) <= DRIFT:
            given = reading.gave_way if reading.tier else _passed(reading, used=used, bound=bound)
        elif _passed(reading, used=held, bound=bound):
            given = _passed(reading, used=used, bound=bound)
        else:
            given = 0.0  # broken by nothing that is held: only if of the open orders some fill
        if not _tells(reading, given, soft):
            continue
        label = reading.label or reading.instrument or ""
        limit = reading.limit
        if not reading.tier and limit in boxes and label in places:
            limit = boxes[limit][places[label]]
        about = label or None if limit in _GROUPS else None
        yield {
            "limit": limit,
            "instrument": None if limit in _GROUPS else label or None,
            "used": used,
            "bound": bound,
            "shadow_price": price,
            "about": about,
            "priority": reading.tier or None,
            "given": given,
        }


def _key(reading: LimitReading) -> _Key:
    """A row has a label, or none; a box an instrument."""
    return reading.limit, reading.label or None, reading.instrument or None, reading.side


def _stated(found: Situation) -> dict[_Key, tuple[float, float]]:
    """The bounds that open orders may have changed, as the mandate states them, and what is held.

    Held: of the limit's quantity, before any of the open orders fill.
    """
    limits, names, filled = found.limits, found.problem.instruments, found.problem.filled
    gross = float(np.abs(filled).sum())
    stated: dict[_Key, tuple[float, float]] = {
        ("gross_max", None, None, "upper"): (limits.gross_stated, gross)
    }
    for limit in limits.stated:
        if limit.kind not in ("linear", "gross"):
            continue
        held = limit.rows @ (filled if limit.kind == "linear" else np.abs(filled))
        columns = (held.tolist(), limit.lower.tolist(), limit.upper.tolist())
        for label, now, lower, upper in zip(limit.labels, *columns, strict=True):
            stated[limit.name, label or None, None, "lower"] = lower, now
            stated[limit.name, label or None, None, "upper"] = upper, now
    boxes = limits.boxes
    for i in np.flatnonzero((boxes.least != boxes.lower) | (boxes.most != boxes.upper)).tolist():
        now = float(filled[i])
        stated["position_min", None, names[i], "lower"] = float(boxes.least[i]), now
        stated["position_max", None, names[i], "upper"] = float(boxes.most[i]), now
    return stated


def _tells(reading: LimitReading, given: float, soft: frozenset[str]) -> bool:
    """Whether a reading is worth a line: totals are, and single instruments that bind.

    A soft bound of the problem's own is out of reach there, and a row that tells. soft: the names
    of limits with such rows. What is read of a box binds.
    """
    if not reading.tier:
        return not (reading.limit in _OWN and reading.limit in soft)
    binds = given > 0.0 or reading.shadow_price != 0.0
    return binds or reading.limit not in _ALONE or abs(reading.used - reading.bound) <= BINDING


def _passed(reading: LimitReading, *, used: float, bound: float) -> float:
    """By how much a hard bound is broken, 0 where it holds.

    Of a soft one the allocator says it, which knows what it eased and what rounding did.
    """
    passed = bound - used if reading.side == "lower" else used - bound
    return passed if passed > DRIFT else 0.0
