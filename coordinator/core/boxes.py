"""Boxes: what a mandate bounds of each instrument alone, and which limit gave each bound.

Place in the flow: asked by `allocate` when a problem is put together. Reads, changes nothing. Soft
limits leave a box as wide as anything could reach; they are rows, see `limits`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coordinator.core.firm import FIRM_SHARE
from coordinator.core.instrument import Instrument
from coordinator.core.ports import DRIFT, Floats
from schemas.mandates import Mandate

__all__ = ["Boxes", "Ground", "Tiers", "boxes_of", "liquid", "still_to_reach"]


class Tiers:
    """Which limits of a mandate may give way: 0 is a hard one, else its priority."""

    def __init__(self, mandate: Mandate) -> None:
        self._soft: dict[tuple[str, str | None], int] = {
            (one.limit, one.about): one.priority for one in mandate.soft
        }

    def of(self, limit: str, about: str | None = None) -> int:
        """An entry's own word counts before that on its field."""
        if not self._soft:
            return 0
        return self._soft.get((limit, about)) or self._soft.get((limit, None), 0)


@dataclass(frozen=True, slots=True)
class Ground:
    """What limits are laid upon. Arrays are (n,), weights: fractions of NAV.

    filled: what is held; low, high: once every open sell, or every open buy, has filled. room: more
    than any weight could reach. trade_max: what the market lets trade. volume: an average
    session's, NaN where none is known or asked for. betas: to the market, NaN where not asked for.
    horizon: of the allocation, sessions. foreign: cash of other currencies, sum of absolute values.
    drawdown: fall from the best session close. lot: weight of one lot, 0 where any quantity is.
    session_left: (n,) what the firm's share of volumes leaves, NaN where no volume is known; None:
    there is no such share.
    """

    mandate: Mandate
    tiers: Tiers
    names: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    filled: Floats
    low: Floats
    high: Floats
    room: float
    trade_max: Floats
    volume: Floats
    betas: Floats
    horizon: float
    foreign: float
    drawdown: float
    lot: Floats
    session_left: Floats | None = None


@dataclass(frozen=True, slots=True)
class Boxes:
    """(n,) bounds of each weight and of each trade, and the names of the limits they come from.

    lower, upper: less what is on its way, see `still_to_reach`; least, most: as they are stated.
    """

    lower: Floats
    upper: Floats
    trade: Floats
    lower_by: tuple[str, ...]
    upper_by: tuple[str, ...]
    trade_by: tuple[str, ...]
    least: Floats
    most: Floats


class _Side:
    """One side of all boxes, and who gave it. sign: 1 for upper bounds, -1 for lower ones."""

    def __init__(self, n: int, value: float, name: str, *, sign: float) -> None:
        self.bound: Floats = np.full(n, value)
        self.by = [name] * n
        self._sign = sign

    def put(self, i: int, value: float, name: str) -> None:
        """The bound of one instrument, whatever it was."""
        self.bound[i], self.by[i] = value, name

    def tighten(self, i: int, value: float, name: str) -> None:
        """The bound of one instrument, where that is narrower."""
        if self._sign * value < self._sign * self.bound[i]:
            self.put(i, value, name)

    def tighten_all(self, values: Floats, name: str) -> None:
        """The same of all; NaN narrows nothing."""
        for i in np.flatnonzero(self._sign * values < self._sign * self.bound).tolist():
            self.put(i, float(values[i]), name)


def boxes_of(ground: Ground) -> Boxes:
    """The hard bounds of every instrument; the narrowest counts."""
    mandate, tiers, n = ground.mandate, ground.tiers, len(ground.names)
    least = -ground.room if tiers.of("position_min") else mandate.position_min
    most = ground.room if tiers.of("position_max") else mandate.position_max
    lower = _Side(n, least, "position_min", sign=-1.0)
    upper = _Side(n, most, "position_max", sign=1.0)
    at = {name: i for i, name in enumerate(ground.names)}
    _own(ground, at, lower, upper)
    for wish in mandate.must_hold:
        if wish.instrument in at and not tiers.of("must_hold", wish.instrument):
            lower.tighten(at[wish.instrument], wish.min, "must_hold")
    if mandate.days_to_liquidate_max is not None and not tiers.of("days_to_liquidate_max"):
        below, above = liquid(ground)
        lower.tighten_all(below, "days_to_liquidate_max")
        upper.tighten_all(above, "days_to_liquidate_max")
    trade = _trades(ground, lower, upper)
    for name in mandate.restricted:
        if name in at:
            _no_more(ground, at[name], lower, upper, "restricted")
    universe = frozenset(mandate.universe or ground.names)
    for i, name in enumerate(ground.names):
        if name not in universe:
            lower.put(i, 0.0, "universe")
            upper.put(i, 0.0, "universe")
    least_of_all, most_of_all = lower.bound.copy(), upper.bound.copy()
    _count_orders(ground, lower, upper)
    return Boxes(
        lower.bound,
        upper.bound,
        trade.bound,
        tuple(lower.by),
        tuple(upper.by),
        tuple(trade.by),
        least_of_all,
        most_of_all,
    )


def _count_orders(ground: Ground, lower: _Side, upper: _Side) -> None:
    """What has to be held, or sold, is not ordered twice: see `still_to_reach`."""
    held_less = (ground.filled < lower.bound - DRIFT) | (lower.bound > 0.0)
    held_more = (ground.filled > upper.bound + DRIFT) | (upper.bound < 0.0)
    for i in np.flatnonzero(held_less | held_more).tolist():
        held, low, high = (float(one[i]) for one in (ground.filled, ground.low, ground.high))
        least, most = float(lower.bound[i]), float(upper.bound[i])
        if held_less[i]:
            lower.bound[i] = still_to_reach(least, held=held, low=low, high=high)
        if held_more[i]:
            upper.bound[i] = -still_to_reach(-most, held=-held, low=-high, high=-low)


def still_to_reach(floor: float, *, held: float, low: float, high: float) -> float:
    """A floor less what orders on their way to it will bring.

    The allocator keeps a limit whichever open orders fill, so that one which lifts what is held
    would count for nothing at a floor that is not reached yet, and be given again. low, high:
    what is held once those that lower it, or those that lift it, have filled; the floor that is
    left is no less than low, so that nothing gets worse.
    """
    return min(floor, max(floor - (high - held), low))


def _own(ground: Ground, at: dict[str, int], lower: _Side, upper: _Side) -> None:
    """Bounds of single instruments take the place of the general ones."""
    for bound in ground.mandate.positions:
        i = at.get(bound.instrument)
        if i is None:
            continue
        soft = ground.tiers.of("positions", bound.instrument) > 0
        if bound.min is not None:
            lower.put(i, -ground.room if soft else bound.min, "positions")
        if bound.max is not None:
            upper.put(i, ground.room if soft else bound.max, "positions")


def liquid(ground: Ground) -> tuple[Floats, Floats]:
    """(n,) least and largest weights that can be sold in the days allowed.

    What has no known volume may not be increased: nobody can say how long it would take.
    """
    days = ground.mandate.days_to_liquidate_max or 0.0
    reach = days * ground.mandate.participation * ground.volume
    below = np.where(np.isnan(reach), np.minimum(ground.low, 0.0), -reach)
    above = np.where(np.isnan(reach), np.maximum(ground.high, 0.0), reach)
    return below, above


def _trades(ground: Ground, lower: _Side, upper: _Side) -> _Side:
    """What one decision may trade: nothing where it cannot, a share of the volume where said.

    Of what has no known volume, none can be told: it may fall to 0, and never grow.
    """
    trade = _Side(len(ground.names), 0.0, "trade_max", sign=1.0)
    trade.bound = ground.trade_max.copy()
    share = ground.mandate.volume_share_max
    bounds = [] if share is None else [(share * ground.volume, "volume_share_max")]
    if ground.session_left is not None:
        bounds.append((ground.session_left, FIRM_SHARE))
    for most, name in bounds:
        trade.tighten_all(most, name)
        for i in np.flatnonzero(np.isnan(most)).tolist():
            _no_more(ground, i, lower, upper, name)
    return trade


def _no_more(ground: Ground, i: int, lower: _Side, upper: _Side, name: str) -> None:
    """What is held, or on its way, may only fall to 0."""
    lower.tighten(i, min(float(ground.low[i]), 0.0), name)
    upper.tighten(i, max(float(ground.high[i]), 0.0), name)
