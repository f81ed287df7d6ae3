from __future__ import annotations

import polars as pl

from coordinator.importers.owners import Owners
from coordinator.importers.portfolios import Book, parse_book
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import Columns
from tests.unit.importers.support import reasons, text_table

BOOK = parse_book(
    {
        "portfolio": [
            {"id": "one", "cash": "1", "currency": "USD"},
            {"id": "two", "cash": "1", "currency": "EUR"},
        ]
    },
    name="book",
    currency=None,
)


def sieved(owners: Owners, *names: str) -> Sieve:
    rows = ({"portfolio": name} for name in names)
    sieve = Sieve(text_table(Columns(("portfolio",), ()), *rows), topic="orders")
    owners.check(sieve)
    return sieve


def currencies(owners: Owners, sieve: Sieve) -> list[str]:
    return sieve.standing().with_columns(c=owners.currency_of_portfolio())["c"].to_list()


def test_where_a_file_names_portfolios_a_misspelt_one_is_refused() -> None:
    sieve = sieved(Owners.of(BOOK, currency=None), "one", "One", "two", "", "a\x00")
    assert sieve.standing()["portfolio"].to_list() == ["one", "two"]
    assert reasons(sieve.rejects().frame) == [
        "portfolio is not in the portfolios' file",
        "portfolio is missing",
        "portfolio is no name (1 to 128 printable characters)",
    ]


def test_without_a_file_rows_may_name_any_portfolio() -> None:
    owners = Owners.of(Book.without_file(), currency="CHF")
    sieve = sieved(owners, "one", "One")
    assert sieve.standing().height == 2
    assert currencies(owners, sieve) == ["CHF", "CHF"]


def test_a_portfolio_has_its_own_currency_and_what_states_none_the_settings_or_the_firsts() -> None:
    owners = Owners.of(BOOK, currency=None)
    assert currencies(owners, sieved(owners, "two", "one")) == ["EUR", "USD"]
    assert (owners.currency, Owners.of(BOOK, currency="CHF").currency) == ("USD", "CHF")


def test_a_column_of_no_portfolio_has_no_currency() -> None:
    frame = pl.DataFrame({"portfolio": ["gone"]})
    expression = Owners.of(BOOK, currency=None).currency_of_portfolio()
    assert frame.select(c=expression)["c"].to_list() == [None]
