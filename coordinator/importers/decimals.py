"""Decimals: columns of exact numbers, as the language bounds them, spelled in one way.

Place in the flow: used by the sieve. The bounds are those of the field's own type in the language,
so that no row passes here which an event would refuse. Never rounds: a float means the shortest
decimal that is that float, and one with too many places is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import polars as pl
from pydantic import TypeAdapter, ValidationError

from schemas.base import Amount, Money, Quantity, Size, UnitPrice

__all__ = ["AMOUNT", "MONEY", "QUANTITY", "SIZE", "UNIT_PRICE", "Exact", "plain", "spelled"]

_EDGE = 1e-9
"""So near to a bound, relatively, a float does not tell on which side the exact number lies."""


@dataclass(frozen=True, slots=True)
class Exact:
    """One of the language's exact numbers: how it is written and within which bounds."""

    adapter: TypeAdapter[Decimal]
    pattern: str
    least: float
    most: float

    @classmethod
    def of(cls, kind: Any) -> Self:
        """From the field's type in the language."""
        adapter = TypeAdapter[Decimal](kind)
        told = adapter.json_schema()
        bounds = float(told["x-minimum"]), float(told["x-maximum"])
        return cls(adapter, told["pattern"], *bounds)

    def complaints(
        self, frame: pl.DataFrame, column: str, *, raw: str
    ) -> Iterator[tuple[str, pl.Expr]]:
        """Reasons to refuse a row, each with its condition; the first counts.

        raw: the column's text as it stood there, null where a row has none.
        """
        yield (
            f"{column} is no exact decimal such as 1234.50, of at most 12 places",
            pl.col(raw).is_not_null() & pl.col(column).is_null(),
        )
        outside = pl.col(column).is_in(self._outside(frame[column]))
        yield f"{column} is not between {_short(self.least)} and {_short(self.most)}", outside

    def _outside(self, texts: pl.Series) -> list[str]:
        """Which texts the language refuses; asked only about those near or beyond a bound."""
        value = pl.col("text").cast(pl.Float64)
        low, high = self.least + abs(self.least) * _EDGE, self.most * (1 - _EDGE)
        doubtful = (
            texts.alias("text").to_frame().filter(~value.is_between(low, high, closed="none"))
        )
        distinct = doubtful["text"].unique(maintain_order=True)
        return [text for text in distinct if not self._takes(text)]

    def _takes(self, text: str) -> bool:
        try:
            self.adapter.validate_python(text)
        except ValidationError:
            return False
        return True


QUANTITY = Exact.of(Quantity)
UNIT_PRICE = Exact.of(UnitPrice)
MONEY = Exact.of(Money)
AMOUNT = Exact.of(Amount)
SIZE = Exact.of(Size)


def spelled(numbers: pl.Series) -> pl.Series:
    """A column of floats or decimals as text; what is no finite number stays no number's text."""
    texts = numbers.cast(pl.String)
    powers = texts.filter(texts.str.contains("e", literal=True)).unique(maintain_order=True)
    written = {text: format(Decimal(text), "f") for text in powers}
    long = texts.replace(written) if written else texts
    return long.to_frame().select(plain(pl.col(long.name)))[long.name]


def plain(text: pl.Expr) -> pl.Expr:
    """Decimal texts without zeros that say nothing, so that equal numbers are equal texts."""
    whole = text.str.replace(r"^(-?)0+([0-9])", "${1}${2}")
    pointed = whole.str.contains(r"^-?[0-9]+\.[0-9]+$")
    cut = whole.str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.when(pointed).then(cut).otherwise(whole).str.replace("^-0$", "0")


def _short(bound: float) -> str:
    return f"{bound:g}".replace("e+", "e")
