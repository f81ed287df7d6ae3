"""Topic `market`: instruments, prices and what is published about them.

Keyed by instrument (a snapshot by its first). Exogenous.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.base import (
    Amount,
    Currency,
    Finite,
    InputEvent,
    Name,
    Origin,
    Price,
    Size,
    Text,
    Timestamp,
)

__all__ = [
    "ActionKind",
    "CorporateActionAnnounced",
    "InstrumentDelisted",
    "InstrumentHalted",
    "InstrumentListed",
    "PricesObserved",
    "RatesObserved",
    "RegimeDeclared",
    "RiskModelPublished",
]

SNAPSHOT_MAX = 10_000
Volume = Annotated[float, Field(ge=0, le=1e18)]
PriceColumn = Annotated[tuple[Price | None, ...], Field(max_length=SNAPSHOT_MAX)]
VolumeColumn = Annotated[tuple[Volume | None, ...], Field(max_length=SNAPSHOT_MAX)]
NameColumn = Annotated[tuple[Name, ...], Field(min_length=1, max_length=SNAPSHOT_MAX)]


class MarketEvent(InputEvent):
    """Something the market, or a service that watches it, said."""

    topic: ClassVar[str] = "market"
    origin: ClassVar[Origin] = Origin.EXOGENOUS


class InstrumentListed(MarketEvent):
    """An instrument can be traded from now on, or its terms changed."""

    instrument: Name
    """Its id in every other event."""
    sector: Name | None = None
    """For exposures and limits by sector; absent: none known."""
    lot: Size
    """Smallest tradable quantity; 0: any fraction."""
    tick: Amount
    """Smallest price step, money; 0: none."""
    currency: Currency
    """Of its prices, such as USD."""
    price_limit: Annotated[float, Field(gt=0, le=10)] | None = None
    """Largest daily price move the exchange allows, fraction of the previous close."""
    full_exit_odd_lot: bool = True
    """Whether a holding that is no whole lot may be sold whole."""


class InstrumentHalted(MarketEvent):
    """Trading stopped, or resumed with `halted` false."""

    instrument: Name
    """What stopped trading."""
    halted: bool = True
    """Whether it stopped, or resumed."""
    reason: Text = ""
    """Why, for people."""


class InstrumentDelisted(MarketEvent):
    """The instrument cannot be traded any more."""

    instrument: Name
    """What is gone."""
    reason: Text = ""
    """Why, for people."""


class PricesObserved(MarketEvent):
    """Prices of many instruments at one time, as columns of equal length.

    kind "open": the first price of a bar, journaled when it was known. "bar": a completed bar,
    `price` is its close. "quote": a mid price. None: no price for that instrument in this snapshot.
    """

    kind: Literal["open", "bar", "quote"]
    """open, bar or quote, as said above."""
    instruments: NameColumn
    """Unique."""
    price: PriceColumn
    """The price that positions are valued at from now on, money per unit."""
    open: PriceColumn | None = None
    """First price of the bar, money per unit."""
    high: PriceColumn | None = None
    """Highest price of the bar, money per unit."""
    low: PriceColumn | None = None
    """Lowest price of the bar, money per unit."""
    volume: VolumeColumn | None = None
    """Units traded in the bar."""
    session_close: bool = False
    """This bar ends a trading session: returns, ages and daily schedules step here."""

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        n = len(self.instruments)
        if len(set(self.instruments)) != n:
            message = "instruments must be unique within a snapshot"
            raise ValueError(message)
        for name in ("price", "open", "high", "low", "volume"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                message = f"{name} must have one entry per instrument"
                raise ValueError(message)
        if self.session_close and self.kind != "bar":
            message = "session_close belongs to a bar"
            raise ValueError(message)
        return self


class RatesObserved(MarketEvent):
    """An exchange rate, or another rate; the engine acts on exchange rates."""

    name: Name
    """Of an exchange rate two currencies, such as EUR/USD; else a name such as a cash rate's."""
    rate: Finite
    """Units of the second currency per unit of the first, above 0; else fraction per year."""


ActionKind = Literal["split", "dividend", "spin_off", "redemption"]
"""What a corporate action does to a holding."""


class CorporateActionAnnounced(MarketEvent):
    """A split, dividend, spin-off or redemption with the time it takes effect.

    What is held just before `effective_at` takes part, shorts with their sign; it comes before all
    else of that moment. One that is announced later takes effect before whatever comes next.
    """

    instrument: Name
    """Whose holders it concerns."""
    kind: ActionKind
    """split: `ratio` new units for `per` old ones. dividend: `amount` per unit. spin_off: `ratio`
    units of `into` for `per` of the instrument, which stays. redemption: every unit is paid
    `amount` and is gone; nothing is traded any more."""
    effective_at: Timestamp
    """From then on prices and holdings reflect it."""
    ratio: Size | None = None
    """New units for every `per` old ones; of splits and spin-offs, above 0."""
    per: Size | None = None
    """Old units, above 0; absent: 1. A third of a share is ratio 1 per 3."""
    amount: Amount | None = None
    """Money per unit, in the instrument's currency; of dividends and redemptions."""
    into: Name | None = None
    """The instrument received in a spin-off, listed before."""
    pays_at: Timestamp | None = None
    """When the money arrives; until then it is owed. Absent: at once."""
    basis_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a holding's cost that goes with what is received in a spin-off."""


class RiskModelPublished(MarketEvent):
    """A factor model from a risk service: covariance = B F B' + diag(d), of one session's returns.

    Each instrument's in its own currency. It is used as a whole or not at all, for portfolios of
    that currency; instruments that it leaves out are joined to it by the engine's own model. A
    whole covariance is one whose factors are its instruments, with loadings of 1 on themselves.
    """

    name: Name
    """Which model, where a service has several."""
    instruments: NameColumn
    """Rows of the loadings, unique."""
    factors: Annotated[tuple[Name, ...], Field(max_length=200)]
    """Columns of the loadings."""
    loadings: Annotated[tuple[Finite, ...], Field(max_length=2_000_000)]
    """B row by row, instruments x factors; times the factor's volatility where no factor
    covariance is told."""
    specific: Annotated[
        tuple[Annotated[float, Field(ge=0, le=100)], ...], Field(max_length=SNAPSHOT_MAX)
    ]
    """d, the specific variance per instrument."""
    factor_covariance: Annotated[tuple[Finite, ...], Field(max_length=40_000)] | None = None
    """F row by row, factors x factors, symmetric and positive semidefinite; absent: factors of
    variance 1 that are not correlated."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        n, k = len(self.instruments), len(self.factors)
        if len(self.loadings) != n * k or len(self.specific) != n:
            message = "loadings must be instruments x factors and specific one per instrument"
            raise ValueError(message)
        if self.factor_covariance is not None and len(self.factor_covariance) != k * k:
            message = "factor_covariance must be factors x factors"
            raise ValueError(message)
        return self


class RegimeDeclared(MarketEvent):
    """A service's judgement of the market's state."""

    regime: Name
    """Its name with the service that declares it."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How sure the service is, 0 to 1."""
