"""The market as the engine knows it: instruments, last prices, a window of returns.

Place in the flow: folded from market events, read by views and allocation. Arrays have one column
per listed instrument, in the order of listing, so that a snapshot of 500 prices is a few array
operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from coordinator.core.estimates import (
    averages,
    betas,
    blended_volatility,
    mean_known,
)
from coordinator.core.instrument import Instrument
from coordinator.core.ports import Floats, RiskModel, RiskSettings
from coordinator.core.published import Published, together
from coordinator.core.rates import Rates, currencies
from coordinator.core.recall import Recall
from coordinator.core.risk_form import Risk, risk_over
from schemas.control import Parameters
from schemas.market import InstrumentListed, PricesObserved

__all__ = ["Market"]

Indices = NDArray[np.intp]
Times = NDArray[np.int64]
COLUMN_CACHE_MAX = 256
RISKS_MAX = 16
"""Covariances kept: of that many sets of instruments and horizons."""
WIDTH_MIN = 64
LEVEL_LEAST, LEVEL_MOST = 1e-12, 1e12
"""The market's level stays within these whatever prices are told."""


class Market:
    """Instruments and their windows.

    Arrays have one column per listed instrument. price: (n,) last price, NaN where none is known.
    price_time: (n,) event time of that price, ns. price_session: (n,) the last session it belongs
    to. close: (n,) price at the last session close the instrument took part in,
    close_session: (n,) which one that was. returns: (window, n) ring, one row a session, newest at
    `row`. volume: (n,) units traded in the present session so far, NaN where nothing says.
    volumes: (volume window, n) ring of those of the sessions before. session: sessions closed so
    far; closed_at: event time of the last close, ns. level: of the equal-weighted market of what is
    listed at the close of level_session, 1 before any. Exchange rates are columns like instruments.
    """

    def __init__(self, *, window: int, volume_window: int = 20) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.session = 0
        self.closed_at = 0
        self.row = -1
        self.rows = 0
        self.price: Floats = np.empty(0)
        self.price_time: Times = np.empty(0, dtype=np.int64)
        self.price_session: Floats = np.empty(0)
        self.close: Floats = np.empty(0)
        self.close_session: Floats = np.empty(0)
        self.returns: Floats = np.full((window, 0), np.nan)
        self.volume: Floats = np.empty(0)
        self.volumes: Floats = np.full((volume_window, 0), np.nan)
        self.rates = Rates()
        self.level = 1.0
        self.level_session = 0
        self._held = np.empty(0, dtype=np.bool_)
        self._betas: tuple[int, int, Floats] | None = None
        self._columns: dict[tuple[str, ...], Indices] = {}
        self._volatility: tuple[int, int, Floats] | None = None
        self._risks: Recall[Risk] = Recall(entries_max=RISKS_MAX)

    # -- folding ---------------------------------------------------------------------------------

    def list(self, event: InstrumentListed) -> None:
        """A new instrument gets a column; a known one gets new terms and trades again."""
        known = self.instruments.get(event.instrument)
        column = self._column() if known is None else known.column
        if known is not None and known.currency != event.currency:
            # What was seen is in the currency of before.
            self.price[column] = self.close[column] = np.nan
            self.price_time[column] = 0
        self.instruments[event.instrument] = Instrument.of(event, column=column, known=known)
        self._held[column] = True
        self._columns.clear()
        self._forget()

    def hold(self, columns: Iterable[int]) -> None:
        """Those columns alone are of what is listed: the market's level is made of them."""
        self._held = np.zeros(len(self.price), dtype=np.bool_)
        self._held[list(columns)] = True

    def _column(self) -> int:
        """The next free one."""
        column = len(self.instruments)
        if column >= len(self.price):
            self._grow(max(WIDTH_MIN, 2 * column))
        return column

    def _grow(self, width: int) -> None:
        """Room for more columns, unknown until something is known: listing stays cheap."""
        more = width - len(self.price)
        for name in ("price", "price_session", "close", "close_session", "volume"):
            setattr(self, name, np.append(getattr(self, name), np.full(more, np.nan)))
        self.price_time = np.append(self.price_time, np.zeros(more, dtype=np.int64))
        self._held = np.append(self._held, np.zeros(more, dtype=np.bool_))
        for name in ("returns", "volumes"):
            ring = getattr(self, name)
            setattr(self, name, np.hstack([ring, np.full((len(ring), more), np.nan)]))

    def resize(self, *, window: int, volume_window: int) -> None:
        """Other window lengths: the newest rows that fit are kept."""
        if volume_window != len(self.volumes):
            self._resize_volumes(volume_window)
        everyone = np.arange(len(self.price))
        kept = self.window(everyone)[-window:] if self.rows else np.empty((0, len(everyone)))
        self.rows = len(kept)
        returns = np.full((window, len(everyone)), np.nan)
        returns[(self.session - self.rows + 1 + np.arange(self.rows)) % window] = kept
        self.returns = returns
        self.row = self.session % window
        self._forget()

    def _resize_volumes(self, window: int) -> None:
        """The newest sessions' volumes at their places in a ring of another length."""
        kept = min(window, len(self.volumes))
        sessions = self.session - np.arange(kept)
        volumes = np.full((window, self.volumes.shape[1]), np.nan)
        volumes[sessions % window] = self.volumes[sessions % len(self.volumes)]
        self.volumes = volumes

    def observe_rate(self, name: str, rate: float, at: int) -> None:
        """Fold an exchange rate, such as EUR/USD; one older than what is known changes nothing."""
        known = self.instruments.get(name)
        if known is None:
            _, second = currencies(name) or ("", "")
            known = Instrument(
                name, self._column(), None, Decimal(0), Decimal(0), second, None,
                full_exit_odd_lot=True, listed=False,
            )  # fmt: skip
            self.instruments[name] = known
            self._forget()
        column = known.column
        self.rates.add(name, column)
        if self.price_time[column] <= at:
            self.price[column] = rate
            self.price_time[column] = at
            self.price_session[column] = self.session

    def split(self, instrument: str, factor: float, *, effective_at: int) -> None:
        """From now on one unit is `factor` new ones: what was seen before is put in new units.

        Of one that is told after a close that it belonged before, that session's return is not
        known, and its volume is taken to be in new units already.
        """
        known = self.instruments[instrument]
        known.split_at = max(known.split_at, effective_at)
        column = known.column
        if self.price_time[column] < effective_at:
            self.price[column] /= factor
        kept = self.volumes[self.session % len(self.volumes), column]
        self.volumes[:, column] *= factor
        if self.closed_at < effective_at:
            self.close[column] /= factor
            self.volume[column] *= factor
        else:
            self.volumes[self.session % len(self.volumes), column] = kept
            if self.rows and self.close_session[column] == self.session:
                self.returns[self.row, column] = np.nan
            self._forget()

    def detach(self, instrument: str, share: float, *, effective_at: int) -> None:
        """That share of its worth went to its holders: the fall that follows is no return."""
        column = self.instruments[instrument].column
        if self.closed_at < effective_at:
            self.close[column] *= 1.0 - share
        elif self.rows and self.close_session[column] == self.session:
            self.returns[self.row, column] = np.nan
            self._forget()

    def older(self, event: PricesObserved) -> tuple[str, ...]:
        """Listed names whose known price is newer than the snapshot: it changes nothing there."""
        columns, keep = self._columns_of(event.instruments)
        late = self.price_time[columns] > event.event_time
        if not late.any():
            return ()
        listed = event.instruments if keep is None else [event.instruments[i] for i in keep]
        return tuple(name for name, is_late in zip(listed, late, strict=True) if is_late)

    def observe(self, event: PricesObserved) -> bool:
        """Fold a snapshot; returns whether it closed a session.

        Names that are not listed, and prices older than what is known, are left out. A close that
        is no later than the last one closes nothing: two feeds may both tell of it, or each of its
        own names at the same moment, which then close with the others.
        """
        columns, keep = self._columns_of(event.instruments)
        prices = np.array(event.price, dtype=np.float64)
        if keep is not None:
            prices = prices[keep]
        counts = ~np.isnan(prices) & (self.price_time[columns] <= event.event_time)
        at, prices = (columns, prices) if counts.all() else (columns[counts], prices[counts])
        self.price[at] = prices
        self.price_time[at] = event.event_time
        self.price_session[at] = self.session
        if event.volume is not None and event.event_time > self.closed_at:
            self._trade(columns, event.volume, keep)
        closes = event.session_close and event.event_time > self.closed_at
        if closes:
            self._close_session(event.event_time)
        elif event.session_close and self.session and event.event_time == self.closed_at:
            self._book((self.price_time == self.closed_at) & (self.close_session != self.session))
        return closes

    def _trade(
        self, columns: Indices, volume: Sequence[float | None], keep: Indices | None
    ) -> None:
        """Count the units of a bar to the present session."""
        units = np.array(volume, dtype=np.float64)
        if keep is not None:
            units = units[keep]
        told = ~np.isnan(units)
        at = columns[told]
        self.volume[at] = np.nan_to_num(self.volume[at]) + units[told]

    def _close_session(self, at: int) -> None:
        """Step the session counter: everything priced since the last close has closed now."""
        self.session += 1
        self.row = self.session % len(self.returns)
        self.rows = min(self.rows + 1, len(self.returns))
        self.returns[self.row] = np.nan
        self.volumes[self.session % len(self.volumes)] = self.volume
        self.volume[:] = np.nan
        self._book(self.price_time > self.closed_at)
        self.closed_at = at

    def _book(self, traded: NDArray[np.bool_]) -> None:
        """Those columns close the present session at their last price.

        A return is known only where the instrument took part in the session before, too.
        """
        follows = traded & (self.close_session == self.session - 1)
        self.returns[self.row, follows] = self.price[follows] / self.close[follows] - 1.0
        self.close[traded] = self.price[traded]
        self.close_session[traded] = self.session
        self.price_session[traded] = self.session
        self._forget()

    def unknown(self, instruments: tuple[str, ...]) -> tuple[str, ...]:
        """Those of instruments that are not listed."""
        if instruments in self._columns:
            return ()
        return tuple(name for name in instruments if self.listed(name) is None)

    def listed(self, instrument: str) -> Instrument | None:
        """The instrument, None where nobody listed it: exchange rates are not held."""
        known = self.instruments.get(instrument)
        return known if known is not None and known.listed else None

    def _columns_of(self, instruments: tuple[str, ...]) -> tuple[Indices, Indices | None]:
        """Columns of the listed ones among instruments, and which those are when not all."""
        columns = self._columns.get(instruments)
        if columns is not None:
            return columns, None
        listed = [i for i, name in enumerate(instruments) if self.listed(name) is not None]
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

    def rate(self, of: str, into: str) -> float | None:
        """Units of `into` for one unit of `of` at the last rates; None where none lead there."""
        return self.rates.between(of, into, self.price)

    def _forget(self) -> None:
        """Returns, or who has any, changed: what was worked out from them is void."""
        self._volatility = None
        self._betas = None
        self._risks.clear()

    def risk(
        self,
        instruments: tuple[str, ...],
        *,
        currency: str,
        horizon: float,
        risk_model: RiskModel,
        settings: RiskSettings,
        published: Published | None = None,
    ) -> Risk:
        """Covariance (k, k) of listed instruments over `horizon` sessions, and its factors.

        Of returns in `currency`, which all have a rate to. published: what counts for its own in
        that currency. The same one until a return changes: all who decide meanwhile share it.
        """

        def estimated() -> Risk:
            if settings.model == "factor" and published is None:
                factors = risk_model.estimate(self.returns_in(currency, instruments), settings)
                return risk_over(horizon, factors.covariance(), factors)

            def own() -> Floats:
                return risk_model.covariance(self.returns_in(currency, instruments), settings)

            session = together(own, published, instruments, self.instruments, currency)
            return risk_over(horizon, session, None)

        key = (instruments, currency, horizon, risk_model, settings)
        return self._risks.get(key, estimated, same=(published,))

    def returns_in(
        self, currency: str, instruments: tuple[str, ...], *, sessions: int | None = None
    ) -> Floats:
        """(t, k) returns of the last sessions in one currency, oldest first, NaN where unknown.

        sessions: at most so many. A rate that was not seen in a session has not moved in it.
        """
        found = self.window(self.columns(instruments), sessions)
        for i, name in enumerate(instruments):
            own = self.instruments[name].currency
            for column, inverted in self.rates.path(own, currency) or ():
                of_rate = self.window(np.array([column], dtype=np.intp), sessions)
                moved = 1.0 + np.nan_to_num(of_rate[:, 0])
                found[:, i] = (1.0 + found[:, i]) * (1.0 / moved if inverted else moved) - 1.0
        return found

    def finish_session(self) -> None:
        """Everything that closed at the last close is there: the level goes on."""
        if self.level_session != self.session:
            moved = self.level * (1.0 + mean_known(self.returns[self.row][self._held]))
            self.level = min(max(moved, LEVEL_LEAST), LEVEL_MOST)
            self.level_session = self.session

    def level_now(self) -> float:
        """The market's level at the last prices, of what took part in the last close."""
        fresh = self._held & (self.close_session == self.session)
        moved = self.level * (1.0 + mean_known(self.price[fresh] / self.close[fresh] - 1.0))
        return min(max(moved, LEVEL_LEAST), LEVEL_MOST)

    def betas(self, parameters: Parameters) -> Floats:
        """(n,) of every column to the equal-weighted market, one blended with what was observed."""
        key = (self.session, len(self.instruments))
        if self._betas is None or self._betas[:2] != key:
            used = len(self.instruments)
            found = betas(self.returns[:, :used], self._held[:used], parameters)
            self._betas = (*key, found)
        return self._betas[2]

    def average_volume(self, instruments: Sequence[str]) -> Floats:
        """(k,) units traded in a session, the mean of those known; NaN where none is."""
        return averages(self.volumes[:, [self.instruments[name].column for name in instruments]])

    def columns(self, instruments: tuple[str, ...]) -> Indices:
        """(k,) columns of listed instruments."""
        return np.array([self.instruments[name].column for name in instruments], dtype=np.intp)

    def window(self, columns: Indices, sessions: int | None = None) -> Floats:
        """(t, k) returns of the last sessions, oldest first, NaN where unknown."""
        rows = self.rows if sessions is None else min(sessions, self.rows)
        order = (self.row - rows + 1 + np.arange(rows)) % len(self.returns)
        return self.returns[np.ix_(order, columns)]

    def volatility(self, parameters: Parameters) -> Floats:
        """(n,) one-session volatility of every column, the prior blended with what was observed.

        The common scale of forecasts' raw scores; the allocation's risk is the risk model's.
        """
        key = (self.session, len(self.instruments))
        if self._volatility is None or self._volatility[:2] != key:
            # Only columns in use: a sum over one column alone rounds unlike one among many.
            returns = self.returns[:, : len(self.instruments)]
            self._volatility = (*key, blended_volatility(returns, parameters))
        return self._volatility[2]
