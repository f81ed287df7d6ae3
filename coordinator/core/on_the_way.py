"""On the way: how open orders change what a limit still asks for, and what they leave it to give.

Place in the flow: asked by `limits` with the bounds that the mandate states. Reads, changes
nothing. The allocator keeps a limit whichever open orders fill. So a repair that is under way would
count for nothing and be ordered again; and where orders of both directions are open, the floor and
the cap of one sum hold one another so fast that nothing can be traded, not even what mends a
breach. Both are undone here, and never further than what is held, and what will be once all orders
have filled, keeps the limit as it is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coordinator.core.boxes import Boxes, Ground, still_to_reach
from coordinator.core.ports import DRIFT, Floats, WeightLimit

__all__ = ["gross_left", "rows_left", "to_mend"]


def gross_left(ground: Ground, most: float) -> float:
    """A bound on gross exposure; where it is broken, less what open orders reduce already."""
    return float(_gross_left(ground, np.ones((1, len(ground.names))), np.array([most]))[0])


def rows_left(ground: Ground, limit: WeightLimit, mend: float) -> WeightLimit:
    """A limit's rows where orders are open. mend: as `to_mend`."""
    if limit.kind == "gross":
        return replace(limit, upper=_gross_left(ground, limit.rows, limit.upper))
    if limit.kind != "linear" or not _any_open(ground):
        return limit
    held, low, high, end = _reached(ground, limit.rows)
    largest = np.abs(limit.rows)
    lots = (largest * ground.lot).max(axis=1, initial=0.0)
    spare = mend * largest.max(axis=1, initial=0.0)
    return replace(
        limit,
        lower=_floors(limit.lower, held, low, high, end, lots=lots, spare=spare),
        upper=-_floors(-limit.upper, -held, -high, -low, -end, lots=lots, spare=spare),
    )


def to_mend(ground: Ground, boxes: Boxes, rows: Sequence[WeightLimit], gross_max: float) -> float:
    """How much weight may have to be traded to mend what holdings break, 0 where they break none.

    No order that is still open is counted as a breach here, only what is held. rows: the limits as
    they are stated, of which the hard ones count.
    """
    held = ground.filled
    beyond = np.maximum(held - boxes.most, 0.0) + np.maximum(boxes.least - held, 0.0)
    total = float(beyond.sum()) + max(float(np.abs(held).sum()) - gross_max, 0.0)
    for one in rows:
        if one.tier == 0 and one.kind in ("linear", "gross"):
            used = one.rows @ (held if one.kind == "linear" else np.abs(held))
            scale = np.abs(one.rows).max(axis=1, initial=0.0)
            excess = np.maximum(np.maximum(used - one.upper, one.lower - used), 0.0)
            total += float((excess / np.where(scale > 0.0, scale, 1.0)).sum())
    return total if total > DRIFT else 0.0


def _any_open(ground: Ground) -> bool:
    return bool((ground.low < ground.filled).any() or (ground.high > ground.filled).any())


def _reached(ground: Ground, rows: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(k,) each of held, the least and the most of any fills, and when all orders have filled."""
    less, more = rows * (ground.low - ground.filled), rows * (ground.high - ground.filled)
    held = (rows * ground.filled).sum(axis=1)
    low = held + np.minimum(np.minimum(less, more), 0.0).sum(axis=1)
    high = held + np.maximum(np.maximum(less, more), 0.0).sum(axis=1)
    return held, low, high, held + (less + more).sum(axis=1)


def _floors(
    floors: Floats,
    held: Floats,
    low: Floats,
    high: Floats,
    end: Floats,
    *,
    lots: Floats,
    spare: Floats,
) -> Floats:
    """(k,) floors where orders are open; caps come with their signs turned.

    A floor that orders alone may break has a lot of room, and one that what mends a breach would
    break if only sells filled has room for it.
    """
    found = floors.copy()
    for k in np.flatnonzero(np.isfinite(floors)).tolist():
        floor, least = float(floors[k]), float(low[k])
        left = still_to_reach(floor, held=float(held[k]), low=least, high=float(high[k]))
        sure = min(float(held[k]), float(end[k]))
        if sure >= floor:
            slack = float(spare[k]) + (float(lots[k]) if least <= floor else 0.0)
            left = min(left, max(least - slack, floor - (sure - least)))
        found[k] = left
    return found


def _gross_left(ground: Ground, rows: Floats, most: Floats) -> Floats:
    """(k,) caps of gross exposure; of those that are broken, less what orders reduce already."""
    held = rows @ np.abs(ground.filled)
    broken = held > most + DRIFT
    if not broken.any():
        return most
    # A range that holds zero may end there.
    least = np.maximum(np.maximum(ground.low, -ground.high), 0.0)
    ends = rows @ least, rows @ np.maximum(ground.high, -ground.low)
    found = most.copy()
    for k in np.flatnonzero(broken).tolist():
        low, high = (float(one[k]) for one in ends)
        found[k] = -still_to_reach(-float(most[k]), held=-float(held[k]), low=-high, high=-low)
    return found
