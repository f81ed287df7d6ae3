from __future__ import annotations

import polars as pl
import pytest

from coordinator.importers.instruments import (
    INSTRUMENT_COLUMNS,
    Instruments,
    listing_messages,
    read_instruments,
)
from coordinator.importers.tables import table_from_frame
from schemas.market import InstrumentListed
from tests.unit.importers.support import NEW_YORK, at, reasons, text_table

START = at("2025-01-06T14:29:59Z")
LATER = "2025-01-08T21:00:00Z"


def read(*rows: dict[str, str]) -> Instruments:
    return read_instruments(text_table(INSTRUMENT_COLUMNS, *rows), session=NEW_YORK)


def listed(found: Instruments, **first_priced: str) -> list[InstrumentListed]:
    """As listed when each instrument's first price is known at the given time."""
    times = {name: at(text) for name, text in first_priced.items()}
    made = listing_messages(found.listings(times, opened_at=START), currency="EUR")
    return [InstrumentListed.model_validate_json(item.payload) for item in made]


def test_terms_are_taken_from_the_row() -> None:
    row = {
        "instrument": "AAA", "sector": "energy", "lot": "100", "tick": "0.05", "currency": "USD",
        "price_limit": "0.1",
    }  # fmt: skip
    (seen,) = listed(read(row), AAA=LATER)
    assert (seen.sector, str(seen.lot), str(seen.tick)) == ("energy", "1E+2", "0.05")
    assert (seen.currency, seen.price_limit, seen.event_time) == ("USD", 0.1, at(LATER))


def test_what_is_not_given_and_who_is_not_listed_gets_the_defaults() -> None:
    found = read({"instrument": "AAA", "sector": ""})
    for seen in listed(found, AAA=LATER, BBB=LATER):
        assert (str(seen.lot), str(seen.tick), seen.currency) == ("1", "0.01", "EUR")
    assert found.unlisted(("AAA", "BBB")) == ("BBB",)
    assert [seen.instrument for seen in listed(found, AAA=LATER, BBB=LATER)] == ["AAA", "BBB"]


def test_without_valid_from_terms_are_told_at_the_first_price_and_never_without_one() -> None:
    found = read({"instrument": "AAA"}, {"instrument": "BBB"}, {"instrument": "CCC"})
    seen = listed(found, BBB="2025-01-08T21:00:00Z", AAA="2025-01-09T21:00:00Z")
    assert [(s.instrument, s.event_time) for s in seen] == [
        ("BBB", at("2025-01-08T21:00:00Z")),
        ("AAA", at("2025-01-09T21:00:00Z")),
    ]


def test_undated_terms_never_take_the_place_of_dated_ones() -> None:
    found = read(
        {"instrument": "AAA", "lot": "20", "valid_from": "2025-01-07"},
        {"instrument": "AAA", "lot": "10"},
    )
    for first_price in ("2025-01-09T21:00:00Z", "2025-01-07T14:30:00Z", "2025-01-06T21:00:00Z"):
        seen = listed(found, AAA=first_price)
        dated = at("2025-01-07T14:30:00Z")
        assert [(int(s.lot), s.event_time) for s in seen] == [
            (10, min(at(first_price), dated)),
            (20, dated),
        ]


def test_terms_hold_from_valid_from_but_not_before_the_log_begins() -> None:
    found = read(
        {"instrument": "AAA", "lot": "10", "valid_from": "2025-02-03"},
        {"instrument": "AAA", "lot": "1", "valid_from": "2020-01-02"},
    )
    assert [(str(s.lot), s.event_time) for s in listed(found)] == [
        ("1", START),
        ("1E+1", at("2025-02-03T14:30:00Z")),
    ]


def test_float_columns_mean_their_shortest_decimals() -> None:
    frame = pl.DataFrame({"instrument": ["AAA"], "lot": [1.0], "tick": [1e-05]})
    table = table_from_frame(frame, name="instruments", columns=INSTRUMENT_COLUMNS)
    (seen,) = listed(read_instruments(table, session=NEW_YORK), AAA=LATER)
    assert (float(seen.lot), float(seen.tick)) == (1.0, 1e-05)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instrument": ""}, "instrument is missing"),
        ({"lot": "-1"}, "lot"),
        ({"lot": "1,000"}, "lot"),
        ({"tick": "nan"}, "tick"),
        ({"currency": "$"}, "currency"),
        ({"price_limit": "-0.1"}, "price_limit"),
        ({"price_limit": "x"}, "price_limit is not a number"),
        ({"valid_from": "2025-02-30"}, "valid_from is no moment"),
        ({"instrument": "AAA"}, "stood in an earlier row"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(changes: dict[str, str], reason: str) -> None:
    found = read({"instrument": "AAA"}, {"instrument": "BBB"} | changes)
    assert found.rejects is not None
    (told,) = reasons(found.rejects.frame)
    assert reason in told
    assert len(found.terms) == 1


def test_exposures_to_factors_stand_in_one_column() -> None:
    found = read(
        {"instrument": "AAA", "factors": " size = 1.1 ; low vol=-.5"},
        {"instrument": "BBB", "factors": ""},
    )
    seen, plain = listed(found, AAA=LATER, BBB=LATER)
    assert [(one.factor, one.exposure) for one in seen.factors] == [
        ("low vol", -0.5),
        ("size", 1.1),
    ]
    assert plain.factors == ()


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ("value", "factors.0"), ("value=high", "factors.0.exposure"), ("=1", "factors.0.factor"),
        ("value=1;value=2", "factors must be sorted and unique"), ("value=101", "exposure"),
        ("market=1", "the factor market is measured, not told"), ("value=nan", "exposure"),
        ("value=1;", "factors."),
    ],
)  # fmt: skip
def test_exposures_that_are_none_cost_the_row(factors: str, told: str) -> None:
    found = read({"instrument": "AAA", "factors": factors}, {"instrument": "BBB"})
    assert [terms.instrument for terms in found.terms] == ["BBB"]
    (reason,) = reasons(found.rejects.frame)
    assert told in reason
