"""Limits: mandate, market and book become the bounds of one allocation problem.

Place in the flow: asked by `allocate`. Reads, changes nothing. What the problem has a bound of its
own for stays there while it is hard; everything else, and every soft limit, is a WeightLimit with
the name of its field in the mandate and, where the field is a list, of what the row is about. How
open orders change them is in `on_the_way`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coordinator.core.boxes import Boxes, Ground, boxes_of, liquid
from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.on_the_way import gross_left, rows_left, to_mend
from coordinator.core.ports import Floats, LimitKind, WeightLimit
from schemas.mandates import Mandate
from schemas.market import MARKET_FACTOR

__all__ = ["Limits", "exposures", "limits_of", "surplus_share"]

FREE = math.inf
EXPOSURE_MIN = 1e-9
"""A row whose largest coefficient is smaller bounds nothing that any trade could change."""


@dataclass(frozen=True, slots=True)
class Limits:
    """All bounds of a problem. rows: those it has no field for, hard ones first.

    stated: the same rows as the mandate means them, before what is on its way is counted;
    gross_stated: of gross_max. empty: sectors and factors that have to be held, or short, and that
    no instrument of the problem belongs to.
    """

    boxes: Boxes
    gross_max: float
    cash_floor: float
    turnover_max: float
    rows: tuple[WeightLimit, ...]
    stated: tuple[WeightLimit, ...]
    gross_stated: float
    empty: tuple[str, ...]


class _Row(NamedTuple):
    """One row of a limit before rows of one tier are put together."""

    label: str
    coefficients: Floats
    lower: float
    upper: float
    tier: int


def limits_of(ground: Ground) -> Limits:
    """Everything the mandate bounds; a soft bound of the problem's own is out of reach there."""
    mandate, tiers = ground.mandate, ground.tiers
    beyond = ground.room * max(len(ground.names), 1)
    groups, empty = _groups(ground)
    rows = sorted([*_names(ground), *groups, *_totals(ground)], key=lambda one: one.tier)
    boxes = boxes_of(ground)
    gross_max = beyond if tiers.of("gross_max") else mandate.gross_max
    mend = to_mend(ground, boxes, rows, gross_max)
    return Limits(
        boxes=boxes,
        gross_max=gross_left(ground, gross_max),
        cash_floor=-beyond if tiers.of("cash_floor") else mandate.cash_floor,
        turnover_max=beyond if tiers.of("turnover_max") else mandate.turnover_max,
        rows=tuple(rows_left(ground, one, mend) for one in rows),
        stated=tuple(rows),
        gross_stated=gross_max,
        empty=empty,
    )


def surplus_share(drawdown: float, most: float) -> float:
    """Share of the exposure that a drawdown leaves, 1 at the best value and 0 at the most.

    The risky part is proportional to what lies above the floor, (1 - most) x best value, as a share
    of the present value. Source: Grossman and Zhou 1993.
    """
    if drawdown >= most:
        return 0.0
    return (most - drawdown) / ((1.0 - drawdown) * most)


# -- single instruments ----------------------------------------------------------------------------


def _names(ground: Ground) -> Iterator[WeightLimit]:
    """Soft limits of single instruments; hard ones are boxes."""
    mandate = ground.mandate
    if not mandate.soft:
        return
    own = {one.instrument: one for one in mandate.positions}
    bounds = [own.get(name) for name in ground.names]
    least, most = mandate.position_min, mandate.position_max
    general_low = [i for i, one in enumerate(bounds) if one is None or one.min is None]
    general_high = [i for i, one in enumerate(bounds) if one is None or one.max is None]
    yield from _of_names(ground, "position_min", [(i, least, FREE) for i in general_low])
    yield from _of_names(ground, "position_max", [(i, -FREE, most) for i in general_high])
    sides = [
        (i, -FREE if one.min is None else one.min, FREE if one.max is None else one.max)
        for i, one in enumerate(bounds)
        if one is not None
    ]
    yield from _of_names(ground, "positions", sides)
    wishes = {one.instrument: one.min for one in mandate.must_hold}
    held = [(i, wishes[name], FREE) for i, name in enumerate(ground.names) if name in wishes]
    yield from _of_names(ground, "must_hold", held)
    if mandate.days_to_liquidate_max is not None:
        below, above = (side.tolist() for side in liquid(ground))
        reach = list(zip(range(len(ground.names)), below, above, strict=True))
        yield from _of_names(ground, "days_to_liquidate_max", reach)


def _of_names(
    ground: Ground, limit: str, bounds: Iterable[tuple[int, float, float]]
) -> list[WeightLimit]:
    """Soft rows of one instrument each. bounds: its place, least and largest weight."""
    rows = []
    for i, lower, upper in bounds:
        tier = ground.tiers.of(limit, ground.names[i])
        if tier:
            alone = np.zeros(len(ground.names))
            alone[i] = 1.0
            rows.append(_Row(ground.names[i], alone, lower, upper, tier))
    return _joined(limit, "linear", rows)


# -- sectors and factors ---------------------------------------------------------------------------


def _groups(ground: Ground) -> tuple[list[WeightLimit], tuple[str, ...]]:
    """Limits of sectors and factors; one that no instrument of the problem belongs to has no row.

    No trade could do anything about it. Second: the names of those it leaves unkept.
    """
    mandate, tiers = ground.mandate, ground.tiers
    sectors, factors = [], []
    for sector in mandate.sectors:
        inside = [one.sector == sector.sector for one in ground.instruments]
        tier = tiers.of("sectors", sector.sector)
        row = np.array(inside, dtype=np.float64)
        sectors.append(_row(sector.sector, row, sector.min, sector.max, tier))
    for factor in mandate.factors:
        row = exposures(factor.factor, ground)
        tier = tiers.of("factors", factor.factor)
        factors.append(_row(factor.factor, row, factor.min, factor.max, tier))
    named = (("sectors", sectors), ("factors", factors))
    found = [
        one
        for name, rows in named
        for one in _joined(name, "linear", [row for row in rows if _is_about(row)])
    ]
    empty = [
        f"{name}/{row.label}"
        for name, rows in named
        for row in rows
        if not _is_about(row) and (row.lower > 0.0 or row.upper < 0.0)
    ]
    return found, tuple(empty)


def _is_about(row: _Row) -> bool:
    """Whether any instrument of the problem belongs to the row."""
    return bool(np.abs(row.coefficients).max(initial=0.0) >= EXPOSURE_MIN)


def _row(label: str, row: Floats, least: float | None, most: float | None, tier: int) -> _Row:
    lower, upper = -FREE if least is None else least, FREE if most is None else most
    return _Row(label, row, lower, upper, tier)


def exposures(factor: str, ground: Ground) -> Floats:
    """(n,) exposure of each instrument to a factor; to one it was not listed with it has none."""
    if factor == MARKET_FACTOR:
        return ground.betas
    return np.array([dict(one.factors).get(factor, 0.0) for one in ground.instruments])


def _joined(limit: str, kind: LimitKind, rows: list[_Row]) -> list[WeightLimit]:
    """One limit of all rows of a tier, in the order of tiers and then of rows."""
    found = []
    for tier in sorted({row.tier for row in rows}):
        part = [row for row in rows if row.tier == tier]
        found.append(
            WeightLimit(
                limit,
                kind,
                tuple(row.label for row in part),
                np.array([row.coefficients for row in part]),
                np.array([row.lower for row in part]),
                np.array([row.upper for row in part]),
                tier,
            )
        )
    return found


# -- the whole portfolio ---------------------------------------------------------------------------


def _totals(ground: Ground) -> Iterator[WeightLimit]:
    """Limits of one row; of what the problem has a bound of its own for, the soft ones."""
    mandate, tiers = ground.mandate, ground.tiers
    for limit, kind, lower, upper in _total_bounds(ground, mandate):
        tier = tiers.of(limit)
        if tier or limit not in ("gross_max", "cash_floor", "turnover_max"):
            everything = np.ones(len(ground.names))
            of_weights = kind in ("linear", "gross")
            row = _Row("", everything if of_weights else 0.0 * everything, lower, upper, tier)
            yield from _joined(limit, kind, [row])


def _total_bounds(
    ground: Ground, mandate: Mandate
) -> Iterator[tuple[str, LimitKind, float, float]]:
    """Name, kind, lower and upper bound."""
    if mandate.net_min is not None:
        yield "net_min", "linear", mandate.net_min, FREE
    if mandate.net_max is not None:
        yield "net_max", "linear", -FREE, mandate.net_max
    yield "gross_max", "gross", -FREE, mandate.gross_max
    if mandate.leverage_max is not None:
        yield "leverage_max", "gross", -FREE, max(0.0, mandate.leverage_max - ground.foreign)
    if mandate.drawdown_max is not None:
        share = surplus_share(ground.drawdown, mandate.drawdown_max)
        yield "drawdown_max", "gross", -FREE, mandate.gross_max * share
    yield "cash_floor", "cash", mandate.cash_floor, FREE
    yield "turnover_max", "turnover", -FREE, mandate.turnover_max
    if mandate.volatility_max is not None:
        over_horizon = mandate.volatility_max * math.sqrt(ground.horizon / SESSIONS_A_YEAR)
        yield "volatility_max", "volatility", -FREE, over_horizon
