"""The world that is fed to a live system: instruments, sources, portfolios, prices, signals.

Place in the flow: tests, benchmarks and chaos; plain JSON as any producer would write it. Seeded,
so that a run can be told again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from coordinator.core.shards import SHARDS_DEFAULT, shard_of

__all__ = ["Message", "World"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message for an input topic."""

    topic: str
    key: str
    value: bytes


@dataclass(slots=True)
class World:
    """So many of each; every source speaks of every instrument, every portfolio hears all.

    busy: all portfolios live on so many of eight shards, spread over them; 0: wherever their names
    fall.
    """

    instruments: int = 100
    portfolios: int = 10
    sources: int = 3
    seed: int = 1
    run: str = "r"
    busy: int = 0
    issued: int = 0
    prices: list[float] = field(default_factory=list)
    rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.prices = [100.0] * self.instruments

    @property
    def names(self) -> list[str]:
        """The instruments' names."""
        return [f"I{number:03d}" for number in range(self.instruments)]

    @property
    def portfolio_names(self) -> list[str]:
        """The portfolios' names."""
        names = (f"p{number}" for number in count())
        busy = {n * SHARDS_DEFAULT // self.busy for n in range(self.busy)}
        here = (n for n in names if not busy or shard_of(n, SHARDS_DEFAULT) in busy)
        return list(islice(here, self.portfolios))

    def opening(self, *, sessions: int = 5, parameters: dict[str, Any] | None = None) -> Iterator[
        Message
    ]:  # fmt: skip
        """All that must be there before the first signal, some sessions of prices among it."""
        if parameters:
            yield self.message("control", "parameters", "ParametersChanged", parameters=parameters)
        for source in range(self.sources):
            yield self.message("control", f"s{source}", "SourceRegistered", source=f"s{source}")
        for name in self.names:
            yield self.message(
                "market", "market", "InstrumentListed", instrument=name, lot="1", tick="0.01",
                currency="USD",
            )  # fmt: skip
        for name in self.portfolio_names:
            yield self.message(
                "portfolios", name, "PortfolioOpened", portfolio=name,
                currency="USD", cash="10000000", mandate={"position_max": 0.05, "gross_max": 1.0},
            )  # fmt: skip
        for _ in range(sessions):
            yield self.quotes(kind="bar", session_close=True)
        yield self.quotes()

    def quotes(self, **fields: Any) -> Message:
        """All prices, moved a little."""
        self.prices = [round(p * (1 + self.rng.gauss(0, 0.002)), 4) for p in self.prices]
        terms = {"kind": "quote", "instruments": self.names, "price": self.prices}
        return self.message("market", "market", "PricesObserved", **(terms | fields))

    def signal(self) -> Message:
        """The next opinion: sources and instruments in turn, its direction by chance."""
        number = self.issued
        self.issued += 1
        source = f"s{number % self.sources}"
        instrument = self.names[number // self.sources % self.instruments]
        return self.message(
            "signals", source, "SignalIssued", event_id=f"{self.run}-{number}", source=source,
            strategy=source, instrument=instrument, direction=self.rng.choice((-1, 1)),
            strength=round(self.rng.random(), 3),
        )  # fmt: skip

    def message(self, topic: str, key: str, name: str, **fields: Any) -> Message:
        """Any message, as it happens now."""
        now = time.time_ns()
        head = {"type": name, "event_id": f"{self.run}-{name}-{now}", "event_time": now}
        return Message(topic, key, json.dumps(head | fields).encode())
