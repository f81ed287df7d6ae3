"""A simulated market: fills decided trades at prices seen after the decision.

Place in the flow: the backtest player shows it what the engine accepted and said; it answers with
order events that the player journals as feedback. The rule: a trade is filled at the first price
of its instrument strictly after the decision, so what is decided at a session's close is filled at
the next open, and what is decided during a session at its next bar, quote or close. It must never
use a price older than, or as old as, the decision, and never fill what is halted, without a price,
at its price limit, not covered by cash or not held (unless the mandate allows shorts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from replay.known import KnownPrices, KnownRates
from replay.pricing import (
    EXACT,
    InstrumentTerms,
    affordable,
    at_limit,
    exact,
    execution_price,
    fee,
)
from schemas.base import Event, parse_time
from schemas.books import HoldingChanged
from schemas.canonical import digest
from schemas.decisions import AllocationDecided, TradesExpired
from schemas.entries import JournalEntry, Stamp
from schemas.market import (
    CorporateActionAnnounced,
    InstrumentDelisted,
    InstrumentHalted,
    InstrumentListed,
    PricesObserved,
    RatesObserved,
)
from schemas.orders import OrderCancelled, OrderFilled, OrderPartlyFilled
from schemas.portfolios import (
    CashMoved,
    Costs,
    Mandate,
    MandateChanged,
    PortfolioClosed,
    PortfolioOpened,
)

__all__ = ["SIMULATED", "SimulatedMarket"]

SIMULATED = "sim"
"""topic_id of what the simulated market says."""
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class _OpenTrade:
    """A decided trade that waits for its price. nav: the portfolio's at the decision, money."""

    trade_id: str
    portfolio: str
    instrument: str
    quantity: Decimal
    decided_at: int
    nav: Decimal


@dataclass(slots=True)
class _Account:
    """One portfolio's money and holdings, folded from the same events as the engine's own."""

    currency: str
    cash: dict[str, Decimal]
    costs: Costs
    mandate: Mandate
    holdings: dict[str, Decimal] = field(default_factory=dict)
    waiting: dict[str, _OpenTrade] = field(default_factory=dict)
    said: int = 0

    def pay(self, currency: str, amount: Decimal) -> None:
        """Money in, or out where it is negative."""
        self.cash[currency] = self.cash.get(currency, _NOTHING) + amount

    def spendable(self, nav: Decimal, currency: str, rates: KnownRates) -> Decimal:
        """In a currency: all cash, and what the mandate lets it borrow, at the last rates.

        A cash floor below 0, fraction of NAV, or a soft one lets it borrow.
        """
        own = -exact(min(0.0, self.mandate.cash_least)) * nav
        for held in sorted(self.cash):
            own += self.cash[held] * _factor(rates, held, self.currency)
        return own * _factor(rates, self.currency, currency)

    def sellable(self, trade: _OpenTrade) -> Decimal:
        """How much of a sale may be done, positive."""
        if self.mandate.may_short(trade.instrument):
            return -trade.quantity
        return min(-trade.quantity, max(self.holdings.get(trade.instrument, _NOTHING), _NOTHING))


def _factor(rates: KnownRates, of: str, into: str) -> Decimal:
    """Exactly one for the same currency; nothing where no rate leads there."""
    return exact(rates.between(of, into) or 0.0)


class SimulatedMarket:
    """Open trades of one shard's portfolios, and what becomes of them. No clock in it."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._terms: dict[str, InstrumentTerms] = {}
        self._currencies: dict[str, str] = {}
        self._rates = KnownRates()
        self._halted: set[str] = set()
        self._closes: dict[str, float] = {}
        self._latest: dict[str, float] = {}
        self._known = KnownPrices()
        self._closed_at = 0
        self._splits: list[CorporateActionAnnounced] = []

    def hear(self, output: Event) -> None:
        """Take in what the engine said: new trades wait for a price, expired ones do no longer."""
        match output:
            case AllocationDecided():
                self._wait(output)
            case TradesExpired():
                account = self._accounts.get(output.portfolio)
                waiting = {} if account is None else account.waiting
                for trade_id in output.trade_ids:
                    waiting.pop(trade_id, None)
            case HoldingChanged():
                self._change(output)

    def _wait(self, decided: AllocationDecided) -> None:
        """New trades wait for their price."""
        account = self._accounts.get(decided.portfolio)
        if account is None:
            return
        for trade in decided.trades:
            account.waiting[trade.trade_id] = _OpenTrade(
                trade.trade_id, decided.portfolio, trade.instrument,
                trade.quantity, decided.decided_at, decided.nav,
            )  # fmt: skip

    def _change(self, output: HoldingChanged) -> None:
        """What a corporate action made of a holding."""
        account = self._accounts.get(output.portfolio)
        if account is None:
            return
        with localcontext(EXACT):
            account.holdings[output.instrument] = output.quantity
            account.pay(output.currency, output.cash)
            if output.into is not None:
                held = account.holdings.get(output.into, _NOTHING)
                account.holdings[output.into] = held + output.into_quantity

    def see(self, event: Event, at: int) -> list[JournalEntry]:
        """Feedback that follows from an input the engine accepted at journal time `at`."""
        with localcontext(EXACT):
            self._split(at)
            return self._answer(event, at)

    def _split(self, at: int) -> None:
        """Put earlier prices in new units, as the engine did when a split took effect."""
        for one in [one for one in self._splits if one.effective_at <= at]:
            self._splits.remove(one)
            factor = float((one.ratio or Decimal(1)) / (one.per or Decimal(1)))
            if one.instrument in self._closes and self._closed_at < one.effective_at:
                self._closes[one.instrument] /= factor
            old = self._known.times.get(one.instrument, one.effective_at) < one.effective_at
            if one.instrument in self._latest and old:
                self._latest[one.instrument] /= factor
            self._known.split(one.instrument, factor, effective_at=one.effective_at)

    def _answer(self, event: Event, at: int) -> list[JournalEntry]:
        match event:
            case PricesObserved():
                return self._trade(event, at)
            case InstrumentListed():
                self._terms[event.instrument] = InstrumentTerms(
                    event.lot, event.tick, event.price_limit
                )
                self._currencies[event.instrument] = event.currency
            case RatesObserved():
                self._rates.take(event)
            case CorporateActionAnnounced(kind="split"):
                self._splits.append(event)
            case InstrumentHalted():
                change = self._halted.add if event.halted else self._halted.discard
                change(event.instrument)
            case InstrumentDelisted():
                return self._cancel_all(event.instrument, at)
            case _:
                self._keep_books(event)
        return []

    def _keep_books(self, event: Event) -> None:
        """Portfolios, their terms and their cash; anything else is of no concern here."""
        if isinstance(event, PortfolioOpened) and event.portfolio not in self._accounts:
            self._accounts[event.portfolio] = _Account(
                event.currency, {event.currency: event.cash}, event.costs, event.mandate
            )
        elif isinstance(event, PortfolioClosed):
            self._accounts.pop(event.portfolio, None)
        elif isinstance(event, MandateChanged):
            account = self._accounts.get(event.portfolio)
            if account is not None:
                account.mandate = event.mandate
                account.costs = event.costs or account.costs
        elif isinstance(event, CashMoved):
            account = self._accounts.get(event.portfolio)
            if account is not None:
                account.pay(event.currency, event.amount)

    def _trade(self, seen: PricesObserved, at: int) -> list[JournalEntry]:
        """Fill what the snapshot has prices for; then remember what it shows for later."""
        prices = self._known.take(seen)
        # A snapshot that arrives late shows prices of its own time, maybe from before the decision.
        shown_at = parse_time(seen.event_time)
        seen_at = min(at, shown_at)
        said: list[JournalEntry] = []
        for name in sorted(self._accounts):
            account = self._accounts[name]
            # Sales first: their money pays for the purchases of the same moment.
            for trade in sorted(account.waiting.values(), key=lambda one: one.quantity > 0):
                price = prices.get(trade.instrument)
                if price is not None and self._tradable(trade, seen_at):
                    said += self._fill(account, trade, exact(price), at)
        self._latest.update(prices)
        # Of everything priced in the session, whatever this snapshot holds.
        if seen.session_close and shown_at >= self._closed_at:
            self._closed_at = shown_at
            self._closes.update(self._latest)
            self._latest.clear()
        return said

    def _tradable(self, trade: _OpenTrade, at: int) -> bool:
        return at > trade.decided_at and trade.instrument not in self._halted

    def _fill(
        self, account: _Account, trade: _OpenTrade, mid: Decimal, at: int
    ) -> list[JournalEntry]:
        """Execute a trade as far as money and holdings go; nothing at the price limit."""
        terms = self._terms.get(trade.instrument, InstrumentTerms())
        close = self._closes.get(trade.instrument)
        last = None if close is None else exact(close)
        buying = trade.quantity > 0
        if at_limit(mid, buying=buying, terms=terms, close=last):
            return []
        price = execution_price(mid, buying=buying, costs=account.costs, terms=terms, close=last)
        if price <= 0:
            return []
        done, reason = self._covered(account, trade, price, terms.lot)
        del account.waiting[trade.trade_id]
        said = [self._execution(account, trade, done, price, at)] if done else []
        if done != trade.quantity:
            said.append(self._cancellation(account, trade, reason, at))
        return said

    def _covered(
        self, account: _Account, trade: _OpenTrade, price: Decimal, lot: Decimal
    ) -> tuple[Decimal, str]:
        """The signed quantity that can be done, and why it is not all where it is not."""
        if trade.quantity < 0:
            return -account.sellable(trade), "more than is held"
        spendable = account.spendable(trade.nav, self._currency(account, trade), self._rates)
        if trade.quantity * price + fee(trade.quantity, price, account.costs) <= spendable:
            return trade.quantity, ""
        most = affordable(spendable, price, costs=account.costs, lot=lot)
        return min(most, trade.quantity), "cash does not cover the rest"

    def _currency(self, account: _Account, trade: _OpenTrade) -> str:
        return self._currencies.get(trade.instrument, account.currency)

    def _execution(
        self, account: _Account, trade: _OpenTrade, done: Decimal, price: Decimal, at: int
    ) -> JournalEntry:
        kind = OrderFilled if done == trade.quantity else OrderPartlyFilled
        paid = fee(done, price, account.costs)
        account.pay(self._currency(account, trade), -(done * price + paid))
        held = account.holdings.get(trade.instrument, _NOTHING)
        account.holdings[trade.instrument] = held + done
        event = kind(
            event_id=_event_id(trade, "fill"), event_time=at, portfolio=trade.portfolio,
            instrument=trade.instrument, trade_id=trade.trade_id,
            quantity=done, price=price, fee=paid,
        )  # fmt: skip
        return self._stamped(account, event, at)

    def _cancellation(
        self, account: _Account, trade: _OpenTrade, reason: str, at: int
    ) -> JournalEntry:
        event = OrderCancelled(
            event_id=_event_id(trade, "cancel"), event_time=at, portfolio=trade.portfolio,
            instrument=trade.instrument, trade_id=trade.trade_id, reason=reason,
        )  # fmt: skip
        return self._stamped(account, event, at)

    def _cancel_all(self, instrument: str, at: int) -> list[JournalEntry]:
        """Nobody trades a delisted instrument: what waits for it is cancelled."""
        said = []
        for name in sorted(self._accounts):
            account = self._accounts[name]
            for trade in list(account.waiting.values()):
                if trade.instrument == instrument:
                    del account.waiting[trade.trade_id]
                    said.append(self._cancellation(account, trade, "delisted", at))
        return said

    def _stamped(
        self, account: _Account, event: OrderFilled | OrderPartlyFilled | OrderCancelled, at: int
    ) -> JournalEntry:
        """With its origin: each portfolio is a partition, so no shard count changes a byte."""
        account.said += 1
        stamp = Stamp("orders", SIMULATED, _partition(event.portfolio), account.said - 1, at)
        return JournalEntry(stamp, event)


def _partition(portfolio: str) -> int:
    """A portfolio's own partition: 31 bits of its name's hash."""
    return int(digest(portfolio.encode())[:8], 16) & 0x7FFF_FFFF


def _event_id(trade: _OpenTrade, step: str) -> str:
    """Named by the trade, in a length that fits whatever the trade is called."""
    return f"sim-{digest(f'{trade.trade_id}:{step}'.encode())[:32]}"
