"""Accounts kept beside the engine: what a portfolio or a baseline was worth, session by session.

Place in the flow: reports and baselines book executions here and mark them to the prices of the
log. It knows no event and decides nothing; the engine's own books are never read, so the two can
be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from coordinator.core.clock import SESSIONS_A_YEAR

__all__ = [
    "Curve",
    "Ledger",
    "Mark",
    "Performance",
    "performance",
    "sharpe_error",
]


@dataclass(frozen=True, slots=True)
class Mark:
    """An account at the end of a session. growth: of 1 since the start, money in and out taken out.

    at: ns UTC. nav: money. gross, net, cash: fractions of nav.
    """

    at: int
    nav: float
    growth: float
    gross: float
    net: float
    cash: float


@dataclass(frozen=True, slots=True)
class Curve:
    """An account's whole life. traded: value of both sides; fees, spread: costs; all money.

    opened_at: ns UTC, from when on its growth is 1 until the first mark.
    """

    name: str
    group: str
    opened_at: int
    marks: tuple[Mark, ...]
    traded: float
    fees: float
    spread: float


@dataclass(frozen=True, slots=True)
class Performance:
    """What a curve came to; fractions. Volatility and the Sharpe ratio are annualised.

    None where too few sessions tell. turnover: half the traded value over the mean NAV, for the
    whole span. costs: fees and spread over the mean NAV.
    """

    name: str
    group: str
    sessions: int
    total_return: float
    volatility: float | None
    sharpe: float | None
    drawdown: float
    turnover: float
    fees: float
    spread: float

    @property
    def costs(self) -> float:
        """Fees and spread together."""
        return self.fees + self.spread


@dataclass(slots=True)
class Ledger:
    """One account: cash, holdings and what became of them; money in floats, for display only."""

    name: str
    group: str
    cash: float
    opened_at: int
    others: dict[str, float] = field(default_factory=dict)
    """Money of other currencies."""
    holdings: dict[str, float] = field(default_factory=dict)
    paid: dict[str, float] = field(default_factory=dict)
    """Last own execution price, which values a holding that has shown no other."""
    marks: list[Mark] = field(default_factory=list)
    base: float = 0.0
    """NAV at the last mark, plus money moved since."""
    growth: float = 1.0
    traded: float = 0.0
    fees: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        """The money it starts with is not a gain."""
        self.base = self.cash

    def execute(
        self,
        instrument: str,
        quantity: float,
        price: float,
        *,
        fee: float,
        mid: float | None,
        currency: str | None = None,
        rate: float = 1.0,
    ) -> None:
        """Book a fill; mid: what the instrument was worth then, which tells the spread paid.

        currency: of price and fee, None the account's own; rate: one of it in the account's own.
        """
        self.pay(-(quantity * price + fee), currency)
        self.hold(instrument, self.holdings.get(instrument, 0.0) + quantity)
        self.paid[instrument] = price * rate
        self.traded += abs(quantity) * price * rate
        self.fees += fee * rate
        self.spread += 0.0 if mid is None else quantity * (price - mid) * rate

    def hold(self, instrument: str, quantity: float) -> None:
        """Hold so many units from now on."""
        if abs(quantity) < 1e-9:  # noqa: PLR2004 - floats of whole units: below this is nothing
            self.holdings.pop(instrument, None)
        else:
            self.holdings[instrument] = quantity

    def pay(self, amount: float, currency: str | None = None) -> None:
        """Money in or out that is gained or paid for something. currency None: its own."""
        if currency is None:
            self.cash += amount
        else:
            self.others[currency] = self.others.get(currency, 0.0) + amount

    def move(self, amount: float, currency: str | None = None, *, rate: float = 1.0) -> None:
        """Book money paid in (positive) or out, which is no return."""
        self.pay(amount, currency)
        self.base += amount * rate

    def mark(
        self,
        at: int,
        prices: Mapping[str, float],
        rates: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Value everything at prices in its own currency and close the session.

        rates: units of its currency for one of each other one.
        """
        values = [
            quantity * prices.get(name, self.paid.get(name, 0.0))
            for name, quantity in self.holdings.items()
        ]
        cash = math.fsum(
            (self.cash, *(money * rates.get(one, 0.0) for one, money in self.others.items()))
        )
        nav = cash + math.fsum(values)
        if self.base > 0:
            self.growth *= nav / self.base
        self.base = nav
        scale = nav if nav > 0 else math.inf
        gross, net = math.fsum(map(abs, values)) / scale, math.fsum(values) / scale
        self.marks.append(Mark(at, nav, self.growth, gross, net, cash / scale))

    def curve(self) -> Curve:
        """What was booked and marked so far."""
        return Curve(
            name=self.name,
            group=self.group,
            opened_at=self.opened_at,
            marks=tuple(self.marks),
            traded=self.traded,
            fees=self.fees,
            spread=self.spread,
        )


def performance(curve: Curve) -> Performance:
    """The figures of a curve; nothing is claimed of their significance."""
    growth = [1.0, *(mark.growth for mark in curve.marks)]
    steps = [after / before - 1.0 for before, after in pairwise(growth) if before > 0]
    volatility, sharpe = _spread_of(steps)
    nav = math.fsum(mark.nav for mark in curve.marks) / max(len(curve.marks), 1)
    return Performance(
        name=curve.name,
        group=curve.group,
        sessions=len(curve.marks),
        total_return=growth[-1] - 1.0,
        volatility=volatility,
        sharpe=sharpe,
        drawdown=_drawdown(growth),
        turnover=_share(curve.traded / 2, nav),
        fees=_share(curve.fees, nav),
        spread=_share(curve.spread, nav),
    )


def sharpe_error(sessions: int) -> float | None:
    """Standard error of an annualised Sharpe ratio near 0 after that many sessions, from 2."""
    return math.sqrt(SESSIONS_A_YEAR / sessions) if sessions > 1 else None


def _spread_of(steps: list[float]) -> tuple[float | None, float | None]:
    """Annualised volatility and Sharpe ratio of one-session returns."""
    if len(steps) < 2:  # noqa: PLR2004 - one return has no spread
        return None, None
    mean = math.fsum(steps) / len(steps)
    variance = math.fsum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
    volatility = math.sqrt(variance * SESSIONS_A_YEAR)
    return volatility, (mean * SESSIONS_A_YEAR / volatility if volatility > 0 else None)


def _drawdown(growth: list[float]) -> float:
    """Largest fall below an earlier high, as a fraction of that high; 0 or above."""
    high, worst = 0.0, 0.0
    for value in growth:
        high = max(high, value)
        worst = max(worst, 1.0 - value / high if high > 0 else 0.0)
    return worst


def _share(amount: float, nav: float) -> float:
    return amount / nav if nav > 0 else 0.0
