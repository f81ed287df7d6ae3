"""Topic `portfolios`: mandates, cash and what custodians report. Keyed by portfolio."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.base import (
    Amount,
    Currency,
    InputEvent,
    Model,
    Money,
    Name,
    Origin,
    Quantity,
    Timestamp,
    UnitPrice,
)
from schemas.mandates import Mandate

__all__ = [
    "CashKind",
    "CashMoved",
    "CashReport",
    "Costs",
    "Mandate",
    "MandateChanged",
    "PortfolioClosed",
    "PortfolioOpened",
    "PositionReport",
    "PositionsReported",
    "RateOf",
    "ReportPolicy",
    "Schedule",
]

Bps = Annotated[float, Field(ge=0, le=5_000)]
Mode = Annotated[str, Field(min_length=1, max_length=64)]
CashKind = Literal[
    "deposit", "withdrawal", "dividend", "fee", "interest", "borrow", "tax", "exchange", "other"
]
"""Why money moved. dividend, interest: income. fee, borrow (of what is sold short), tax: charges.
exchange: one side of a change of currency. The others are paid in or out, and no gain or loss."""
ReportPolicy = Literal["stop", "trust_report", "trust_fills"]
"""What is done where a positions report and the folded fills differ. stop: neither is believed, the
portfolio pauses until somebody resumes it. trust_report: the difference is booked, at the last
price. trust_fills: it is told, and nothing changes."""


class RateOf(Model):
    """A rate of one instrument."""

    instrument: Name
    """Which."""
    bps_year: Annotated[float, Field(ge=-100_000, le=100_000)]
    """Basis points of the value held, for a year of 252 sessions; below 0: received."""


class Costs(Model):
    """What trading and holding are expected to cost, in basis points unless said."""

    fee_bps: Bps = 1.0
    """Commission and fees, each side."""
    sell_tax_bps: Bps = 0.0
    """Tax or duty on sales only."""
    half_spread_bps: Bps = 2.0
    """Half the bid-ask spread, each side."""
    impact: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Y of the square-root law: a trade costs Y times the volatility of one session times the root
    of traded value over a session's volume, a fraction of its value. About 1 is usual."""
    borrow_bps_year: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """Paid on the value held short, a year of 252 sessions."""
    borrow: Annotated[tuple[RateOf, ...], Field(max_length=10_000)] = ()
    """The same of single instruments, instead; sorted by instrument, none below 0."""
    carry: Annotated[tuple[RateOf, ...], Field(max_length=10_000)] = ()
    """Paid on the value held, received on what is short; below 0 the other way round, as dividends
    or funding may be. Sorted by instrument; nothing for those that are not named."""

    @model_validator(mode="after")
    def _sorted_rates(self) -> Self:
        for field in ("borrow", "carry"):
            names = [one.instrument for one in getattr(self, field)]
            if names != sorted(set(names)):
                message = f"{field} must be sorted by instrument and unique"
                raise ValueError(message)
        for one in self.borrow:
            if one.bps_year < 0:
                message = f"borrow of {one.instrument} is below 0: it is paid, never received"
                raise ValueError(message)
        return self


class Schedule(Model):
    """When the portfolio decides.

    "signals": a round opens with a new signal and closes when the window ends. "session_close": at
    every `every`-th session close. "interval": every `every` seconds of the engine's clock.
    """

    kind: Literal["signals", "session_close", "interval"] = "signals"
    """What opens a round, as said above."""
    every: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Closes for "session_close", seconds for "interval"; unused for "signals"."""


class PortfolioEvent(InputEvent):
    """Something about one portfolio."""

    topic: ClassVar[str] = "portfolios"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    portfolio: Name
    """Its id in every other event."""


class PortfolioOpened(PortfolioEvent):
    """A portfolio starts with cash and a mandate."""

    currency: Currency
    """In which its money is counted, such as USD."""
    cash: Amount
    """Money it starts with."""
    mode: Mode = "balanced"
    """Name of a preset in the parameters: conservative, balanced, aggressive or one's own."""
    mandate: Mandate = Mandate()
    """What it may hold."""
    schedule: Schedule = Schedule()
    """When it decides."""
    costs: Costs = Costs()
    """What its trading is expected to cost."""
    reports: ReportPolicy = "stop"
    """What a positions report that differs from the fills leads to."""


class MandateChanged(PortfolioEvent):
    """The mandate, and what is given beside it, from now on."""

    mandate: Mandate
    """The whole mandate, replacing the former."""
    mode: Mode | None = None
    """Name of a preset; absent: as before."""
    schedule: Schedule | None = None
    """When it decides; absent: as before."""
    costs: Costs | None = None
    """What its trading is expected to cost; absent: as before."""
    reports: ReportPolicy | None = None
    """What a positions report that differs leads to; absent: as before."""


class PortfolioClosed(PortfolioEvent):
    """No more decisions for this portfolio."""

    reason: Annotated[str, Field(max_length=2000)] = ""
    """Why, for people."""


class CashMoved(PortfolioEvent):
    """Money in (positive) or out (negative)."""

    amount: Money
    """Money; in positive, out negative."""
    currency: Currency
    """Of the amount; the portfolio's own or another, which it then holds."""
    kind: CashKind = "other"
    """Where it comes from or goes to."""
    instrument: Name | None = None
    """What it was paid for, where it was for one."""


class PositionReport(Model):
    """One line of a positions report."""

    instrument: Name
    """What is held."""
    quantity: Quantity
    """Units; short negative."""
    price: UnitPrice | None = None
    """What one unit is worth or has cost, in the instrument's currency: a difference is booked at
    it. Absent: at the last price."""


class CashReport(Model):
    """One currency's cash."""

    currency: Currency
    """Which."""
    amount: Money
    """How much; owed negative."""


class PositionsReported(PortfolioEvent):
    """What a custodian says is held; a portfolio's first one, of an empty book, opens it."""

    origin: ClassVar[Origin] = Origin.FEEDBACK

    as_of: Timestamp
    """When the custodian counted."""
    positions: Annotated[tuple[PositionReport, ...], Field(max_length=10_000)]
    """One line per instrument held; what is not listed is not held."""
    cash: Money | None = None
    """Money held in the portfolio's own currency; absent: not reported."""
    balances: Annotated[tuple[CashReport, ...], Field(max_length=200)] = ()
    """Money held in other currencies; what is not listed is not reported."""
