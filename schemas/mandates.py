"""Mandates: what a portfolio may hold, each limit hard unless it is named among the soft ones.

Place in the flow: part of `schemas.portfolios`' events. What is said here of one entry alone is
checked here; whether all hard limits can hold together is the engine's to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Model, Name

__all__ = [
    "BenchmarkWeight",
    "FactorBound",
    "LotMultiple",
    "Mandate",
    "MustHold",
    "PositionBound",
    "SectorBound",
    "SoftLimit",
    "SoftName",
]

Share = Annotated[float, Field(ge=0, le=100)]
Weight = Annotated[float, Field(ge=-100, le=100)]
Names = Annotated[tuple[Name, ...], Field(max_length=10_000)]
Multiple = Annotated[int, Field(ge=1, le=1_000_000)]
CASH_LEAST = -100
BENCHMARK_ROUNDING = 0.01
"""Weights of a benchmark may add up to so much more than 1: published ones are rounded."""
SoftName = Literal[
    "position_min",
    "position_max",
    "positions",
    "sectors",
    "factors",
    "gross_max",
    "net_min",
    "net_max",
    "leverage_max",
    "cash_floor",
    "turnover_max",
    "volatility_max",
    "drawdown_max",
    "days_to_liquidate_max",
    "must_hold",
]
"""Limits that may give way. Never: universe, restricted, lots, trade_min and volume_share_max,
which say what may be traded at all and not how much is wanted."""


class _Bound(Model):
    """Two sides, of which at least one is given."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if getattr(self, "min", None) is None and getattr(self, "max", None) is None:
            message = "give min, max or both"
            raise ValueError(message)
        return self


class PositionBound(_Bound):
    """Bounds of one instrument, instead of position_min and position_max."""

    instrument: Name
    """Which."""
    min: Weight | None = None
    """Least weight, fraction of NAV; absent: position_min."""
    max: Weight | None = None
    """Largest weight, fraction of NAV; absent: position_max."""


class SectorBound(_Bound):
    """Bounds of the sum of the weights of one sector's instruments, shorts with their sign."""

    sector: Name
    """As instruments are listed with."""
    min: Weight | None = None
    """Least sum, fraction of NAV; absent: none."""
    max: Weight | None = None
    """Largest sum, fraction of NAV; absent: none."""


class FactorBound(_Bound):
    """Bounds of the exposure to one factor: the sum of weight times the instrument's exposure."""

    factor: Name
    """As instruments are listed with; "market" is measured: the beta to the equal-weighted market
    of all that is listed."""
    min: Annotated[float, Field(ge=-10_000, le=10_000)] | None = None
    """Least exposure, of the whole portfolio; absent: none."""
    max: Annotated[float, Field(ge=-10_000, le=10_000)] | None = None
    """Largest exposure; absent: none."""


class BenchmarkWeight(Model):
    """What the benchmark holds of one instrument."""

    instrument: Name
    """Which."""
    weight: Weight
    """Fraction of the benchmark's value; below 0 short."""


class MustHold(Model):
    """An instrument that has to be held once it is listed and has a price."""

    instrument: Name
    """Which."""
    min: Annotated[float, Field(gt=0, le=100)]
    """Least weight, fraction of NAV."""


class LotMultiple(Model):
    """How one instrument is traded, instead of lot_multiple."""

    instrument: Name
    """Which."""
    multiple: Multiple
    """Of the instrument's own lot."""


class SoftLimit(Model):
    """A limit that gives way where not all can hold, after those of a later priority."""

    limit: SoftName
    """Name of the mandate's field."""
    about: Name | None = None
    """Only that instrument, sector or factor; absent: all that the field is about and that are not
    named on their own."""
    priority: Annotated[int, Field(ge=1, le=100)]
    """1 gives way last."""


_KEYS = {
    "positions": "instrument",
    "sectors": "sector",
    "factors": "factor",
    "must_hold": "instrument",
    "lots": "instrument",
    "benchmark": "instrument",
}
"""Fields that are lists of entries, and what each entry is about."""


class Mandate(Model):
    """What the portfolio may hold; a limit is hard unless `soft` names it. Fractions of NAV."""

    universe: Names = ()
    """Instruments it may trade; empty: all listed."""
    sources: Names = ()
    """Sources it hears; empty: all registered."""
    position_min: Annotated[float, Field(ge=-100, le=0)] = 0.0
    """Per instrument; below 0 allows shorts."""
    position_max: Annotated[float, Field(ge=0, le=100)] = 0.1
    """Per instrument."""
    gross_max: Share = 1.0
    """Sum of absolute weights."""
    cash_floor: Annotated[float, Field(ge=CASH_LEAST, le=1)] = 0.0
    """Cash kept, fraction of NAV."""
    turnover_max: Share = 1.0
    """Half the absolute weight traded in one decision."""
    trade_min: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest trade worth doing; full exits are free of it."""
    horizon_sessions: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Horizon of the allocation; default: the median of its live signals, at least 5."""
    valid_sessions: Annotated[int, Field(ge=1, le=100)] = 1
    """Decided trades not filled expire at the close of that many sessions."""
    positions: Annotated[tuple[PositionBound, ...], Field(max_length=10_000)] = ()
    """Bounds of single instruments, instead of the general ones; sorted by instrument."""
    sectors: Annotated[tuple[SectorBound, ...], Field(max_length=1_000)] = ()
    """Bounds of sectors, sorted by sector."""
    factors: Annotated[tuple[FactorBound, ...], Field(max_length=200)] = ()
    """Bounds of exposures to factors, sorted by factor."""
    net_min: Weight | None = None
    """Least sum of weights, shorts with their sign; absent: none."""
    net_max: Weight | None = None
    """Largest sum of weights, shorts with their sign; absent: none."""
    leverage_max: Share | None = None
    """Gross exposure with cash in other currencies than the portfolio's, held or owed, counted as
    positions: the gross method of the AIFMD. Absent: none."""
    volatility_max: Annotated[float, Field(gt=0, le=100)] | None = None
    """Volatility of the portfolio's value, per year of 252 sessions; absent: none."""
    drawdown_max: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest fall from the best session close. Gross exposure may be gross_max times a share that
    falls from 1 at the best close to 0 at this fall. Absent: none."""
    days_to_liquidate_max: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Sessions in which each position can be sold, at `participation`; absent: none."""
    participation: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of an average session's volume that is sold at most."""
    volume_share_max: Annotated[float, Field(gt=0, le=100)] | None = None
    """Largest trade of one decision in an instrument, as a share of an average session's volume;
    absent: none."""
    restricted: Names = ()
    """Instruments that may not be bought or sold short; what is held of them may only fall to 0."""
    must_hold: Annotated[tuple[MustHold, ...], Field(max_length=10_000)] = ()
    """Instruments that have to be held, sorted by instrument."""
    lot_multiple: Multiple = 1
    """Trades are whole multiples of that many of the instrument's lots; full exits are free of
    it."""
    lots: Annotated[tuple[LotMultiple, ...], Field(max_length=10_000)] = ()
    """Multiples of single instruments, sorted by instrument."""
    soft: Annotated[tuple[SoftLimit, ...], Field(max_length=10_000)] = ()
    """Limits that may give way, sorted by limit, then by what they are about."""
    benchmark: Annotated[tuple[BenchmarkWeight, ...], Field(max_length=10_000)] = ()
    """What the portfolio is compared with, sorted by instrument; what is missing to 1 is cash."""
    benchmark_aversion: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Risk aversion at which the benchmark would be the best there is: without any opinion returns
    are expected to be that times its covariance with it. Absent: they are expected to be those of
    cash, and the benchmark is only tracked."""

    @model_validator(mode="after")
    def _sorted_names(self) -> Self:
        for field in ("universe", "sources", "restricted"):
            names = getattr(self, field)
            if list(names) != sorted(set(names)):
                message = f"{field} must be sorted and unique"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _sorted_entries(self) -> Self:
        for field, key in _KEYS.items():
            _refuse_disorder(field, [(getattr(entry, key),) for entry in getattr(self, field)])
        _refuse_disorder("soft", [(one.limit, one.about or "") for one in self.soft])
        return self

    @model_validator(mode="after")
    def _benchmark_is_a_whole(self) -> Self:
        whole = sum(one.weight for one in self.benchmark)
        if whole > 1.0 + BENCHMARK_ROUNDING:
            message = f"benchmark weights add up to {whole:g}, more than 1: give fractions"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _soft_ones_exist(self) -> Self:
        for missing in self._soft_for_nothing():
            message = f"soft names {missing}, which this mandate does not limit"
            raise ValueError(message)
        return self

    def _soft_for_nothing(self) -> Iterator[str]:
        for one in self.soft:
            value = getattr(self, one.limit)
            if one.about is None:
                if value is None or value == ():
                    yield one.limit
            elif one.about not in self.about(one.limit):
                yield f"{one.limit} {one.about}"

    @property
    def cash_least(self) -> float:
        """The least that cash may come to, fraction of NAV: a soft floor may give way to any."""
        soft = any(one.limit == "cash_floor" for one in self.soft)
        return float(CASH_LEAST) if soft else self.cash_floor

    def may_short(self, instrument: str) -> bool:
        """Whether it may hold less than nothing of the instrument."""
        soft = frozenset((one.limit, one.about) for one in self.soft)
        for bound in self.positions:
            if bound.instrument == instrument and bound.min is not None:
                asked = (("positions", instrument), ("positions", None))
                return bound.min < 0 or any(one in soft for one in asked)
        return self.position_min < 0 or ("position_min", None) in soft

    def about(self, limit: str) -> tuple[str, ...]:
        """What the entries of a field are about, in order; empty where it is no list of entries."""
        key = _KEYS.get(limit)
        return () if key is None else tuple(getattr(one, key) for one in getattr(self, limit))


def _refuse_disorder(field: str, names: list[tuple[str, ...]]) -> None:
    """Entries have one order and stand once, so that equal mandates are spelled alike."""
    for before, after in pairwise(names):
        if before >= after:
            what = "stands there twice" if before == after else "stands too late"
            message = f"{field} must be sorted and unique: {' '.join(after).strip()} {what}"
            raise ValueError(message)
