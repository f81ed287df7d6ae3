"""The market as the engine knows it: instruments, last prices, windows of returns and volumes.

Place in the flow: folded from market events, read by views and allocation. Arrays have one column
per listed instrument, in the order of listing, so that a snapshot of 500 prices is a few array
operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats
from schemas.control import Parameters
from schemas.market import InstrumentListed, PricesObserved

__all__ = ["Instrument", "Market"]

Indices = NDArray[np.intp]
COLUMN_CACHE_MAX = 256


@dataclass(slots=True)
class Instrument:
    """An instrument's terms and standing."""

    name: str
    column: int
    sector: str | None
    lot: Decimal
    tick: Decimal
    currency: str
    price_limit: float | None
    full_exit_odd_lot: bool
    halted: bool = False
    delisted: bool = False


class Market:
    """Instruments and their windows.

    price, price_session, close, volume_sum: (n,) float; NaN where nothing is known. returns and
    volumes: (window, n) rings, one row per session, newest at `row`. session: sessions closed so
    far.
    """

    def __init__(self, *, window: int, volume_window: int) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.session = 0
        self.row = -1
        self.rows = 0
        self.price: Floats = np.empty(0)
        self.price_session: Floats = np.empty(0)
        self.close: Floats = np.empty(0)
        self.returns: Floats = np.full((window, 0), np.nan)
        self.volumes: Floats = np.full((volume_window, 0), np.nan)
        self._columns: dict[tuple[str, ...], Indices] = {}
        self._volatility: tuple[int, int, Floats] | None = None

    # -- folding ---------------------------------------------------------------------------------

    def list(self, event: InstrumentListed) -> None:
        """A new instrument gets a column; a known one gets new terms and trades again."""
        known = self.instruments.get(event.instrument)
        column = len(self.instruments) if known is None else known.column
        if known is None:
            self._grow()
        self.instruments[event.instrument] = Instrument(
            event.instrument,
            column,
            event.sector,
            event.lot,
            event.tick,
            event.currency,
            event.price_limit,
            event.full_exit_odd_lot,
            halted=known.halted if known is not None else False,
        )

    def _grow(self) -> None:
        """One more column of unknowns."""
        for name in ("price", "price_session", "close"):
            setattr(self, name, np.append(getattr(self, name), np.nan))
        for name in ("returns", "volumes"):
            ring = getattr(self, name)
            setattr(self, name, np.hstack([ring, np.full((len(ring), 1), np.nan)]))
        self._columns.clear()
        self._volatility = None

    def resize(self, *, window: int, volume_window: int) -> None:
        """Other window lengths: the newest rows that fit are kept."""
        everyone = np.arange(len(self.price))
        kept = self.window(everyone)[-window:] if self.rows else np.empty((0, len(everyone)))
        self.rows = len(kept)
        returns = np.full((window, len(everyone)), np.nan)
        returns[(self.session - self.rows + 1 + np.arange(self.rows)) % window] = kept
        order = (self.session - np.arange(min(len(self.volumes), volume_window))) % len(
            self.volumes
        )
        volumes = np.full((volume_window, len(everyone)), np.nan)
        volumes[(self.session - np.arange(len(order))) % volume_window] = self.volumes[order]
        self.returns, self.volumes = returns, volumes
        self.row = self.session % window
        self._volatility = None

    def unknown(self, instruments: tuple[str, ...]) -> tuple[str, ...]:
        """Those of instruments that are not listed."""
        if instruments in self._columns:
            return ()
        return tuple(name for name in instruments if name not in self.instruments)

    def observe(self, event: PricesObserved) -> None:
        """Fold a snapshot; names that are not listed are left out."""
        columns, keep = self._columns_of(event.instruments)
        prices = np.array(event.price, dtype=np.float64)
        if keep is not None:
            prices = prices[keep]
        seen = ~np.isnan(prices)
        at, prices = (columns, prices) if seen.all() else (columns[seen], prices[seen])
        self.price[at] = prices
        self.price_session[at] = self.session
        if event.session_close:
            self._close_session(event, columns, keep)

    def _close_session(self, event: PricesObserved, columns: Indices, keep: Indices | None) -> None:
        """Step the session counter and the rings."""
        self.session += 1
        self.row = self.session % len(self.returns)
        self.rows = min(self.rows + 1, len(self.returns))
        closes = np.full(len(self.price), np.nan)
        closes[columns] = self._column(event.price, keep)
        self.returns[self.row] = closes / self.close - 1.0
        known = ~np.isnan(closes)
        self.close[known] = closes[known]
        self.price_session[known] = self.session
        volumes = np.full(len(self.price), np.nan)
        if event.volume is not None:
            volumes[columns] = self._column(event.volume, keep)
        self.volumes[self.session % len(self.volumes)] = volumes

    @staticmethod
    def _column(values: tuple[float | None, ...], keep: Indices | None) -> Floats:
        column = np.array(values, dtype=np.float64)
        return column if keep is None else column[keep]

    def _columns_of(self, instruments: tuple[str, ...]) -> tuple[Indices, Indices | None]:
        """Columns of the listed ones among instruments, and which those are when not all."""
        columns = self._columns.get(instruments)
        if columns is not None:
            return columns, None
        listed = [i for i, name in enumerate(instruments) if name in self.instruments]
        columns = np.array([self.instruments[instruments[i]].column for i in listed], dtype=np.intp)
        if len(listed) < len(instruments):
            return columns, np.array(listed, dtype=np.intp)
        if len(self._columns) >= COLUMN_CACHE_MAX:
            self._columns.clear()
        self._columns[instruments] = columns
        return columns, None

    # -- reading ---------------------------------------------------------------------------------

    def price_of(self, instrument: str) -> float | None:
        """The last price, None when none is known."""
        known = self.instruments.get(instrument)
        if known is None:
            return None
        price = float(self.price[known.column])
        return price if price == price else None  # noqa: PLR0124 - NaN is the one value unlike itself

    def columns(self, instruments: tuple[str, ...]) -> Indices:
        """(k,) columns of listed instruments."""
        return np.array([self.instruments[name].column for name in instruments], dtype=np.intp)

    def tradable(self, instrument: Instrument, *, session_now: float, age_max: float) -> bool:
        """Whether it has a fresh enough price and is neither halted nor delisted."""
        if instrument.halted or instrument.delisted:
            return False
        age = session_now - self.price_session[instrument.column]
        return bool(age <= age_max)

    def window(self, columns: Indices) -> Floats:
        """(t, k) returns of the last sessions, oldest first, NaN where unknown."""
        order = (self.row - self.rows + 1 + np.arange(self.rows)) % len(self.returns)
        return self.returns[np.ix_(order, columns)]

    def volatility(self, parameters: Parameters) -> Floats:
        """(n,) one-session volatility of every column: the prior blended with what was observed."""
        key = (self.session, len(self.price))
        if self._volatility is None or self._volatility[:2] != key:
            seen = np.nan_to_num(self.returns) ** 2
            count = (~np.isnan(self.returns)).sum(axis=0)
            prior = parameters.risk_weight_prior
            variance = (prior * parameters.risk_volatility_prior**2 + seen.sum(axis=0)) / (
                prior + count
            )
            self._volatility = (*key, np.sqrt(variance))
        return self._volatility[2]
