"""Topic `decisions`, part three: books. What portfolios hold, and what became of it without trades.

Keyed by shard. Money and units are exact; weights are fractions of NAV at that moment.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from schemas.base import (
    Amount,
    Balance,
    Finite,
    Holdings,
    Model,
    Name,
    OutputEvent,
    Probability,
    Timestamp,
)
from schemas.decisions import PortfolioOutput
from schemas.impact import SectorLine
from schemas.market import ActionKind

__all__ = [
    "CorporateActionTaken",
    "CurrencyLine",
    "Holding",
    "HoldingChanged",
    "PortfolioReconciled",
    "PortfolioViewUpdated",
    "ReconciliationDiffered",
    "SectorLine",
]

Count = Annotated[int, Field(ge=0)]


class CurrencyLine(Model):
    """A portfolio's account in one currency, exact.

    Cash and cost together are what was paid in, realised, received, exchanged and corrected, less
    charges.
    """

    currency: Name
    """Which; the portfolio's own stands first."""
    cash: Balance
    """Money held; what is owed to us and by us included."""
    settled: Balance
    """The part of it that has changed hands."""
    cost: Balance
    """What the holdings of this currency cost, fees not included; shorts negative."""
    paid_in: Balance
    """Deposits less withdrawals."""
    realised: Balance
    """Gains less losses of what was sold, against its average cost, fees not included."""
    income: Balance
    """Dividends and interest."""
    charges: Balance
    """Fees, taxes, and the cost of borrowing what was sold short."""
    exchanged: Balance
    """Bought with other currencies, less what was sold for them."""
    corrected: Balance
    """What positions reports corrected, at its price."""


class Holding(Model):
    """A position at its present value."""

    instrument: Name
    """What is held."""
    quantity: Holdings
    """Units; short negative."""
    price: Annotated[float, Field(gt=0)] | None = None
    """Last known, money per unit; absent: none yet."""
    weight: Finite
    """Fraction of NAV."""
    cost: Balance | None = None
    """What it cost in the instrument's currency, fees not included; short negative."""
    unrealised: Balance | None = None
    """Gain or loss at the last price, in the portfolio's currency; absent: no price."""


class PortfolioViewUpdated(PortfolioOutput):
    """A portfolio as it stands."""

    nav: Balance
    """Cash and holdings, money."""
    cash: Balance
    """Money; of other currencies at their rates."""
    holdings: tuple[Holding, ...]
    """Sorted by instrument."""
    gross: Annotated[float, Field(ge=0)]
    """Sum of absolute weights."""
    net: Finite
    """Sum of weights, fraction of NAV."""
    open_trades: Count
    """Decided trades that may still fill."""
    traded: Balance
    """Value traded since the portfolio opened, both sides."""
    fees: Balance
    """Fees paid since the portfolio opened."""
    fills: Count
    """Fills since the portfolio opened."""
    settled: Balance | None = None
    """Cash that has changed hands, all currencies at their rates."""
    reserved: Balance | None = None
    """What open purchases will cost at the last prices."""
    available: Balance | None = None
    """Settled, or the cash where that is less as purchases are not paid yet; less reserved."""
    gain: Balance | None = None
    """All that was gained since the portfolio opened: NAV less what was paid in, each at the rate
    of its day."""
    unrealised: Balance | None = None
    """The part of it that stands in holdings, at present rates."""
    accounts: tuple[CurrencyLine, ...] = ()
    """One for each currency it has to do with."""
    sectors: tuple[SectorLine, ...] = ()
    """Sorted by sector, the unknown one last."""
    concentration: Probability | None = None
    """Herfindahl index: sum of squared shares of the gross exposure; 1: a single holding."""
    drawdown: Probability | None = None
    """Fall from the best session close, money in and out taken out."""
    drawdown_max: Probability | None = None
    """Deepest of these since the portfolio opened."""
    unpriced: tuple[Name, ...] = ()
    """Held without a price or an exchange rate: valued at nothing, and nothing is decided."""
    mandate_version: Annotated[int, Field(ge=1)] | None = None
    """Which of its mandates is in force, counted from 1; absent: not told by older builds."""


class ReconciliationDiffered(PortfolioOutput):
    """A positions report that differs from the folded fills: units of an instrument, or cash."""

    instrument: Name | None = None
    """Whose units differ; absent: cash does."""
    currency: Name | None = None
    """Whose cash differs; absent: units do."""
    folded: Holdings
    """Units, or money, that our fills add up to at the time of the report."""
    reported: Holdings
    """What the custodian reports."""
    policy: Name
    """What was done about it: opened, stop, trust_report or trust_fills."""
    report_id: Name | None = None
    """`event_id` of the report."""
    price: Amount | None = None
    """What one unit of the difference was booked at; absent: not booked, or cash."""


class PortfolioReconciled(PortfolioOutput):
    """A positions report was held against the folded fills."""

    report_id: Name
    """`event_id` of the report."""
    as_of: Timestamp
    """When the custodian counted."""
    agreed: Count
    """Instruments and currencies in which both say the same."""
    differed: Count
    """Those in which they do not, each told in a ReconciliationDiffered."""


class CorporateActionTaken(OutputEvent):
    """A corporate action took effect."""

    action_id: Name
    """`event_id` of the announcement."""
    instrument: Name
    """Whose holders it concerns."""
    kind: ActionKind
    """What it does to a holding."""
    factor: Annotated[float, Field(gt=0)] = 1.0
    """New units per old unit: earlier prices are divided by it."""


class HoldingChanged(PortfolioOutput):
    """What a corporate action made of one portfolio's holding."""

    action_id: Name
    """`event_id` of the announcement."""
    instrument: Name
    """What is held."""
    kind: ActionKind
    """What happened to it."""
    quantity_before: Holdings
    """Units; short negative."""
    quantity: Holdings
    """Units after it, cut to twelve decimals."""
    into: Name | None = None
    """What was received beside it."""
    into_quantity: Holdings = Decimal(0)
    """How much of that, cut to twelve decimals."""
    basis_moved: Balance = Decimal(0)
    """Cost that went with what was received, in the instrument's currency."""
    cash: Balance = Decimal(0)
    """Money received, or owed by a short, in the instrument's currency."""
    currency: Name
    """That of the instrument."""
    pays_at: Timestamp | None = None
    """When the money arrives; absent: at once."""
