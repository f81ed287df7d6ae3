from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest

from coordinator.importers.cash import CASH_COLUMNS, Cash, read_cash
from coordinator.importers.owners import Owners
from schemas.portfolios import CashKind, CashMoved
from tests.unit.importers.support import ANY_OWNER, NEW_YORK, at, reasons, text_table, told

GOOD = {"time": "2025-01-06T20:00:00Z", "portfolio": "p", "amount": "-100.50"}


def read(*rows: dict[str, str], owners: Owners = ANY_OWNER) -> Cash:
    return read_cash(text_table(CASH_COLUMNS, *rows), session=NEW_YORK, owners=owners)


def moved(found: Cash) -> list[CashMoved]:
    return told(found.messages())


def test_a_row_becomes_a_movement_with_every_field() -> None:
    row = GOOD | {"currency": "EUR", "kind": "Dividend", "instrument": "AAA", "cash_id": "x1"}
    assert moved(read(row)) == [
        CashMoved(
            event_id="x1", event_time=at("2025-01-06T20:00:00Z"), portfolio="p",
            amount=Decimal("-100.5"), currency="EUR", kind="dividend", instrument="AAA",
        )
    ]  # fmt: skip


def test_what_is_absent_is_of_another_kind_and_in_the_portfolios_currency() -> None:
    owners = Owners({"p": "CHF", "q": "JPY"}, "USD")
    found = moved(read(GOOD, GOOD | {"portfolio": "q"}, owners=owners))
    assert [(one.kind, one.currency) for one in found] == [("other", "CHF"), ("other", "JPY")]
    assert [one.currency for one in moved(read(GOOD))] == ["USD"]


@pytest.mark.parametrize("kind", get_args(CashKind))
def test_every_kind_of_the_language_is_known(kind: CashKind) -> None:
    assert [one.kind for one in moved(read(GOOD | {"kind": kind}))] == [kind]


def test_a_bare_date_is_that_sessions_open() -> None:
    (one,) = moved(read(GOOD | {"time": "2025-01-06"}))
    assert one.event_time == at("2025-01-06T14:30:00Z")


def test_two_rows_that_say_the_same_are_two_movements_unless_they_bear_one_id() -> None:
    first, second = moved(read(GOOD, GOOD))
    assert first.event_id != second.event_id
    assert [one.event_id for one in moved(read(*[GOOD | {"cash_id": "x"}] * 2))] == ["x", "x"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": ""}, "time is missing"),
        ({"time": "2025-02-30"}, "time is no moment"),
        ({"portfolio": ""}, "portfolio is missing"),
        ({"amount": ""}, "amount is missing"),
        ({"amount": "1e3"}, "amount is no exact decimal"),
        ({"amount": "-1000000000000000001"}, "amount is not between -1e18 and 1e18"),
        ({"currency": "€"}, "currency is no currency"),
        ({"kind": "gift"}, "kind is not deposit, withdrawal, "),
        ({"instrument": "\x00"}, "instrument is no name"),
        ({"cash_id": "x" * 129}, "cash_id is no name"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_rest_goes_on(
    changes: dict[str, str], reason: str
) -> None:
    found = read(GOOD | changes, GOOD)
    (said,) = reasons(found.rejects.frame)
    assert said.startswith(reason)
    assert found.rejects.topic == "portfolios"
    assert len(moved(found)) == 1


def test_a_portfolio_that_the_file_does_not_have_is_refused() -> None:
    found = read(GOOD | {"portfolio": "q"}, owners=Owners({"p": "USD"}, "USD"))
    assert reasons(found.rejects.frame) == ["portfolio is not in the portfolios' file"]
