"""Breaches of the limits beyond the first ones: hard ones wake, soft ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coordinator.core.book import value
from coordinator.core.breaches import breaches_limit
from coordinator.core.market import Market
from coordinator.solver.violations import measure
from schemas.mandates import Mandate, MustHold, PositionBound, SectorBound, SoftLimit
from tests.unit.core.books import D, holding, market
from tests.unit.solver.conftest import build

WIDE: dict[str, Any] = {"position_max": 1.0, "position_min": -1.0, "gross_max": 2.0}


def priced(**prices: float | None) -> Market:
    made = market(**prices)
    made.instruments["A"].sector = "Tech"
    return made


def breaks(mandate: Mandate, **units: str) -> bool:
    """Of a book worth 2,000 where A takes half of it."""
    made = holding("1000", mandate, **(units or {"A": "50"}))
    seen = priced(A=20.0, B=10.0, C=None)
    return breaches_limit(made, value(made, seen), seen)


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("net_max", {"net_max": 0.5}, {"net_max": 0.49}),
    ("net_min", {"net_min": 0.5}, {"net_min": 0.51}),
    ("leverage_max", {"leverage_max": 0.5}, {"leverage_max": 0.49}),
    (
        "sectors",
        {"sectors": (SectorBound(sector="Tech", min=0.5, max=0.5),)},
        {"sectors": (SectorBound(sector="Tech", max=0.49),)},
    ),
    (
        "sectors",
        {"sectors": (SectorBound(sector="Steel", max=0.1),)},
        {"sectors": (SectorBound(sector="Steel", min=0.1),)},
    ),
    (
        "positions",
        {"positions": (PositionBound(instrument="A", max=0.5),), "position_max": 0.1},
        {"positions": (PositionBound(instrument="A", max=0.49),)},
    ),
    (
        "must_hold",
        {"must_hold": (MustHold(instrument="A", min=0.5),)},
        {"must_hold": (MustHold(instrument="B", min=0.1),)},
    ),
    ("gross_max", {"gross_max": 0.5}, {"gross_max": 0.49}),
    ("cash_floor", {"cash_floor": 0.5}, {"cash_floor": 0.51}),
    ("position_max", {"position_max": 0.5}, {"position_max": 0.49}),
]


@pytest.mark.parametrize(("limit", "kept", "broken"), CASES)
def test_a_hard_limit_that_is_broken_is_seen_and_a_soft_one_is_not(
    limit: Any, kept: dict[str, Any], broken: dict[str, Any]
) -> None:
    assert not breaks(Mandate(**(WIDE | kept)))
    assert breaks(Mandate(**(WIDE | broken)))
    assert not breaks(Mandate(**(WIDE | broken), soft=(SoftLimit(limit=limit, priority=1),)))


@pytest.mark.parametrize(("off", "seen"), [(-5e-8, False), (5e-8, False), (2e-7, True)])
def test_what_no_allocator_would_repair_wakes_nobody(off: float, seen: bool) -> None:
    mandate = Mandate(**(WIDE | {"gross_max": 0.5 - off}))
    assert breaks(mandate) is seen
    made = holding("1000", mandate, A="50")
    market = priced(A=20.0)
    worth = value(made, market)
    n = len(worth.weights)
    problem = build(n, filled=worth.weights, cash=0.5, gross_max=0.5 - off)
    assert measure(problem, np.zeros(n)).breached is seen, "nor does the allocator act on it"


def test_what_nobody_can_buy_yet_is_not_missed() -> None:
    wish = (MustHold(instrument="C", min=0.1), MustHold(instrument="Z", min=0.1))
    assert not breaks(Mandate(**WIDE, must_hold=wish))


def test_exposure_beyond_what_a_drawdown_leaves_is_a_breach() -> None:
    made = holding("1000", Mandate(**(WIDE | {"gross_max": 0.6}), drawdown_max=0.4), A="50")
    seen = priced(A=20.0)
    made.growth.nav = 2000.0
    assert not breaches_limit(made, value(made, seen), seen)
    made.growth.nav = 2400.0  # a sixth was lost: 0.6 x 0.7 is left of the exposure
    assert breaches_limit(made, value(made, seen), seen)


def test_cash_owed_in_another_currency_is_leverage() -> None:
    made = holding("1500", Mandate(**WIDE, leverage_max=0.6), A="50")
    seen = priced(A=20.0)
    seen.observe_rate("EUR/USD", 1.25, 1)
    made.account("EUR").cash = D(-400)
    assert breaches_limit(made, value(made, seen), seen)
    made.account("EUR").cash = D(-100)
    assert not breaches_limit(made, value(made, seen), seen)
