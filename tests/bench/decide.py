"""How long one decision takes, from the round's timer to its chained outputs.

Every instrument has views of three sources that contradict each other; the portfolio holds what its
last decisions bought (filled at once). One round at each session close. Garbage is searched for as
seldom as in a live worker.
"""

from __future__ import annotations

import random
import time
from typing import Any

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.shells.live.collecting import collect_seldom, settle
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output
from schemas.journal import ClockTicked
from tests.bench import journals
from tests.bench.record import finish, options, quantile

SIZES, SOURCES, WARM_UP = (20, 100, 500), 3, 5
ROUNDS = {20: 300, 100: 300, 500: 100}


class Timed:
    """An allocator that notes how long its answers take."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.seconds: list[float] = []

    def allocate(self, problem: Any) -> Any:
        before = time.perf_counter()
        answer = self.inner.allocate(problem)
        self.seconds.append(time.perf_counter() - before)
        return answer


def decided(outputs: list[bytes]) -> AllocationDecided:
    """The one allocation among a round's outputs."""
    events = [decode_output(entry).event for entry in outputs]
    return next(event for event in events if isinstance(event, AllocationDecided))


class Market:
    """A journal that goes on session by session, with every decided trade filled."""

    def __init__(self, size: int) -> None:
        self.size, self.rng, self.journal = size, random.Random(size), journals.Journal()
        self.engine: Engine = build_engine(shard=0, shards=1)
        self.timed = Timed(self.engine._allocator)
        self.engine._allocator = self.timed
        journals.opened(self.journal, instruments=size, sources=SOURCES, portfolios=1)
        self.prices = [100.0] * size
        self.signals = 0
        self.step_all()

    def step_all(self) -> list[bytes]:
        """Fold what was added."""
        return [entry for record in self.journal.take() for entry in self.engine.step(record)]

    def session(self, day: int) -> float:
        """One session; seconds from the round's timer to its outputs."""
        at = journals.START + day * journals.DAY
        for _ in range(self.size * SOURCES):
            event = journals.signal(
                self.rng, self.signals, at, instruments=self.size, sources=SOURCES
            )
            self.journal.add(event, at)
            self.signals += 1
        self.journal.add(journals.close(self.rng, day, at, self.prices), at)
        self.step_all()
        self.journal.add(ClockTicked(event_id=f"tick-{day}", event_time=at + 1), at + 1)
        before = time.perf_counter()
        outputs = self.step_all()
        seconds = time.perf_counter() - before
        self.fill(decided(outputs), at + 2)
        return seconds

    def fill(self, decision: AllocationDecided, at: int) -> None:
        """Every trade at its reference price."""
        for filled in journals.fills(decision, at):
            self.journal.add(filled, at)
        self.step_all()


def measure() -> dict[str, Any]:
    """Quantiles per number of instruments."""
    collect_seldom()
    figures = {}
    for size in SIZES:
        market = Market(size)
        settle()
        times = [market.session(day) for day in range(1, ROUNDS[size] + WARM_UP + 1)][WARM_UP:]
        solves = market.timed.seconds[WARM_UP:]
        figures[f"{size} instruments"] = {
            "decisions": len(times),
            "p50_ms": round(1e3 * quantile(times, 0.5), 2),
            "p99_ms": round(1e3 * quantile(times, 0.99), 2),
            "allocator_p50_ms": round(1e3 * quantile(solves, 0.5), 2),
            "allocator_p99_ms": round(1e3 * quantile(solves, 0.99), 2),
        }
    return figures


if __name__ == "__main__":
    arguments = options(__doc__ or "").parse_args()
    finish("decide", measure(), record=arguments.record)
