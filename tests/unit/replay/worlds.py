"""A small world as an input log: sessions with opens and closes, sources that disagree, portfolios.

Deterministic by its seed; routed like live events. One portfolio decides at session closes, one at
every signal, one may go short.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from coordinator.bootstrap import engine_started
from coordinator.core.ports import Append, LogReader, Record
from coordinator.core.route import Raw, Router
from coordinator.log.memory import MemoryLog
from schemas.decisions import PortfolioOutput
from schemas.entries import JournalEntry, decode_journal, decode_output

DAY = 86_400_000_000_000
HOUR = DAY // 24
START = 1_700_000_000 * 1_000_000_000 // DAY * DAY
NAMES = ("AAA", "BBB", "CCC", "DDD")
SOURCES = ("alpha", "beta", "gamma")

Message = tuple[int, str, dict[str, Any]]
"""Time, topic, payload."""


def messages(*, sessions: int = 6, seed: int = 1) -> list[Message]:
    """Everything that happens, in the order of time."""
    chance = random.Random(seed)
    made = list(_setup())
    price = dict.fromkeys(NAMES, 10.0)
    for session in range(sessions):
        day = START + (session + 1) * DAY
        opened, closed = day + 9 * HOUR, day + 17 * HOUR
        for name in NAMES:
            price[name] *= 1 + chance.gauss(0.0, 0.02)
        made.append(_prices("open", opened, price))
        for source in SOURCES:
            name = chance.choice(NAMES)
            made.append(_signal(source, name, opened + HOUR + chance.randrange(HOUR), chance))
        for name in NAMES:
            price[name] *= 1 + chance.gauss(0.0, 0.02)
        made.append(_prices("bar", closed, price))
        made.append(_signal(chance.choice(SOURCES), "AAA", closed + HOUR, chance))
    return sorted(made, key=lambda one: one[0])


def input_log(
    *, shards: int = 2, sessions: int = 6, seed: int = 1, made: list[Message] | None = None
) -> MemoryLog:
    """The world, or the messages given, as a log."""
    log = MemoryLog(clock=lambda: 0)
    router = Router(log, shards=shards)
    router.write(engine_started(at=START, shards=shards), shards=range(shards), journal_time=START)
    raws, times = [], []
    for offset, (at, topic, payload) in enumerate(
        messages(sessions=sessions, seed=seed) if made is None else made
    ):
        raws.append(Raw(topic, "world", 0, offset, at, json.dumps(payload).encode()))
        times.append(at)
    counts = router.accept(raws, journal_times=times)
    assert counts.dead == 0, list(log.partitions())
    return log


def _setup() -> list[Message]:
    made: list[Message] = [
        (START, "control", {"type": "SourceRegistered", "source": source}) for source in SOURCES
    ]
    made += [
        (
            START, "market",
            {
                "type": "InstrumentListed", "instrument": name, "lot": "1", "tick": "0.01",
                "currency": "EUR",
            },
        )
        for name in NAMES
    ]  # fmt: skip
    for name, schedule, mandate in (
        ("closing", {"kind": "session_close"}, {"position_max": 0.3}),
        ("prompt", {"kind": "signals"}, {"position_max": 0.4, "sources": ["alpha", "beta"]}),
        (
            "short",
            {"kind": "session_close", "every": 2},
            {"position_min": -0.2, "position_max": 0.2},
        ),
    ):
        made.append(
            (
                START, "portfolios",
                {
                    "type": "PortfolioOpened", "portfolio": name, "currency": "EUR",
                    "cash": "1000000", "schedule": schedule, "mandate": mandate,
                },
            )
        )  # fmt: skip
    return [(at, topic, _named(payload, at, i)) for i, (at, topic, payload) in enumerate(made)]


def _named(payload: dict[str, Any], at: int, number: int) -> dict[str, Any]:
    return {**payload, "event_id": f"setup-{number}", "event_time": at}


def _prices(kind: str, at: int, price: dict[str, float]) -> Message:
    payload: dict[str, Any] = {
        "type": "PricesObserved", "event_id": f"{kind}-{at}", "event_time": at, "kind": kind,
        "instruments": list(NAMES), "price": [round(price[name], 2) for name in NAMES],
    }  # fmt: skip
    if kind == "bar":
        payload |= {"session_close": True, "volume": [1e6] * len(NAMES)}
    return at, "market", payload


def _signal(source: str, name: str, at: int, chance: random.Random) -> Message:
    payload: dict[str, Any] = {
        "type": "SignalIssued", "event_id": f"{source}-{at}", "event_time": at, "source": source,
        "strategy": "main", "instrument": name, "direction": chance.choice((-1, 1, 1)),
        "strength": round(chance.uniform(0.3, 1.0), 3), "confidence": round(chance.random(), 3),
    }  # fmt: skip
    return at, "signals", payload


def said(log: LogReader, portfolio: str | None = None) -> list[str]:
    """Hashes of what was said about each portfolio, in order: no shard or position in them."""
    found = []
    for topic, shard in log.partitions():
        if topic == "decisions":
            entries = [decode_output(record.payload) for record in log.read(topic, shard)]
            found += [
                (entry.event.portfolio, index, entry.content)
                for index, entry in enumerate(entries)
                if isinstance(entry.event, PortfolioOutput)
                and portfolio in (None, entry.event.portfolio)
            ]
    return [f"{name} {content}" for name, _, content in sorted(found)]


def journal(log: LogReader, shard: int) -> list[tuple[Record, JournalEntry]]:
    """A shard's journal, decoded."""
    return [(record, decode_journal(record.payload)) for record in log.read("journal", shard)]


def copied(log: LogReader, change: Callable[[Record], bytes | None]) -> MemoryLog:
    """The log with each record's payload changed; None leaves the record out."""
    made = MemoryLog(clock=lambda: 0)
    for topic, shard in log.partitions():
        for record in log.read(topic, shard):
            payload = change(record)
            if payload is not None:
                made.append([Append(topic, shard, payload, record.journal_time)])
    return made
