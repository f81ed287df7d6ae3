"""Real prices as an experiment needs them: opens, closes, and what each name did of its own.

Place in the flow: read once by `experiment`. What a name did of its own is its return from the next
open to the open h sessions later, less its beta times the market's: that is what the simulated
alphas know a little of, and what every rule's opinion is held against. Betas and volatilities are
of the whole sample: the judge may know them, no rule does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from coordinator.core.ports import Floats

__all__ = ["PRICES", "NoPrices", "Prices", "load", "residuals", "standardised", "volumes"]

PRICES = "sp500_ohlcv_daily.parquet"
CLIPPED = 3.0
"""Standard deviations across names: one name's bad news is not to be the whole session's result."""


class NoPrices(Exception):
    """The folder does not hold what the experiment reads."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Names that traded in every session. opens, closes: (t, n). days: (t,)."""

    names: tuple[str, ...]
    days: tuple[date, ...]
    opens: Floats
    closes: Floats

    def of(self, columns: Sequence[int]) -> Prices:
        """These names alone, sorted."""
        at = np.array(sorted(columns), dtype=np.intp)
        names = tuple(self.names[i] for i in at)
        # Row by row in memory, as sums round otherwise where they run along columns.
        opens, closes = (np.ascontiguousarray(one[:, at]) for one in (self.opens, self.closes))
        return Prices(names, self.days, opens, closes)

    def until(self, sessions: int) -> Prices:
        """The first sessions alone."""
        some = slice(sessions)
        return Prices(self.names, self.days[some], self.opens[some], self.closes[some])

    def session_of(self, day: date) -> int:
        """The first session at or after a day; the number of sessions where there is none."""
        return next((i for i, one in enumerate(self.days) if one >= day), len(self.days))


def load(folder: Path) -> Prices:
    """Raises NoPrices where the file is missing, or is none of daily bars."""
    bars = _bars(folder, "open", "close")
    opens, closes = (_table(bars, column) for column in ("open", "close"))
    names = tuple(
        name
        for name in sorted(set(bars["symbol"].to_list()))
        if not opens[name].null_count() and not closes[name].null_count()
    )
    made = (table.select(names).to_numpy().astype(np.float64) for table in (opens, closes))
    return Prices(names, tuple(opens["date"].to_list()), *made)


def volumes(folder: Path, prices: Prices) -> Floats:
    """(t, n) units traded in each session of these prices. Raises NoPrices as `load`."""
    table = _table(_bars(folder, "volume"), "volume")
    table = table.filter(pl.col("date").is_in(list(prices.days)))
    found: Floats = table.select(prices.names).fill_null(0).to_numpy().astype(np.float64)
    return found


def _bars(folder: Path, *columns: str) -> pl.DataFrame:
    path = folder / PRICES
    if not path.is_file():
        message = f"{path}: no such file; --data takes the folder that holds {PRICES}"
        raise NoPrices(message)
    try:
        bars = pl.read_parquet(path, columns=["date", "symbol", *columns])
    except pl.exceptions.PolarsError as error:
        message = f"{path}: {error}"
        raise NoPrices(message) from error
    return bars.with_columns(pl.col("symbol").cast(pl.String), pl.col("date").cast(pl.Date))


def _table(bars: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row a day, one column a name."""
    return bars.pivot(on="symbol", index="date", values=column).sort("date")


def residuals(prices: Prices, horizon: int) -> tuple[Floats, Floats]:
    """(t, n) each name's own return over the horizon after the next open; (n,) its volatility.

    NaN in the last sessions, whose outcome lies beyond the data.
    """
    daily = prices.closes[1:] / prices.closes[:-1] - 1.0
    market = daily.mean(axis=1)
    apart = market - market.mean()
    beta = (apart[:, None] * daily).sum(axis=0) / (apart**2).sum()
    volatility: Floats = (daily - market[:, None] * beta).std(axis=0) * np.sqrt(horizon)
    ends = len(prices.opens) - 1 - horizon
    moved = np.full(prices.opens.shape, np.nan)
    moved[:ends] = prices.opens[1 + horizon :] / prices.opens[1 : 1 + ends] - 1.0
    return moved - moved.mean(axis=1, keepdims=True) * beta, volatility


def standardised(own: Floats) -> Floats:
    """(t, n) with mean 0 and variance 1 across the names of each session, clipped on the way.

    own: (t, n) in units that make names alike.
    """
    once = np.clip(_across(own), -CLIPPED, CLIPPED)
    return _across(once)


def _across(rows: Floats) -> Floats:
    found: Floats = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    return found
