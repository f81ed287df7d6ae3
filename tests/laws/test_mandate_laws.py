"""What is said of a mandate as a whole, held against a plain linear programme of every instrument.

The programme here knows no groups and no numbers of limits: each instrument may come in every guise
that it could turn out to have (a sector, an exposure at an end of its range), and each limit is the
row that its own words say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st
from scipy.optimize import linprog

from coordinator.core.mandates import contradiction
from coordinator.core.market import Market
from schemas.mandates import (
    FactorBound,
    Mandate,
    MustHold,
    PositionBound,
    SectorBound,
    SoftLimit,
)
from schemas.market import FactorExposure, InstrumentListed
from tests.journals import law

SECTORS, FACTORS, LISTED, UNLISTED = ("S", "T"), ("market", "value"), "ABC", "D"
ENDS = (-100.0, 100.0)
grid = st.integers(0, 12).map(lambda k: k / 20)
rarely = st.integers(0, 3).map(lambda k: k == 0)
signed = st.integers(-12, 12).map(lambda k: k / 20)


class Guise(NamedTuple):
    """What one instrument may be: name, sector and exposures."""

    name: str
    sector: str | None
    exposures: tuple[float, ...]


class Word(NamedTuple):
    """A limit as it is told, and what it demands: a bound of one name, or of a sum."""

    said: str
    name: str | None
    lower: float
    upper: float
    of: str


def market_of(terms: dict[str, tuple[str | None, float]]) -> Market:
    market = Market(window=2)
    for name, (sector, exposure) in terms.items():
        market.list(
            InstrumentListed(
                event_id=name, event_time=0, instrument=name, sector=sector, lot=Decimal(1),
                tick=Decimal(0), currency="USD",
                factors=(FactorExposure(factor="value", exposure=exposure),),
            )
        )  # fmt: skip
    return market


def guises(terms: dict[str, tuple[str | None, float]]) -> list[Guise]:
    """Every listed name with any beta; D and as many others as one likes (*) with anything."""
    known = [
        Guise(name, sector, (beta, exposure))
        for name, (sector, exposure) in terms.items()
        for beta in ENDS
    ]
    unknown = itertools.product(UNLISTED + "*", (None, *SECTORS), ENDS, ENDS)
    return known + [Guise(name, sector, (beta, value)) for name, sector, beta, value in unknown]


def is_hard(mandate: Mandate, limit: str, about: str | None = None) -> bool:
    soft = {(one.limit, one.about) for one in mandate.soft}
    return (limit, about) not in soft and (limit, None) not in soft


def words_of(mandate: Mandate) -> list[Word]:
    """Every hard limit in the engine's words, with its demand."""
    return [*words_of_names(mandate), *words_of_sums(mandate)]


def words_of_names(mandate: Mandate) -> Iterator[Word]:
    inf, hard = np.inf, partial(is_hard, mandate)
    own = {one.instrument: one for one in mandate.positions}
    names = sorted({*LISTED, *UNLISTED, "*"})
    for name in names:
        one = own.get(name)
        if hard("position_min") and (one is None or one.min is None):
            yield Word(f"position_min {mandate.position_min}", name, mandate.position_min, inf, "")
        if hard("position_max") and (one is None or one.max is None):
            yield Word(f"position_max {mandate.position_max}", name, -inf, mandate.position_max, "")
        if mandate.universe and name not in mandate.universe:
            yield Word("universe", name, 0.0, 0.0, "")
    for one in mandate.positions:
        if hard("positions", one.instrument) and one.min is not None:
            yield Word(
                f"positions {one.instrument} min {one.min}", one.instrument, one.min, inf, ""
            )
        if hard("positions", one.instrument) and one.max is not None:
            yield Word(
                f"positions {one.instrument} max {one.max}", one.instrument, -inf, one.max, ""
            )
    for wish in mandate.must_hold:
        if hard("must_hold", wish.instrument):
            said = f"must_hold {wish.instrument} min {wish.min}"
            yield Word(said, wish.instrument, wish.min, inf, "")
    for name in mandate.restricted:
        yield Word(f"restricted {name}", name, 0.0, 0.0, "")


def words_of_sums(mandate: Mandate) -> Iterator[Word]:
    inf, hard = np.inf, partial(is_hard, mandate)
    for kind, key, bounds in (("sectors", "sector", mandate.sectors),
                              ("factors", "factor", mandate.factors)):  # fmt: skip
        for bound in bounds:
            about = getattr(bound, key)
            if hard(kind, about) and bound.min is not None:
                yield Word(f"{kind} {about} min {bound.min}", None, bound.min, inf, about)
            if hard(kind, about) and bound.max is not None:
                yield Word(f"{kind} {about} max {bound.max}", None, -inf, bound.max, about)
    sums = (
        ("net_min", "net", mandate.net_min, 1.0), ("net_max", "net", mandate.net_max, -1.0),
        ("gross_max", "gross", mandate.gross_max, -1.0),
        ("leverage_max", "gross", mandate.leverage_max, -1.0),
    )  # fmt: skip
    for field, of, number, side in sums:
        if number is not None and hard(field):
            low, high = (number, inf) if side > 0 else (-inf, number)
            yield Word(f"{field} {number}", None, low, high, of)
    if hard("cash_floor"):
        floor = mandate.cash_floor
        yield Word(f"cash_floor {floor}", None, -inf, 1.0 - floor, "net")


def feasible(words: list[Word], who: list[Guise]) -> bool:
    """Whether weights exist: long and short parts of every guise."""
    n = len(who)
    size = 2 * n
    rows, bounds = [], []

    def demand(row: np.ndarray, *, lower: float, upper: float) -> None:
        if np.isfinite(upper):
            rows.append(row)
            bounds.append(upper)
        if np.isfinite(lower):
            rows.append(-row)
            bounds.append(-lower)

    for name in sorted({guise.name for guise in who}):
        mine = [word for word in words if word.name == name]
        low = max((word.lower for word in mine), default=-np.inf)
        high = min((word.upper for word in mine), default=np.inf)
        if low > high:
            return False
        at = np.array([guise.name == name for guise in who], dtype=float)
        many = np.inf if name == "*" else 1.0
        for part, (least, most) in enumerate(((low, high), (-high, -low))):
            row = np.zeros(size)
            row[part * n : (part + 1) * n] = at
            reach = max(most, 0.0) * many if most > 0 else 0.0
            demand(row, lower=max(least, 0.0), upper=reach)
    sign = np.concatenate([np.ones(n), -np.ones(n)])
    for word in words:
        if word.name is not None:
            continue
        if word.of == "net":
            row = sign
        elif word.of == "gross":
            row = np.ones(size)
        elif word.of in SECTORS:
            row = sign * np.tile([guise.sector == word.of for guise in who], 2)
        else:
            factor = FACTORS.index(word.of)
            row = sign * np.tile([guise.exposures[factor] for guise in who], 2)
        demand(row, lower=word.lower, upper=word.upper)
    if not rows:
        return True
    found = linprog(np.zeros(size), A_ub=np.array(rows), b_ub=np.array(bounds), method="highs-ipm")
    assert found.status in (0, 2), found.message
    return bool(found.status == 0)


@st.composite
def two_sided(draw: st.DrawFn, kind: type, key: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    made = []
    for name in names:
        if draw(st.integers(0, 2)):
            continue
        least, most = draw(st.none() | signed), draw(st.none() | signed)
        if least is not None or most is not None:
            made.append(kind(**{key: name}, min=least, max=most))
    return tuple(made)


@st.composite
def mandates(draw: st.DrawFn) -> Mandate:
    names = (*LISTED, *UNLISTED)
    some = st.lists(st.sampled_from(names), unique=True).map(lambda found: tuple(sorted(found)))
    fields: dict[str, Any] = {
        "universe": draw(some), "restricted": draw(some) if draw(rarely) else (),
        "position_max": 0.1 + draw(grid), "position_min": -draw(grid) if draw(rarely) else 0.0,
        "gross_max": 0.2 + draw(grid), "cash_floor": draw(grid) if draw(rarely) else 0.0,
        "net_min": draw(signed) if draw(rarely) else None,
        "net_max": draw(signed) if draw(rarely) else None,
        "leverage_max": 0.1 + draw(grid) if draw(rarely) else None,
        "positions": draw(two_sided(PositionBound, "instrument", names)),
        "sectors": draw(two_sided(SectorBound, "sector", SECTORS)),
        "factors": draw(two_sided(FactorBound, "factor", FACTORS)),
        "must_hold": tuple(
            MustHold(instrument=name, min=draw(grid) / 3 + 0.05)
            for name in names
            if draw(rarely)
        ),
    }  # fmt: skip
    may_be: list[tuple[str, str | None]] = [
        (limit, None)
        for limit in ("cash_floor", "gross_max", "net_min", "position_max", "sectors")
        if fields.get(limit) not in (None, ())
    ]
    may_be += [("must_hold", one.instrument) for one in fields["must_hold"]]
    chosen = draw(st.lists(st.sampled_from(may_be), unique=True, max_size=3))
    named = sorted(chosen, key=lambda one: (one[0], one[1] or ""))
    soft = [
        SoftLimit.model_validate({"limit": limit, "about": about, "priority": 1})
        for limit, about in named
    ]
    return Mandate(**fields, soft=tuple(soft))


@law(250)
@given(
    mandate=mandates(),
    terms=st.fixed_dictionaries(
        {name: st.tuples(st.none() | st.sampled_from(SECTORS), signed) for name in LISTED}
    ),
)
def test_a_mandate_is_refused_where_no_weights_keep_it_and_the_least_set_is_named(
    mandate: Mandate, terms: dict[str, tuple[str | None, float]]
) -> None:
    found = contradiction(mandate, market_of(terms))
    words, who = words_of(mandate), guises(terms)
    assert feasible(words, who) is (found == ())
    event("accepted" if found == () else f"{len(found)} limits named")
    if not found:
        return
    assert len(set(found)) == len(found)
    assert set(found) <= {word.said for word in words}
    blamed = [word for word in words if word.said in found]
    assert not feasible(blamed, who)
    for spared in found:
        assert feasible([word for word in blamed if word.said != spared], who), spared
