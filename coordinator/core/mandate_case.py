"""Mandate case: a mandate as limits by number, laid upon groups of instruments alike.

Place in the flow: made for `mandates`, which asks whether such limits can hold together. Reads the
market, changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from coordinator.core.boxes import Tiers
from coordinator.core.market import Market
from schemas.mandates import Mandate

__all__ = ["Case", "Group", "Term", "Total", "case_of"]


@dataclass(frozen=True, slots=True)
class Term:
    """One limit: its field in the mandate, and which of it, in words."""

    field: str
    which: str

    def __str__(self) -> str:
        return f"{self.field} {self.which}".rstrip()


@dataclass(frozen=True, slots=True)
class Group:
    """Instruments that no limit tells apart. count: how many, infinite where there is no end.

    lower, upper: (term, weight) of every bound of one of them. sector: None where it is in none
    that the mandate bounds. exposures: to each factor of the mandate. known: somebody listed them.
    """

    count: float
    lower: tuple[tuple[int, float], ...]
    upper: tuple[tuple[int, float], ...]
    sector: str | None
    exposures: tuple[float, ...]
    known: bool


@dataclass(frozen=True, slots=True)
class Total:
    """A limit on a sum: sign times the sum is at most bound.

    of: "net", "gross", "sector" or "factor"; name: which of the last two.
    """

    term: int
    of: str
    name: str
    sign: float
    bound: float


@dataclass(frozen=True, slots=True)
class Case:
    """A mandate as limits by number."""

    terms: tuple[Term, ...]
    groups: tuple[Group, ...]
    totals: tuple[Total, ...]
    sectors: tuple[str, ...]
    factors: tuple[str, ...]


class _Terms:
    """Numbers limits as they are met; a soft one has none."""

    def __init__(self, mandate: Mandate, *, soft: bool) -> None:
        self.found: list[Term] = []
        self._tiers = Tiers(mandate)
        self._soft = soft

    def add(self, field: str, name: str | None = None, which: str = "") -> int | None:
        """The number of a new limit; None where it may give way."""
        if self._tiers.of(field, name) and not self._soft:
            return None
        self.found.append(Term(field, " ".join(part for part in (name, which) if part)))
        return len(self.found) - 1


def case_of(mandate: Mandate, market: Market, *, soft: bool) -> Case:
    """The hard limits of a mandate on weights. soft: those that may give way, too."""
    terms = _Terms(mandate, soft=soft)
    sectors, factors = mandate.about("sectors"), mandate.about("factors")
    groups = _groups(mandate, market, terms)
    totals = tuple(_totals(mandate, terms))
    return Case(tuple(terms.found), groups, totals, sectors, factors)


def _groups(mandate: Mandate, market: Market, terms: _Terms) -> tuple[Group, ...]:
    """All instruments that are named, those alike together, and whatever else there may be."""
    general = _Sides.of(
        terms.add("position_min", None, f"{mandate.position_min!r}"), mandate.position_min,
        terms.add("position_max", None, f"{mandate.position_max!r}"), mandate.position_max,
    )  # fmt: skip
    named = _named(mandate, terms, general)
    outside = _Sides((), ())
    if mandate.universe:
        term = terms.add("universe")
        outside = _Sides.of(term, 0.0, term, 0.0)
    universe = frozenset(mandate.universe or named)
    sight = _Sight(mandate, market)
    counted: dict[Group, list[str]] = {}
    for name in sorted(named):
        sides = named[name] if name in universe else named[name].within(outside)
        counted.setdefault(sight.of(name, sides), []).append(name)
    others = replace(sight.unknown(general.within(outside)), count=math.inf)
    return (*(replace(group, count=float(len(alike))) for group, alike in counted.items()), others)


def _named(mandate: Mandate, terms: _Terms, general: _Sides) -> dict[str, _Sides]:
    """Bounds of every instrument that the mandate names."""
    named = dict.fromkeys((*mandate.universe, *mandate.restricted), general)
    for bound in mandate.positions:
        lower, upper = general.lower, general.upper
        if bound.min is not None:
            term = terms.add("positions", bound.instrument, f"min {bound.min!r}")
            lower = _Sides.one(term, bound.min)
        if bound.max is not None:
            term = terms.add("positions", bound.instrument, f"max {bound.max!r}")
            upper = _Sides.one(term, bound.max)
        named[bound.instrument] = _Sides(lower, upper)
    for wish in mandate.must_hold:
        term = terms.add("must_hold", wish.instrument, f"min {wish.min!r}")
        before = named.get(wish.instrument, general)
        named[wish.instrument] = before.within(_Sides(_Sides.one(term, wish.min), ()))
    for name in mandate.restricted:
        term = terms.add("restricted", name)
        named[name] = named[name].within(_Sides.of(term, 0.0, term, 0.0))
    return named


class _Sight:
    """Instruments as far as a mandate's limits see them."""

    def __init__(self, mandate: Mandate, market: Market) -> None:
        self._market = market
        self._sectors = frozenset(mandate.about("sectors"))
        self._factors = mandate.about("factors")

    def of(self, name: str, sides: _Sides) -> Group:
        """One instrument, with what it was listed with."""
        listed = self._market.listed(name)
        if listed is None:
            return self.unknown(sides)
        told = dict(listed.factors) if self._factors else {}
        exposures = tuple(told.get(factor, 0.0) for factor in self._factors)
        sector = listed.sector if listed.sector in self._sectors else None
        return Group(1.0, sides.lower, sides.upper, sector, exposures, known=True)

    def unknown(self, sides: _Sides) -> Group:
        """One that nobody has listed."""
        nothing = (0.0,) * len(self._factors)
        return Group(1.0, sides.lower, sides.upper, None, nothing, known=False)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Bounds of one instrument by term."""

    lower: tuple[tuple[int, float], ...]
    upper: tuple[tuple[int, float], ...]

    @staticmethod
    def one(term: int | None, weight: float) -> tuple[tuple[int, float], ...]:
        """One bound; none of a limit that may give way."""
        return () if term is None else ((term, weight),)

    @classmethod
    def of(cls, low: int | None, least: float, high: int | None, most: float) -> _Sides:
        """Both sides."""
        return cls(cls.one(low, least), cls.one(high, most))

    def within(self, other: _Sides) -> _Sides:
        """Both at once."""
        return _Sides(self.lower + other.lower, self.upper + other.upper)


def _totals(mandate: Mandate, terms: _Terms) -> Iterator[Total]:
    for sector in mandate.sectors:
        yield from _both(terms, "sectors", "sector", sector.sector, sector.min, sector.max)
    for factor in mandate.factors:
        yield from _both(terms, "factors", "factor", factor.factor, factor.min, factor.max)
    single = (
        ("net_min", "net", -1.0, mandate.net_min),
        ("net_max", "net", 1.0, mandate.net_max),
        ("gross_max", "gross", 1.0, mandate.gross_max),
        ("leverage_max", "gross", 1.0, mandate.leverage_max),
    )
    for field, of, sign, bound in single:
        if bound is not None and (term := terms.add(field, None, f"{bound!r}")) is not None:
            yield Total(term, of, "", sign, sign * bound)
    term = terms.add("cash_floor", None, f"{mandate.cash_floor!r}")
    if term is not None:
        yield Total(term, "net", "", 1.0, 1.0 - mandate.cash_floor)


def _both(
    terms: _Terms, field: str, of: str, name: str, least: float | None, most: float | None
) -> Iterator[Total]:
    for side, sign, bound in (("min", -1.0, least), ("max", 1.0, most)):
        if bound is None:
            continue
        term = terms.add(field, name, f"{side} {bound!r}")
        if term is not None:
            yield Total(term, of, name, sign, sign * bound)
