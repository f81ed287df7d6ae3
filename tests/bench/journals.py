"""Journals made for measuring: many events of one kind, as a log would hold them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

from coordinator.bootstrap import engine_started
from coordinator.core.ports import Record
from schemas.base import InputEvent
from schemas.control import SourceRegistered
from schemas.decisions import AllocationDecided
from schemas.entries import Stamp, encode_journal
from schemas.market import InstrumentListed, PricesObserved
from schemas.orders import OrderFilled
from schemas.portfolios import Mandate, PortfolioOpened, Schedule
from schemas.signals import SignalIssued

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class Journal:
    """Records in order, with positions and offsets counted."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._position = 0
        self._offsets: dict[str, int] = {}

    def add(self, event: InputEvent, at: int) -> None:
        """Append one event at a time."""
        offset = -1
        if event.topic != "journal":
            offset = self._offsets.get(event.topic, 0)
            self._offsets[event.topic] = offset + 1
        entry = encode_journal(Stamp(event.topic, "bench", 0, offset, at), event)
        self._records.append(Record("journal", 0, self._position, at, entry))
        self._position += 1

    def take(self) -> list[Record]:
        """Records added since the last call."""
        taken, self._records = self._records, []
        return taken


def names(count: int) -> tuple[str, ...]:
    """Instrument names, sorted."""
    return tuple(f"N{i:04d}" for i in range(count))


def opened(journal: Journal, *, instruments: int, sources: int, portfolios: int) -> None:
    """The beginning of a journal: everything listed, registered, opened and priced."""
    journal.add(engine_started(at=START, shards=1), START)
    for name in names(instruments):
        listed = InstrumentListed(
            event_id=name,
            event_time=START,
            instrument=name,
            lot=Decimal(1),
            tick=Decimal("0.01"),
            currency="USD",
        )
        journal.add(listed, START)
    for i in range(sources):
        source = f"source-{i:03d}"
        registered = SourceRegistered(event_id=source, event_time=START, source=source)
        journal.add(registered, START)
    for i in range(portfolios):
        portfolio = f"portfolio-{i:03d}"
        event = PortfolioOpened(
            event_id=portfolio,
            event_time=START,
            portfolio=portfolio,
            currency="USD",
            cash=Decimal(10_000_000),
            mandate=Mandate(),
            schedule=Schedule(kind="session_close"),
        )
        journal.add(event, START)
    journal.add(snapshot(random.Random(0), 0, START, instruments), START)


def signal(rng: random.Random, i: int, at: int, *, instruments: int, sources: int) -> SignalIssued:
    """One directional signal; every (source, instrument) pair takes its turn."""
    source = f"source-{i % sources:03d}"
    return SignalIssued(
        event_id=f"signal-{i}",
        event_time=at,
        source=source,
        strategy="main",
        instrument=f"N{(i // sources) % instruments:04d}",
        direction=rng.choice((-1, 1)),
        strength=round(rng.uniform(0.2, 0.9), 3),
        confidence=round(rng.uniform(0.3, 0.9), 3),
        horizon_sessions=5.0,
    )


def fill(rng: random.Random, i: int, at: int, *, instruments: int) -> OrderFilled:
    """One execution of a manual trade."""
    return OrderFilled(
        event_id=f"fill-{i}",
        event_time=at,
        portfolio="portfolio-000",
        instrument=f"N{i % instruments:04d}",
        quantity=Decimal(rng.choice((-100, 100))),
        price=Decimal("100.25"),
        fee=Decimal("1.20"),
    )


def fills(decision: AllocationDecided, at: int) -> Iterator[OrderFilled]:
    """Every trade of a decision at its reference price."""
    for trade in decision.trades:
        yield OrderFilled(
            event_id=trade.trade_id,
            event_time=at,
            portfolio=decision.portfolio,
            instrument=trade.instrument,
            trade_id=trade.trade_id,
            quantity=trade.quantity,
            price=Decimal(str(round(trade.price, 4))),
        )


def close(rng: random.Random, i: int, at: int, prices: list[float]) -> PricesObserved:
    """The bar that closes a session, each price two percent or so from the one in `prices`.

    These are moved.
    """
    prices[:] = [max(1.0, price * (1 + rng.gauss(0, 0.02))) for price in prices]
    bar = snapshot(rng, i, at, len(prices), session_close=True)
    return bar.model_copy(update={"price": tuple(round(price, 4) for price in prices)})


def snapshot(
    rng: random.Random, i: int, at: int, instruments: int, *, session_close: bool = False
) -> PricesObserved:
    """A bar of every instrument, with all columns."""
    price = tuple(round(100 + rng.gauss(0, 1), 2) for _ in range(instruments))
    return PricesObserved(
        event_id=f"bar-{i}",
        event_time=at,
        kind="bar",
        instruments=names(instruments),
        price=price,
        open=price,
        high=price,
        low=price,
        volume=tuple(1e6 + i for _ in price),
        session_close=session_close,
    )
