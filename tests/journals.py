"""Deterministic journals for the tests of the core: build, lay into a log, run, compare.

Place in the flow: tests only. An `Input` is one message of an input topic with its journal time, so
that one recorded list of them can be laid into logs of any kind and any number of shards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from hypothesis import settings

from coordinator.core.chain import follow
from coordinator.core.engine import Engine
from coordinator.core.ports import Log, LogReader
from coordinator.core.route import Raw, Router
from coordinator.core.shard import Shard
from coordinator.core.state import State
from coordinator.learning import ChosenRisk
from coordinator.log.memory import MemoryLog
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from replay.standing import Moment, standing
from schemas.base import Event
from schemas.entries import OutputEntry
from schemas.journal import ClockTicked, EngineStarted
from schemas.signals import FORMS
from schemas.verdicts import ClockJumped

__all__ = [
    "DAY", "HOUR", "MS", "SECOND", "T0",
    "Input", "Inputs", "Makes", "contents", "engine", "events_of", "law", "lay", "only", "outputs",
    "owners", "run", "started", "tick_all", "zero_clock",
]  # fmt: skip

MS = 1_000_000
SECOND = 1_000 * MS
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
T0 = 1_760_054_400 * SECOND
"""A midnight UTC, so that grids of hours start with the journal."""

L = TypeVar("L", bound=Log)
E = TypeVar("E", bound=Event)
Makes = Callable[[int, int], Engine]
"""(shard, shards) to its engine."""


@dataclass(frozen=True, slots=True)
class Input:
    """One message of an input topic and its journal time, ns UTC."""

    raw: Raw
    at: int


@dataclass(slots=True)
class Inputs:
    """Builds messages with the next offset of their partition; each source has one of its own."""

    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    def make(self, topic: str, name: str, at: int, /, **fields: Any) -> Input:
        """A message that happened, was appended and is journaled at `at`."""
        return self.raw(topic, at, self.body(topic, name, at, fields), fields.get("source"))

    def body(self, topic: str, name: str, at: int, fields: dict[str, Any]) -> bytes:
        partition = self._partition(topic, fields.get("source"))
        offset = self.offsets.get((topic, partition), 0)
        head = {"type": name, "event_id": f"{topic}-{partition}-{offset}", "event_time": at}
        return json.dumps(head | fields).encode()

    def raw(self, topic: str, at: int, payload: bytes, source: str | None = None) -> Input:
        """A message of any bytes."""
        partition = self._partition(topic, source)
        offset = self.offsets.get((topic, partition), 0)
        self.offsets[topic, partition] = offset + 1
        return Input(Raw(topic, "t", partition, offset, at, payload), at)

    def _partition(self, topic: str, source: str | None) -> int:
        if topic != "signals" or source is None:
            return 0
        if source not in self.sources:
            self.sources.append(source)
        return 1 + self.sources.index(source)

    def listed(self, name: str, at: int = T0, *, lot: str = "1", **fields: Any) -> Input:
        terms = {"instrument": name, "lot": lot, "tick": "0.01", "currency": "USD"}
        return self.make("market", "InstrumentListed", at, **(terms | fields))

    def registered(self, source: str, at: int = T0, **fields: Any) -> Input:
        return self.make("control", "SourceRegistered", at, source=source, **fields)

    def opened(self, name: str, at: int = T0, *, cash: str = "1000000", **fields: Any) -> Input:
        terms = {"portfolio": name, "currency": "USD", "cash": cash}
        return self.make("portfolios", "PortfolioOpened", at, **(terms | fields))

    def prices(self, prices: Mapping[str, float | None], at: int, **fields: Any) -> Input:
        terms = {"kind": "quote", "instruments": list(prices), "price": list(prices.values())}
        return self.make("market", "PricesObserved", at, **(terms | fields))

    def close(self, prices: Mapping[str, float | None], at: int) -> Input:
        volume = [1e6] * len(prices)
        return self.prices(prices, at, kind="bar", volume=volume, session_close=True)

    def signal(self, source: str, instrument: str, at: int, **fields: Any) -> Input:
        terms = {"source": source, "strategy": source, "instrument": instrument}
        has_form = any(form in fields for form in FORMS if form != "direction")
        opinion = {} if has_form else {"direction": 1, "strength": 0.8}
        return self.make("signals", "SignalIssued", at, **(terms | opinion | fields))

    def fill(
        self, portfolio: str, instrument: str, quantity: str, price: str, at: int,
        *, partly: bool = False, **fields: Any,
    ) -> Input:  # fmt: skip
        terms = {"portfolio": portfolio, "instrument": instrument}
        name = "OrderPartlyFilled" if partly else "OrderFilled"
        return self.make("orders", name, at, **terms, quantity=quantity, price=price, **fields)

    def moved(self, portfolio: str, amount: str, at: int, **fields: Any) -> Input:
        terms = {"portfolio": portfolio, "amount": amount, "currency": "USD", "kind": "deposit"}
        return self.make("portfolios", "CashMoved", at, **(terms | fields))

    def rate(self, name: str, rate: float, at: int) -> Input:
        return self.make("market", "RatesObserved", at, name=name, rate=rate)

    def action(self, instrument: str, kind: str, at: int, **fields: Any) -> Input:
        terms = {"instrument": instrument, "kind": kind, "effective_at": at}
        return self.make("market", "CorporateActionAnnounced", at, **(terms | fields))

    def report(
        self, portfolio: str, units: Mapping[str, str], at: int, *, cash: str | None = None,
        **fields: Any,
    ) -> Input:  # fmt: skip
        lines = [{"instrument": name, "quantity": held} for name, held in units.items()]
        terms = {"portfolio": portfolio, "as_of": at, "positions": lines, "cash": cash}
        return self.make("portfolios", "PositionsReported", at, **(terms | fields))


def law(examples: int) -> settings:
    """So many examples in the default set, fifty times as many where a profile wants new ones."""
    return settings(max_examples=examples * (1 if settings().derandomize else 50))


def zero_clock() -> int:
    """The clock of a log in which every record brings its own time."""
    return 0


@cache
def _real() -> tuple[CvxAllocator, ChosenRisk]:
    pin_threads()
    return CvxAllocator(SolverSettings()), ChosenRisk()


def engine(shard: int, shards: int) -> Engine:
    """What bootstrap builds, but all share one allocator, so that its models compile once."""
    allocator, risk_model = _real()
    return Engine(shard=shard, shards=shards, allocator=allocator, risk_model=risk_model)


def started(at: int = T0, build: str = "build", *, shards: int = 1) -> EngineStarted:
    names = {"build": build, "dependencies": "d", "fingerprint": "f"}
    return EngineStarted(event_id=f"start {at}", event_time=at, shards=shards, **names)


def lay(
    inputs: Iterable[Input],
    log: L,
    *,
    shards: int,
    end: int | None = None,
    ticks: Sequence[int] = (),
) -> L:
    """Route the inputs into a log after EngineStarted, with ticks among them at their times.

    end: time of a last tick of every shard.
    """
    router = Router(log, shards=shards)
    router.write(started(shards=shards), shards=range(shards), journal_time=T0)
    waiting = sorted(ticks, reverse=True)
    for one in inputs:
        while waiting and waiting[-1] <= one.at:
            tick_all(log, shards=shards, at=waiting.pop())
        router.accept([one.raw], journal_times=[one.at])
    if end is not None:
        tick_all(log, shards=shards, at=end)
    return log


def tick_all(log: Log, *, shards: int, at: int) -> None:
    tick = ClockTicked(event_id=f"tick {at}", event_time=at)
    Router(log, shards=shards).write(tick, shards=range(shards), journal_time=at)


def owners(log: Log, *, shards: int, make: Makes = engine, every: int = 500) -> list[Shard]:
    return [Shard(log, make(n, shards), checkpoint_every=every) for n in range(shards)]


def run(
    inputs: Iterable[Input], *, shards: int = 1, make: Makes = engine, end: int | None = None
) -> MemoryLog:
    """A log of the inputs with all that the engines say to them."""
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=shards, end=end)
    for owner in owners(log, shards=shards, make=make):
        owner.recover()
    return log


def state_after(inputs: Sequence[Input], *, end: int | None = None, follows: bool = False) -> State:
    """The state of a whole engine after the inputs.

    end: a tick's time, ns; a second after the last input where it is not given. follows: what the
    log has decided counts, and nothing is decided.
    """
    ends = inputs[-1].at + SECOND if end is None else end
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=1, end=ends)
    if follows:
        return standing(log, 0, Moment()).state
    made = engine(0, 1)
    Shard(log, made, checkpoint_every=1 << 60).recover()
    return made.state


def outputs(log: LogReader, shard: int = 0) -> list[OutputEntry]:
    """A shard's outputs as any reader of the chain gets them."""
    return [link.entry for link in follow(log.read("decisions", shard))]


def events_of(log: LogReader, kind: type[E], *, shards: int = 1) -> list[E]:
    entries = (entry for shard in range(shards) for entry in outputs(log, shard))
    return [entry.event for entry in entries if isinstance(entry.event, kind)]


def contents(log: LogReader, *, shards: int) -> dict[str, list[tuple[str, str]]]:
    """What was said, (event name, content hash) in order, by whom it is about.

    By portfolio, by source, or by event name; without clock jumps, which each shard reports.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for shard in range(shards):
        for entry in outputs(log, shard):
            event, name = entry.event, type(entry.event).__name__
            if isinstance(event, ClockJumped):
                continue
            about = getattr(event, "portfolio", None) or getattr(event, "source", None) or name
            found.setdefault(about, []).append((name, entry.content))
    return found


def only(found: dict[str, list[tuple[str, str]]], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Contents of some kinds of events, sorted by whom they are about."""
    return [
        (name, content)
        for about in sorted(found)
        for name, content in found[about]
        if name in kinds
    ]
