"""Owners: whose rows are taken, and in which currency a portfolio counts what names none.

Place in the flow: from the portfolios' file to the importers of fills, positions and cash. Where
there is a file, no row opens a portfolio: a misspelt name must not pass for a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import polars as pl

from coordinator.importers.portfolios import Book
from coordinator.importers.sieve import Sieve

__all__ = ["Owners"]


@dataclass(frozen=True, slots=True)
class Owners:
    """The portfolios that rows may name.

    currencies: by portfolio of the file; empty: there is no file, and rows may name any. currency:
    of what states none.
    """

    currencies: Mapping[str, str]
    currency: str

    @classmethod
    def of(cls, book: Book, *, currency: str | None) -> Self:
        """Those of a book. currency: as the settings state it, else the first portfolio's."""
        known = {item.portfolio: item.currency for item in book.portfolios}
        return cls(known, currency or book.currency)

    def check(self, sieve: Sieve) -> None:
        """Read the column "portfolio" and refuse rows of portfolios that are not known."""
        sieve.name("portfolio", required=True)
        if self.currencies:
            unknown = ~pl.col("portfolio").is_in(list(self.currencies))
            sieve.refuse(unknown, "portfolio is not in the portfolios' file", shown="portfolio")

    def currency_of_portfolio(self) -> pl.Expr:
        """The currency of each row's portfolio."""
        if not self.currencies:
            return pl.lit(self.currency)
        of = pl.col("portfolio")
        return of.replace_strict(dict(self.currencies), default=None, return_dtype=pl.String)
