from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from coordinator.importers.fills import FILL_COLUMNS, Fills, read_fills
from coordinator.importers.owners import Owners
from coordinator.importers.sessions import DatesKnownAt
from coordinator.importers.tables import table_from_frame
from schemas.orders import OrderFilled
from tests.unit.importers.support import ANY_OWNER, NEW_YORK, at, reasons, text_table, told

GOOD = {
    "time": "2025-01-06T20:00:00Z", "portfolio": "p", "instrument": "AAA", "quantity": "100",
    "price": "41.25",
}  # fmt: skip


def read(
    *rows: dict[str, str], dates: DatesKnownAt | None = None, owners: Owners = ANY_OWNER
) -> Fills:
    table = text_table(FILL_COLUMNS, *rows)
    return read_fills(table, session=NEW_YORK, dates_known_at=dates, owners=owners)


def filled(found: Fills) -> list[OrderFilled]:
    return told(found.messages())


def test_a_row_becomes_a_fill_with_every_field_and_of_no_decided_trade() -> None:
    row = GOOD | {
        "quantity": "-100.50", "fee": "1.25", "currency": "EUR", "fill_id": "x1",
        "settles_at": "2025-01-08T12:00:00Z",
    }  # fmt: skip
    found = read(row)
    assert filled(found) == [
        OrderFilled(
            event_id="x1", event_time=at("2025-01-06T20:00:00Z"), portfolio="p", instrument="AAA",
            quantity=Decimal("-100.5"), price=Decimal("41.25"), fee=Decimal("1.25"),
            currency="EUR", settles_at=at("2025-01-08T12:00:00Z"),
        )
    ]  # fmt: skip
    assert [item.known_at for item in found.messages()] == [at("2025-01-06T20:00:00Z")]


def test_what_is_absent_stays_absent() -> None:
    (fill,) = filled(read(GOOD))
    assert (fill.trade_id, fill.currency, fill.settles_at) == (None, None, None)
    assert fill.fee == 0


def test_two_rows_that_say_the_same_are_two_fills() -> None:
    first, second, other = filled(read(GOOD, GOOD, GOOD | {"price": "41.26"}))
    assert len({first.event_id, second.event_id, other.event_id}) == 3
    (alone,) = filled(read(GOOD | {"quantity": "0100.0", "note": "x"}))
    assert alone.event_id == first.event_id


def test_rows_of_one_fill_id_are_both_passed_on() -> None:
    rows = [GOOD | {"fill_id": "x"}, GOOD | {"fill_id": "x", "price": "9"}]
    assert [fill.event_id for fill in filled(read(*rows))] == ["x", "x"]


def test_fills_come_in_order_of_time_and_then_of_the_file() -> None:
    early = GOOD | {"time": "2025-01-05T20:00:00Z", "quantity": "3"}
    rows = [GOOD | {"quantity": "2"}, GOOD | {"quantity": "1"}, early]
    assert [int(fill.quantity) for fill in filled(read(*rows))] == [3, 2, 1]


@pytest.mark.parametrize(
    ("meaning", "moment"), [("open", "2025-01-06T14:30:00Z"), ("close", "2025-01-06T21:00:00Z")]
)
def test_a_bare_date_means_what_was_said(meaning: DatesKnownAt, moment: str) -> None:
    (fill,) = filled(read(GOOD | {"time": "2025-01-06"}, dates=meaning))
    assert fill.event_time == at(moment)


def test_a_bare_settlement_is_that_sessions_close() -> None:
    (fill,) = filled(read(GOOD | {"settles_at": "2025-01-08"}))
    assert fill.settles_at == at("2025-01-08T21:00:00Z")


def test_exact_numbers_keep_every_digit() -> None:
    digits = {"quantity": "999999999999999.000000000001", "price": "0.000000000001",
              "fee": "-0.123456789012"}  # fmt: skip
    (fill,) = filled(read(GOOD | digits))
    assert {name: f"{getattr(fill, name):f}" for name in digits} == digits


def test_a_frame_of_floats_says_what_a_file_of_their_shortest_decimals_says() -> None:
    frame = pl.DataFrame([GOOD]).with_columns(
        pl.lit(0.1).alias("quantity"), pl.lit(41.25).alias("price"), pl.lit(1e-07).alias("fee")
    )
    table = table_from_frame(frame, name="fills", columns=FILL_COLUMNS)
    found = read_fills(table, session=NEW_YORK, dates_known_at=None, owners=ANY_OWNER)
    assert filled(found) == filled(read(GOOD | {"quantity": "0.1", "fee": "0.0000001"}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": ""}, "time is missing"),
        ({"time": "2025-01-06"}, "time is a bare date (say what it means: --dates-known-at)"),
        ({"time": "2025-01-06T20:00:00"}, "time has no time zone"),
        ({"portfolio": ""}, "portfolio is missing"),
        ({"portfolio": "a\x00"}, "portfolio is no name"),
        ({"instrument": ""}, "instrument is missing"),
        ({"instrument": "A" * 129}, "instrument is no name"),
        ({"quantity": ""}, "quantity is missing"),
        ({"quantity": "1e3"}, "quantity is no exact decimal"),
        ({"quantity": "1,000"}, "quantity is no exact decimal"),
        ({"quantity": "1000000000000000.1"}, "quantity is not between -1e15 and 1e15"),
        ({"price": ""}, "price is missing"),
        ({"price": "0"}, "price is not between 1e-12 and 1e12"),
        ({"price": "-1"}, "price is not between 1e-12 and 1e12"),
        ({"price": "1.0000000000001"}, "price is no exact decimal"),
        ({"fee": "nan"}, "fee is no exact decimal"),
        ({"fee": "1000000000000000000.1"}, "fee is not between -1e18 and 1e18"),
        ({"currency": "$"}, "currency is no currency"),
        ({"currency": "US DOLLAR"}, "currency is no currency"),
        ({"fill_id": "a\u2028b"}, "fill_id is no name"),
        ({"fill_id": "x" * 129}, "fill_id is no name"),
        ({"settles_at": "tomorrow"}, "settles_at is no time"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_rest_goes_on(
    changes: dict[str, str], reason: str
) -> None:
    found = read(GOOD | changes, GOOD)
    (said,) = reasons(found.rejects.frame)
    assert said.startswith(reason)
    assert found.rejects.topic == "orders"
    assert len(filled(found)) == 1


def test_a_file_of_nothing_but_bad_rows_loses_none() -> None:
    found = read(GOOD | {"price": "x"}, GOOD | {"price": "y"})
    assert (len(found.rejects), filled(found), found.first_at) == (2, [], None)


def test_a_portfolio_that_the_file_does_not_have_is_refused() -> None:
    found = read(GOOD, GOOD | {"portfolio": "P"}, owners=Owners({"p": "USD"}, "USD"))
    assert reasons(found.rejects.frame) == ["portfolio is not in the portfolios' file"]


def test_only_a_first_fill_tells_an_instruments_currency() -> None:
    later = GOOD | {"time": "2025-01-07T20:00:00Z"}
    found = read(
        later | {"currency": "EUR"},  # the first says nothing
        GOOD,
        later | {"instrument": "BBB", "currency": "JPY"},
        GOOD | {"instrument": "BBB", "currency": "EUR"},
        GOOD | {"instrument": "CCC", "currency": "USD"},
    )
    assert found.traded_in(other_than="USD") == {"BBB": (at("2025-01-06T20:00:00Z"), "EUR")}
