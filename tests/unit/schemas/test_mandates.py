"""What a mandate alone must say: entries in one order, bounds that bound, soft ones that exist."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.canonical import canonical_bytes
from schemas.mandates import (
    FactorBound,
    Mandate,
    MustHold,
    PositionBound,
    SectorBound,
    SoftLimit,
)
from schemas.market import FactorExposure, InstrumentListed
from schemas.portfolios import PortfolioOpened
from schemas.registry import SchemaError, parse_event

A, B = SectorBound(sector="A", max=0.3), SectorBound(sector="B", min=0.1)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"sectors": (B, A)}, "sectors must be sorted and unique: A stands too late"),
        ({"sectors": (A, A)}, "sectors must be sorted and unique: A stands there twice"),
        ({"restricted": ("B", "A")}, "restricted must be sorted and unique"),
        ({"must_hold": (MustHold(instrument="A", min=0.1),) * 2}, "must_hold must be sorted"),
        ({"soft": (SoftLimit(limit="net_max", priority=1),)}, "soft names net_max, which"),
        (
            {"soft": (SoftLimit(limit="sectors", about="C", priority=1),), "sectors": (A,)},
            "soft names sectors C, which",
        ),
        ({"soft": (SoftLimit(limit="gross_max", about="A", priority=1),)}, "gross_max A, which"),
        (
            {"soft": (SoftLimit(limit="gross_max", priority=1),) * 2},
            "soft must be sorted and unique: gross_max stands there twice",
        ),
    ],
)
def test_a_mandate_that_says_things_twice_or_of_nothing_is_refused(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        Mandate(**fields)


@pytest.mark.parametrize("limit", ["restricted", "lots", "trade_min", "universe", "x"])
def test_what_says_what_may_be_traded_at_all_never_gives_way(limit: str) -> None:
    with pytest.raises(ValidationError, match="Input should be 'position_min'"):
        SoftLimit.model_validate({"limit": limit, "priority": 1})


def test_a_bound_without_a_side_is_refused() -> None:
    for made in (
        lambda: SectorBound(sector="A"),
        lambda: PositionBound(instrument="A"),
        lambda: FactorBound(factor="A"),
    ):
        with pytest.raises(ValidationError, match="give min, max or both"):
            made()


def test_an_old_mandate_means_what_it_meant() -> None:
    old = b'{"type":"PortfolioOpened","event_id":"1","event_time":1,"portfolio":"p",'
    old += b'"currency":"USD","cash":"10","mandate":{"position_max":0.2,"universe":["A"]}}'
    found = parse_event("PortfolioOpened", 1, old)
    assert isinstance(found, PortfolioOpened)
    assert found.mandate == Mandate(position_max=0.2, universe=("A",))
    assert (found.mandate.soft, found.mandate.net_max, found.mandate.lot_multiple) == ((), None, 1)


def test_a_mandate_is_read_back_as_it_was_written() -> None:
    made = Mandate(
        sectors=(A, B),
        factors=(FactorBound(factor="market", max=1.0),),
        soft=(SoftLimit(limit="factors", priority=2), SoftLimit(limit="sectors", priority=1)),
    )
    assert Mandate.model_validate_json(canonical_bytes(made)) == made


@pytest.mark.parametrize("factors", [("b", "a"), ("a", "a"), ("market",)])
def test_exposures_are_told_once_in_order_and_never_the_markets(factors: tuple[str, ...]) -> None:
    told = [{"factor": name, "exposure": 0.5} for name in factors]
    body = {"event_id": "1", "event_time": 1, "instrument": "A", "lot": "1", "tick": "0"}
    with pytest.raises(ValidationError, match=r"sorted and unique|is measured, not told"):
        InstrumentListed.model_validate(body | {"currency": "USD", "factors": told}, strict=False)
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        FactorExposure(factor="a", exposure=101.0)


def test_a_soft_limit_that_may_not_be_one_is_a_dead_letter_with_the_list() -> None:
    body = b'{"type":"MandateChanged","event_id":"1","event_time":1,"portfolio":"p","mandate":'
    body += b'{"soft":[{"limit":"lots","priority":1}]}}'
    with pytest.raises(SchemaError, match="must_hold"):
        parse_event("MandateChanged", 1, body)
