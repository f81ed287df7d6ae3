"""What each portfolio of a log was worth, session by session, folded from its journal alone.

Place in the flow: from a log to curves for the report. Marks are taken at session closes; where a
session shows none, at its last price. It must never read the engine's own portfolio views, nor what
it says of corporate actions: a report that only repeated them could not contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from coordinator.log.live import begin_of
from replay.known import KnownPrices, KnownRates
from replay.ledger import Curve, Ledger
from schemas.base import Event
from schemas.books import ReconciliationDiffered
from schemas.entries import decode_journal, decode_output, opening
from schemas.market import (
    CorporateActionAnnounced,
    InstrumentListed,
    PricesObserved,
    RatesObserved,
)
from schemas.orders import OrderFilled, OrderPartlyFilled
from schemas.portfolios import CashMoved, PortfolioOpened
from schemas.verdicts import InputRejected, InputRejection

__all__ = ["PORTFOLIO", "curves"]

PORTFOLIO = "portfolio"
_OPENED = opening(PortfolioOpened)
_BOOKED = opening(
    PortfolioOpened,
    PricesObserved,
    OrderFilled,
    OrderPartlyFilled,
    CashMoved,
    CorporateActionAnnounced,
    InstrumentListed,
    RatesObserved,
)
_ANSWERS = opening(InputRejected, ReconciliationDiffered)
_NAMES_ALONE = (InputRejection.UNKNOWN_INSTRUMENT, InputRejection.STALE)
_BELIEVED = ("opened", "trust_report")
_FLOWS = ("deposit", "withdrawal", "other")
_DAY = 86_400_000_000_000


@dataclass(slots=True)
class _Books:
    """The ledgers of one shard's portfolios, and the prices they are marked at."""

    ledgers: dict[str, Ledger] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    """Each portfolio's currency."""
    currencies: dict[str, str] = field(default_factory=dict)
    """Each instrument's currency."""
    rates: KnownRates = field(default_factory=KnownRates)
    known: KnownPrices = field(default_factory=KnownPrices)
    priced_at: int = -1
    """Time of the last prices that no mark has used yet; -1: none."""
    closed: bool = False
    """Those prices ended a session."""
    actions: list[CorporateActionAnnounced] = field(default_factory=list)
    """Announced, and not in effect yet."""

    def book(self, event: Event, at: int) -> None:
        """Apply one event at its journal time."""
        self.settle(at)
        self._act(at)
        match event:
            case PricesObserved():
                self._price(event, at)
            case OrderFilled() | OrderPartlyFilled():
                self._fill(event)
            case PortfolioOpened():
                opened = Ledger(event.portfolio, PORTFOLIO, float(event.cash), at)
                self.ledgers.setdefault(event.portfolio, opened)
                self.own.setdefault(event.portfolio, event.currency)
            case CashMoved() if event.portfolio in self.ledgers:
                self._move(event)
            case CorporateActionAnnounced():
                self.actions.append(event)
            case InstrumentListed():
                self.currencies[event.instrument] = event.currency
            case RatesObserved():
                self.rates.take(event)

    def settle(self, now: int | None) -> None:
        """Mark the session that is over at now; None: the log is over.

        Waiting for a later record keeps a close that came in several snapshots whole.
        """
        if self.priced_at < 0 or now == self.priced_at:
            return
        if now is None or self.closed or now // _DAY > self.priced_at // _DAY:
            for name, ledger in self.ledgers.items():
                ledger.mark(self.priced_at, self._at_home(name), self._rates_of(name))
            self.priced_at = -1

    def _at_home(self, portfolio: str) -> dict[str, float]:
        """Prices of what a portfolio holds, in its own currency."""
        held, prices = self.ledgers[portfolio].holdings, self.known.prices
        return {
            name: prices[name] * self._rate(self.currencies.get(name), portfolio)
            for name in held
            if name in prices
        }

    def _rates_of(self, portfolio: str) -> dict[str, float]:
        return {one: self._rate(one, portfolio) for one in self.ledgers[portfolio].others}

    def _rate(self, currency: str | None, portfolio: str) -> float:
        """Of a currency in the portfolio's own; 0 where none is known."""
        own = self.own[portfolio]
        return self.rates.between(currency or own, own) or 0.0

    def _other(self, currency: str | None, portfolio: str) -> str | None:
        """The currency, None where it is the portfolio's own."""
        return None if currency in (None, self.own[portfolio]) else currency

    def _price(self, event: PricesObserved, at: int) -> None:
        self.known.take(event)
        self.closed = event.session_close or (self.closed and at == self.priced_at)
        self.priced_at = at

    def _fill(self, event: OrderFilled | OrderPartlyFilled) -> None:
        ledger = self.ledgers.get(event.portfolio)
        if ledger is None:
            return
        currency = self.currencies.get(event.instrument)
        ledger.execute(
            event.instrument,
            float(event.quantity),
            float(event.price),
            fee=float(event.fee),
            mid=self.known.prices.get(event.instrument),
            currency=self._other(currency, event.portfolio),
            rate=self._rate(currency, event.portfolio),
        )

    def _move(self, event: CashMoved) -> None:
        ledger = self.ledgers[event.portfolio]
        currency = self._other(event.currency, event.portfolio)
        if event.kind in _FLOWS:
            rate = self._rate(event.currency, event.portfolio)
            ledger.move(float(event.amount), currency, rate=rate)
        else:
            ledger.pay(float(event.amount), currency)

    def _act(self, at: int) -> None:
        """Corporate actions whose time has passed, in the order of their times and names."""
        due = [one for one in self.actions if one.effective_at <= at]
        for action in sorted(due, key=lambda one: (one.effective_at, one.event_id)):
            self.actions.remove(action)
            for name, ledger in self.ledgers.items():
                self._change(action, name, ledger)
            if action.kind == "split":
                factor, since = _new_units(action), action.effective_at
                self.known.split(action.instrument, factor, effective_at=since)

    def _change(self, action: CorporateActionAnnounced, name: str, ledger: Ledger) -> None:
        held = ledger.holdings.get(action.instrument, 0.0)
        if not held:
            return
        if action.kind == "split":
            ledger.hold(action.instrument, held * _new_units(action))
        elif action.kind == "spin_off" and action.into is not None:
            received = held * _new_units(action)
            ledger.hold(action.into, ledger.holdings.get(action.into, 0.0) + received)
        else:
            currency = self._other(self.currencies.get(action.instrument), name)
            ledger.pay(held * float(action.amount or 0), currency)
        if action.kind == "redemption":
            ledger.hold(action.instrument, 0.0)

    def correct(self, event: ReconciliationDiffered) -> None:
        """What a positions report changed; what opens a book was there before and is no gain."""
        ledger = self.ledgers.get(event.portfolio)
        if ledger is None or event.policy not in _BELIEVED:
            return
        more = float(event.reported - event.folded)
        opened = event.policy == "opened"
        if event.instrument is None:
            currency, worth = event.currency, more
            ledger.pay(more, self._other(currency, event.portfolio))
        else:
            currency = self.currencies.get(event.instrument)
            worth = more * float(event.price or 0)
            held = ledger.holdings.get(event.instrument, 0.0)
            ledger.hold(event.instrument, held + more)
        if opened:
            ledger.base += worth * self._rate(currency, event.portfolio)


def _new_units(action: CorporateActionAnnounced) -> float:
    """Of one old unit."""
    return float(action.ratio or 0) / float(action.per or 1)


def curves(reader: LogReader) -> tuple[Curve, ...]:
    """One curve per portfolio of the log, in the order of their names."""
    found = [curve for shard in shards_in(reader, "journal") for curve in _shard(reader, shard)]
    return tuple(sorted(found, key=lambda curve: curve.name))


def _shard(reader: LogReader, shard: int) -> Iterator[Curve]:
    """Curves of one shard; a shard without portfolios is not decoded."""
    if not any(record.payload.startswith(_OPENED) for record in reader.read("journal", shard)):
        return
    books = _Books()
    answers = _Answers(reader, shard)
    for record in reader.read("journal", shard):
        refused, corrections = answers.to(record.position)
        if record.payload.startswith(_BOOKED):
            event = decode_journal(record.payload).event
            if not refused:
                books.book(event, record.journal_time)
        for correction in corrections:
            books.correct(correction)
    books.settle(None)
    for ledger in books.ledgers.values():
        yield ledger.curve()


def _partly(event: InputRejected) -> bool:
    """Of a snapshot names that are not listed, or older than what is known; others count."""
    return event.event == PricesObserved.__name__ and event.reason in _NAMES_ALONE


class _Answers:
    """What the engine said of inputs: which it refused, and which reports it believed."""

    def __init__(self, reader: LogReader, shard: int) -> None:
        self._refused: set[int] = set()
        self._corrections: dict[int, list[ReconciliationDiffered]] = {}
        said = -1
        for record in reader.read("decisions", shard, begin_of(reader, "decisions", shard)):
            if record.payload.startswith(_ANSWERS):
                entry = decode_output(record.payload)
                if entry.seq <= said:
                    continue  # a repeat, which every reader passes over
                said = entry.seq
                if isinstance(entry.event, ReconciliationDiffered):
                    self._corrections.setdefault(entry.position, []).append(entry.event)
                elif isinstance(entry.event, InputRejected) and not _partly(entry.event):
                    self._refused.add(entry.position)

    def to(self, position: int) -> tuple[bool, list[ReconciliationDiffered]]:
        """Whether the input there was refused, and what it corrected."""
        return position in self._refused, self._corrections.get(position, [])
