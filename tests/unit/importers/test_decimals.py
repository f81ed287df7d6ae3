from __future__ import annotations

import random
import struct
from decimal import Decimal

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from coordinator.importers.decimals import (
    AMOUNT,
    MONEY,
    QUANTITY,
    SIZE,
    UNIT_PRICE,
    Exact,
    plain,
    spelled,
)
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import Columns, table_from_frame
from schemas.base import Amount, Money, Quantity, Size, UnitPrice
from tests.unit.importers.support import reasons

KINDS = {
    "money": (MONEY, Money),
    "amount": (AMOUNT, Amount),
    "unit price": (UNIT_PRICE, UnitPrice),
    "quantity": (QUANTITY, Quantity),
    "size": (SIZE, Size),
}


def sieved(values: list[str] | pl.Series, kind: Exact) -> Sieve:
    column = pl.Series("x", values)
    table = table_from_frame(column.to_frame(), name="rows", columns=Columns(("x",), ()))
    sieve = Sieve(table, topic="orders")
    sieve.decimal("x", kind)
    return sieve


def read(values: list[str] | pl.Series, kind: Exact = QUANTITY) -> list[str | None]:
    return sieved(values, kind).standing()["x"].to_list()


def texts(seed: int) -> list[str]:
    """Decimals of every size, many around the bounds of the language, and some that are none."""
    chance = random.Random(seed)
    edges = [
        f"{sign}{whole}{rest}"
        for sign in ("", "-")
        for power in (0, 12, 15, 18, 36, 39)
        for whole in (10**power - 1, 10**power, 10**power + 1)
        for rest in ("", ".0", ".000000000000", ".000000000001", ".999999999999")
    ]
    made = [
        f"{chance.choice(('', '-'))}{chance.randrange(10 ** chance.randrange(1, 22))}"
        f".{chance.randrange(10 ** chance.randrange(1, 14))}"
        for _ in range(2_000)
    ]
    wrong = ["", "1e3", "+1", ".5", "5.", "1,000", "nan", "inf", "0x1", "1_0", "--1", "1.2.3", "٣"]
    return [*edges, *made, *wrong, "0", "-0", "0.000000000001", "0.0000000000001", "9" * 41]


@pytest.mark.parametrize("name", KINDS)
def test_a_text_is_taken_exactly_when_the_language_takes_it(name: str) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    kind, of = KINDS[name]
    adapter = TypeAdapter[Decimal](of)
    expected = []
    for text in texts(seed):
        try:
            expected.append(adapter.validate_python(text))
        except ValidationError:
            continue
    found = read(texts(seed), kind)
    assert [Decimal(text) for text in found if text is not None] == expected
    assert found.count(None) == 1  # the empty one, which says nothing


def test_equal_numbers_are_equal_texts() -> None:
    assert read(["1.50", "01.5", "1.500"]) == ["1.5"] * 3
    assert read(["0", "-0", "0.000", "-0.0", "00"]) == ["0"] * 5
    assert read(["100", "0100.0"]) == ["100"] * 2
    assert read(["-10.010"]) == ["-10.01"]


def test_what_is_no_decimal_is_never_mended_into_one() -> None:
    wrong = ["5.0.0", "5.", ".50", "1 000", "0-1", "00abc", "1.0e0"]
    sieve = sieved(wrong, QUANTITY)
    assert sieve.standing().is_empty()
    assert sieve.rejects().frame["shown"].to_list() == wrong


def test_a_float_means_its_shortest_decimal() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    bits = [chance.getrandbits(64) for _ in range(20_000)]
    wild = [struct.unpack("d", struct.pack("Q", each))[0] for each in bits]
    tame = [round(chance.uniform(-1e6, 1e6), chance.randrange(9)) for _ in range(20_000)]
    values = [v for v in [*wild, *tame, 0.0, -0.0, 1e22, 1e-7, 5e-324] if abs(v) < float("inf")]
    for value, text in zip(values, spelled(pl.Series(values)), strict=True):
        assert Decimal(text) == Decimal(repr(value))
        assert "e" not in text


def test_typed_columns_mean_the_same_numbers() -> None:
    assert read(pl.Series([0.1, 1e15, 1e-12])) == ["0.1", "1000000000000000", "0.000000000001"]
    assert read(pl.Series([0.1, 2.5], dtype=pl.Float32)) == ["0.1", "2.5"]
    assert read(pl.Series([1, -2, None])) == ["1", "-2", None]
    exact = pl.Series([Decimal("1.5"), Decimal(-2)], dtype=pl.Decimal(38, 18))
    assert read(exact) == ["1.5", "-2"]


def test_a_float_is_never_rounded() -> None:
    sieve = sieved(pl.Series([0.1 + 0.2, float("nan"), float("inf"), 1e16]), QUANTITY)
    places = "x is no exact decimal such as 1234.50, of at most 12 places"
    assert reasons(sieve.rejects().frame) == [places] * 3 + ["x is not between -1e15 and 1e15"]
    assert sieve.rejects().frame["shown"][0] == "0.30000000000000004"


def test_plain_leaves_alone_what_it_does_not_know() -> None:
    column = pl.Series("x", ["1.", "x.00", "-", "NaN"])
    assert column.to_frame().select(plain(pl.col("x")))["x"].to_list() == column.to_list()
