"""How long one shard takes for the rounds of ten portfolios that hear the same live stream.

Ten new signals every 50 ms on 100 instruments, each judged by three sources that contradict each
other; all portfolios decide, one after the other, and their trades are filled at once. No session
closes meanwhile: what rounds share is what changes no more than the views do. Garbage is searched
for as seldom as in a live worker.
"""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import Any

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.shells.live.collecting import collect_seldom, settle
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output
from schemas.journal import ClockTicked
from schemas.portfolios import Mandate, PortfolioOpened, Schedule
from tests.bench import journals
from tests.bench.record import finish, options, quantile

INSTRUMENTS, SOURCES, PORTFOLIOS, SIGNALS = 100, 3, 10, 10
ROUNDS, WARM_UP = 100, 10
STEP = 50_000_000
SESSIONS = 60


class Stream:
    """A journal that goes on round by round.

    mandates: one per portfolio.
    """

    def __init__(self, mandates: list[Mandate]) -> None:
        self.rng, self.journal = random.Random(5), journals.Journal()
        self.engine: Engine = build_engine(shard=0, shards=1)
        self.signals = 0
        journals.opened(self.journal, instruments=INSTRUMENTS, sources=SOURCES, portfolios=0)
        self.past()
        self.at = journals.START + (SESSIONS + 1) * journals.DAY
        for i, mandate in enumerate(mandates):
            self.open(f"portfolio-{i:03d}", mandate)
        self.hear(INSTRUMENTS * SOURCES)
        self.rounds()

    def past(self) -> None:
        """Sessions, so that there are returns."""
        prices = [100.0] * INSTRUMENTS
        for day in range(1, SESSIONS + 1):
            at = journals.START + day * journals.DAY
            prices = [max(1.0, p * (1 + self.rng.gauss(0, 0.02))) for p in prices]
            bar = journals.snapshot(self.rng, day, at, INSTRUMENTS, session_close=True)
            rounded = tuple(round(p, 4) for p in prices)
            self.journal.add(bar.model_copy(update={"price": rounded}), at)

    def open(self, name: str, mandate: Mandate) -> None:
        """One portfolio that decides on signals."""
        event = PortfolioOpened(
            event_id=name,
            event_time=self.at,
            portfolio=name,
            currency="USD",
            cash=Decimal(10_000_000),
            mandate=mandate,
            schedule=Schedule(kind="signals"),
        )
        self.journal.add(event, self.at)

    def hear(self, count: int) -> None:
        """New signals, each in the place of an older one."""
        for _ in range(count):
            event = journals.signal(
                self.rng, self.signals, self.at, instruments=INSTRUMENTS, sources=SOURCES
            )
            self.journal.add(event, self.at)
            self.signals += 1
        self.step(self.journal.take())

    def step(self, records: list[Record]) -> list[bytes]:
        return [entry for record in records for entry in self.engine.step(record)]

    def rounds(self) -> tuple[float, int]:
        """Seconds for the rounds that are due, and how many decided; their trades are filled."""
        self.at += STEP
        tick = ClockTicked(
            event_id=f"tick-{self.at}",
            event_time=self.at,
        )
        self.journal.add(tick, self.at)
        records = self.journal.take()
        before = time.perf_counter()
        outputs = self.step(records)
        seconds = time.perf_counter() - before
        events = [decode_output(entry).event for entry in outputs]
        decided = [event for event in events if isinstance(event, AllocationDecided)]
        for decision in decided:
            self.fill(decision)
        return seconds, len(decided)

    def fill(self, decision: AllocationDecided) -> None:
        """Every trade at its reference price."""
        for filled in journals.fills(decision, self.at):
            self.journal.add(filled, self.at)
        self.step(self.journal.take())


def mandates(*, alike: bool) -> list[Mandate]:
    """One per portfolio; where they are not alike each has limits and a universe of its own."""
    if alike:
        return [Mandate()] * PORTFOLIOS
    names = journals.names(INSTRUMENTS)
    return [
        Mandate(
            position_max=0.05 + 0.01 * i,
            universe=tuple(name for j, name in enumerate(names) if j % 20 != i),
        )
        for i in range(PORTFOLIOS)
    ]


def measure() -> dict[str, Any]:
    """Quantiles of all portfolios' rounds together."""
    collect_seldom()
    figures = {}
    for label, alike in (
        ("the same mandate", True),
        ("mandates and universes of their own", False),
    ):
        stream = Stream(mandates(alike=alike))
        settle()
        times, decisions = [], 0
        for _ in range(ROUNDS + WARM_UP):
            stream.hear(SIGNALS)
            seconds, decided = stream.rounds()
            times.append(seconds)
            decisions += decided
        figures[f"{PORTFOLIOS} portfolios, {INSTRUMENTS} instruments, {label}"] = {
            "decisions": decisions,
            "p50_ms": round(1e3 * quantile(times[WARM_UP:], 0.5), 2),
            "p99_ms": round(1e3 * quantile(times[WARM_UP:], 0.99), 2),
            "least_ms": round(1e3 * min(times), 2),
        }
    return figures


if __name__ == "__main__":
    arguments = options(__doc__ or "").parse_args()
    finish("stream", measure(), record=arguments.record)
