"""Mandates: whether the hard limits of one can all hold, and which set of them cannot.

Place in the flow: asked by `intake` when a mandate arrives. Reads the market, changes nothing.

What is asked is whether weights exist that keep every hard limit on weights, with what is known
of the instruments now. Nothing is assumed of those that nobody has listed, nor of the market: an
unknown instrument may turn out to be of any sector and to have any exposure, and where the
universe is open there may be any number of them. So a mandate is refused for what no market
could mend. Limits that depend on prices, volumes, the book or lots are not asked about.

A set that cannot hold together is made minimal by the deletion filter: without any one of its
members the others can. Source: Chinneck 2008, "Feasibility and Infeasibility in Optimization".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from coordinator.core.feasible import Line, least_strain
from coordinator.core.mandate_case import Case, Total, case_of
from coordinator.core.market import Market
from coordinator.core.ports import Floats
from coordinator.core.words import listed
from schemas.mandates import Mandate
from schemas.market import EXPOSURE_MOST, MARKET_FACTOR
from schemas.verdicts import InputRejection

__all__ = ["contradiction", "contradictions", "mandate_fault", "strangers"]

TOLERANCE = 1e-6
"""Limits that miss each other by less, fraction of NAV, hold together: far above what the solver
is exact to (1e-7), so that no rounding decides, and far below what anybody writes in a mandate."""
SINGLE_MAX = 64
"""More limits than this are told by field, and minimal only as fields: a list of thousands would be
gone through entry by entry while everybody waits."""
CONTRADICTIONS_MAX = 8
"""Sets that are told of one mandate whose soft limits cannot all hold."""

_Program = tuple[list[Line], Floats, Floats]
"""Rows, and the least and largest of every column."""


def mandate_fault(mandate: Mandate, market: Market) -> tuple[InputRejection, str] | None:
    """Hard limits that cannot hold together, the fewest there are; the mandate of before stays."""
    limits = contradiction(mandate, market)
    if not limits:
        return None
    detail = f"cannot hold together: {listed(limits, named_max=SINGLE_MAX)}"
    return InputRejection.CONTRADICTORY_MANDATE, detail


def contradiction(mandate: Mandate, market: Market, *, soft: bool = False) -> tuple[str, ...]:
    """A smallest set of limits that cannot hold together, each in words; empty where all can.

    soft: as if those that may give way were hard, too.
    """
    case = case_of(mandate, market, soft=soft)
    blamed = _smallest(case, frozenset(range(len(case.terms))))
    return () if blamed is None else _worded(case, blamed)


def contradictions(mandate: Mandate, market: Market) -> tuple[tuple[str, ...], ...]:
    """Sets of limits, soft ones taken for hard, of which none can hold together.

    After each the soft ones in it are taken out and the rest is searched again, so a soft limit
    stands in one set at most; CONTRADICTIONS_MAX of them.
    """
    case = case_of(mandate, market, soft=True)
    hard = frozenset(map(str, case_of(mandate, market, soft=False).terms))
    active, found = frozenset(range(len(case.terms))), list[tuple[str, ...]]()
    while len(found) < CONTRADICTIONS_MAX:
        blamed = _smallest(case, active)
        if blamed is None:
            break
        found.append(_worded(case, blamed))
        soft = frozenset(term for term in blamed if str(case.terms[term]) not in hard)
        active -= soft or blamed
    return tuple(found)


def _smallest(case: Case, active: frozenset[int]) -> frozenset[int] | None:
    """A smallest set of active terms that cannot hold together; None where all can."""
    blamed = _blamed(case, active)
    if blamed is None:
        return None
    if _blamed(case, blamed) is None:  # the multipliers were not exact enough
        blamed = active
    if len(blamed) > SINGLE_MAX:
        blamed = _filtered(case, blamed, _by_field(case, blamed))
    if len(blamed) > SINGLE_MAX:
        return blamed
    return _filtered(case, blamed, [(term,) for term in sorted(blamed)])


def _worded(case: Case, blamed: frozenset[int]) -> tuple[str, ...]:
    """Each term in words; of more than can be named, each field."""
    if len(blamed) > SINGLE_MAX:
        return tuple(_together(case, terms) for terms in _by_field(case, blamed))
    return tuple(str(case.terms[term]) for term in sorted(blamed))


def _filtered(
    case: Case, blamed: frozenset[int], parts: Sequence[tuple[int, ...]]
) -> frozenset[int]:
    """Without every part whose absence leaves the others in contradiction."""
    for part in parts:
        if _blamed(case, blamed.difference(part)) is not None:
            blamed = blamed.difference(part)
    return blamed


def _by_field(case: Case, blamed: frozenset[int]) -> list[tuple[int, ...]]:
    """Terms of one field of the mandate together, in their order."""
    found: dict[str, list[int]] = {}
    for term in sorted(blamed):
        found.setdefault(case.terms[term].field, []).append(term)
    return [tuple(terms) for terms in found.values()]


def _together(case: Case, terms: Sequence[int]) -> str:
    first = case.terms[terms[0]]
    return str(first) if len(terms) == 1 else f"{first.field} ({len(terms)} bounds together)"


def strangers(mandate: Mandate, market: Market) -> tuple[str, ...]:
    """What the mandate names and no listed instrument is or has, as "field name"."""
    listed = [one for one in market.instruments.values() if one.listed]
    sectors = frozenset(one.sector for one in listed)
    factors = frozenset(name for one in listed for name, _ in one.factors) | {MARKET_FACTOR}
    found = [f"sectors {n}" for n in mandate.about("sectors") if n not in sectors]
    found += [f"factors {n}" for n in mandate.about("factors") if n not in factors]
    for field in ("universe", "restricted"):
        found += [f"{field} {n}" for n in getattr(mandate, field) if market.listed(n) is None]
    for field in ("positions", "must_hold", "lots", "benchmark"):
        found += [f"{field} {n}" for n in mandate.about(field) if market.listed(n) is None]
    return tuple(found)


# -- can they hold? --------------------------------------------------------------------------------


def _blamed(case: Case, active: frozenset[int]) -> frozenset[int] | None:
    """Terms that cannot hold together, not necessarily few; None where all active ones can."""
    lower, upper = _boxes(case, active)
    for group, low, high in zip(case.groups, lower, upper, strict=True):
        if low > high + TOLERANCE:
            return frozenset(t for t, _ in group.lower + group.upper) & active
    totals = [one for one in case.totals if one.term in active]
    if not totals:
        return None
    if all(low <= 0.0 <= high for low, high in zip(lower, upper, strict=True)) and all(
        one.bound >= 0.0 for one in totals
    ):
        return None  # holding nothing keeps everything
    lines, least, most = _program(case, totals, lower, upper)
    strain = least_strain(lines, lower=least, upper=most)
    # Nobody is refused for what could not be shown.
    if strain is None or strain.least <= TOLERANCE:
        return None
    found = {totals[row].term for row in strain.rows if row < len(totals)}
    size = len(case.groups)
    # A long part has its group's bounds, a short part the same with the sides exchanged.
    sides = [(at < size, at % size) for at in strain.lower if at < 2 * size]
    sides += [(at >= size, at % size) for at in strain.upper if at < 2 * size]
    for from_below, at in sides:
        terms = case.groups[at].lower if from_below else case.groups[at].upper
        found.update(term for term, _ in terms)
    return frozenset(found) & active


def _boxes(case: Case, active: frozenset[int]) -> tuple[list[float], list[float]]:
    """Least and largest weight of one instrument of every group; most groups have the same."""
    least = dict.fromkeys((group.lower for group in case.groups), -math.inf)
    most = dict.fromkeys((group.upper for group in case.groups), math.inf)
    for bounds in least:
        least[bounds] = max((v for t, v in bounds if t in active), default=-math.inf)
    for bounds in most:
        most[bounds] = min((v for t, v in bounds if t in active), default=math.inf)
    groups = case.groups
    return [least[group.lower] for group in groups], [most[group.upper] for group in groups]


def _program(
    case: Case, totals: Sequence[Total], lower: Sequence[float], upper: Sequence[float]
) -> _Program:
    """The totals, then what ties the unknown instruments' parts to each other.

    Columns: the long and the short part of every group; the long and the short part of the unknown
    ones in every sector; their exposure to every factor.
    """
    counts = [group.count for group in case.groups]
    long_least, long_most = _part(counts, lower), _part(counts, upper)
    short_least, short_most = _part(counts, [-v for v in upper]), _part(counts, [-v for v in lower])
    spare = 2 * len(case.sectors)
    least = [*long_least, *short_least, *[0.0] * spare, *[-math.inf] * len(case.factors)]
    most = [*long_most, *short_most, *[math.inf] * (spare + len(case.factors))]
    places: dict[str | None, list[int]] = {}
    for i, group in enumerate(case.groups):
        places.setdefault(group.sector, []).append(i)
    lines = [_line(case, one, places) for one in totals]
    asked = frozenset((one.of, one.name) for one in totals)
    lines += [*_spread(case, asked), *_unknown_exposures(case, asked)]
    return lines, np.array(least), np.maximum(np.array(least), np.array(most))


def _part(counts: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The positive part of each group's weight, all its instruments together."""
    return [k * w if w > 0.0 else 0.0 for k, w in zip(counts, weights, strict=True)]


def _line(case: Case, total: Total, places: Mapping[str | None, Sequence[int]]) -> Line:
    """sign x (long - short, or long + short) <= bound, with the part of the unknown ones.

    places: of the groups of every sector.
    """
    size, sign = len(case.groups), total.sign
    short = sign if total.of == "gross" else -sign
    if total.of in ("net", "gross"):
        meant = np.arange(size)
        weights = np.ones(size)
        extra = np.empty(0, dtype=np.intp)
        more = np.empty(0)
    elif total.of == "sector":
        meant = np.array(places.get(total.name, ()), dtype=np.intp)
        weights = np.ones(len(meant))
        extra = 2 * (size + case.sectors.index(total.name)) + np.arange(2)
        more = np.array([sign, -sign])
    else:
        factor = case.factors.index(total.name)
        exposures = np.array([group.exposures[factor] for group in case.groups])
        meant = np.flatnonzero(exposures)
        weights = exposures[meant]
        extra = np.array([_exposure(case, factor)])
        more = np.array([sign])
    columns = np.concatenate([meant, size + meant, extra])
    return Line(columns, np.concatenate([sign * weights, short * weights, more]), total.bound)


def _exposure(case: Case, factor: int) -> int:
    """The column of the exposure that unknown instruments give to a factor."""
    return 2 * (len(case.groups) + len(case.sectors)) + factor


def _spread(case: Case, asked: frozenset[tuple[str, str]]) -> Iterator[Line]:
    """What unknown instruments have in all sectors is no more than what they have."""
    size = len(case.groups)
    unknown = [i for i, group in enumerate(case.groups) if not group.known]
    for side in (0, 1):
        inside = [
            2 * (size + k) + side
            for k, name in enumerate(case.sectors)
            if ("sector", name) in asked
        ]
        if inside:
            columns = [*inside, *(side * size + i for i in unknown)]
            yield Line(columns, [1.0] * len(inside) + [-1.0] * len(unknown), 0.0, rigid=True)


def _unknown_exposures(case: Case, asked: frozenset[tuple[str, str]]) -> Iterator[Line]:
    """An exposure that nobody knows is at most the largest there is; the market's is never told."""
    size = len(case.groups)
    for factor, name in enumerate(case.factors):
        if ("factor", name) not in asked:
            continue
        measured = name == MARKET_FACTOR
        meant = [i for i, group in enumerate(case.groups) if measured or not group.known]
        columns = [_exposure(case, factor), *meant, *(size + i for i in meant)]
        reach = [-EXPOSURE_MOST] * (2 * len(meant))
        yield Line(columns, [1.0, *reach], 0.0, rigid=True)
        yield Line(columns, [-1.0, *reach], 0.0, rigid=True)
