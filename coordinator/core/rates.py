"""Exchange rates: which columns of the market lead from one currency to another.

Place in the flow: kept by the market, asked by whoever adds up money of several currencies. A rate
stands in a column of the market's arrays, as units of its second currency per unit of its first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from coordinator.core.ports import Floats

__all__ = ["Rates", "currencies"]

_PAIR = re.compile(r"([^/\s]{3,8})/([^/\s]{3,8})")
Path = tuple[tuple[int, bool], ...]
"""(column, inverted) of each rate on the way."""


def currencies(name: str) -> tuple[str, str] | None:
    """The two currencies of an exchange rate's name, such as EUR/USD; None for another name."""
    found = _PAIR.fullmatch(name)
    return None if found is None or found[1] == found[2] else (found[1], found[2])


class Rates:
    """Known pairs, and the shortest ways through them: directly, or by one currency between."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], int] = {}
        self._paths: dict[tuple[str, str], Path | None] = {}

    @property
    def names(self) -> list[str]:
        """Names of all rates, sorted."""
        return sorted(f"{of}/{into}" for of, into in self._columns)

    def add(self, name: str, column: int) -> None:
        """A rate has that column. name: as `currencies` knows it."""
        pair = currencies(name)
        if pair is not None and self._columns.get(pair) != column:
            self._columns[pair] = column
            self._paths.clear()

    def is_rate(self, name: str) -> bool:
        """Whether the name is that of a rate that was seen."""
        pair = currencies(name)
        return pair is not None and pair in self._columns

    def between(self, of: str, into: str, prices: Floats | Sequence[float]) -> float | None:
        """Units of `into` for one of `of`. prices: (n,) of every column; None: no way there."""
        if of == into:
            return 1.0
        path = self.path(of, into)
        if path is None:
            return None
        rate = 1.0
        for column, inverted in path:
            rate = rate / float(prices[column]) if inverted else rate * float(prices[column])
        return rate

    def path(self, of: str, into: str) -> Path | None:
        """The rates on the way, none of them for the same currency; None: there is no way."""
        if of == into:
            return ()
        if (of, into) not in self._paths:
            self._paths[of, into] = self._found(of, into)
        return self._paths[of, into]

    def _found(self, of: str, into: str) -> Path | None:
        direct = self._step(of, into)
        if direct is not None:
            return (direct,)
        # Ties break on the currency's name so that shards agree.
        for between in sorted({currency for pair in self._columns for currency in pair}):
            first, second = self._step(of, between), self._step(between, into)
            if first is not None and second is not None:
                return (first, second)
        return None

    def _step(self, of: str, into: str) -> tuple[int, bool] | None:
        """One rate as it stands, or else turned round."""
        column = self._columns.get((of, into))
        if column is not None:
            return column, False
        column = self._columns.get((into, of))
        return None if column is None else (column, True)
