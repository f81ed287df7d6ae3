"""The bare pipeline that the live system is measured against: two plain hops and the same solves.

`python -m tests.bench.bare copy|solve BOOTSTRAP PREFIX PORTFOLIOS INSTRUMENTS`: `copy` passes each
signal on to one journal; `solve` collects them per portfolio with the same window and spacing,
solves the problem that the engine would solve, and says which signals it used. No state, no log, no
reasons, no recovery: what is left is transport and arithmetic.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from coordinator.bootstrap import build_engine, engine_started
from coordinator.core.engine import Engine
from coordinator.core.ports import AllocationProblem, Record
from coordinator.core.route import Raw, Routed, route
from schemas.entries import Stamp, encode_journal
from schemas.journal import ClockTicked
from tests.live.world import Message, World

__all__ = ["problems", "used_by_bare"]

WINDOW_S, SPACING_S = 0.010, 0.050
MS = 1_000_000


def used_by_bare(value: bytes) -> tuple[str, list[str]] | None:
    """What a decision of the bare pipeline used."""
    decision = json.loads(value)
    return decision["portfolio"], decision["signals"]


class _Keeping:
    """An allocator that keeps the problems it was given."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.kept: list[AllocationProblem] = []

    def allocate(self, problem: AllocationProblem) -> Any:
        self.kept.append(problem)
        return self.inner.allocate(problem)


def problems(world: World) -> tuple[Any, list[AllocationProblem]]:
    """The allocator, and each portfolio's problem of a round after many signals."""
    engine: Engine = build_engine(shard=0, shards=1)
    keeping = _Keeping(engine._allocator)
    engine._allocator = keeping
    offsets: dict[str, int] = {}
    now = time.time_ns()
    entries = [encode_journal(Stamp("journal", "", 0, -1, now), engine_started(at=now, shards=1))]
    messages: list[Message] = [*world.opening()]
    messages += [world.signal() for _ in range(world.instruments * world.sources)]
    for message in messages:
        offset = offsets[message.topic] = offsets.get(message.topic, -1) + 1
        found = route(Raw(message.topic, "t", 0, offset, now, message.value), shards=1)
        if isinstance(found, Routed):
            entries.append(found.entry)
    later = now + 100 * MS
    tick = ClockTicked(event_id="tick", event_time=later)
    entries.append(encode_journal(Stamp("journal", "", 0, -1, later), tick))
    for position, entry in enumerate(entries):
        at = later if position == len(entries) - 1 else now
        engine.step(Record("journal", 0, position, at, entry))
    return keeping.inner, keeping.kept


async def copy(bootstrap: str, prefix: str) -> None:
    """The first hop."""
    consumer = AIOKafkaConsumer(
        f"{prefix}signals", bootstrap_servers=bootstrap, group_id=f"{prefix}copy",
        enable_auto_commit=False, auto_offset_reset="latest",
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0
    )
    await consumer.start()
    await producer.start()
    print("ready", flush=True)
    while True:
        found = await consumer.getmany(timeout_ms=200)
        sending = [
            await producer.send(f"{prefix}journal", record.value, partition=0)
            for records in found.values()
            for record in records
        ]
        if sending:
            await asyncio.gather(*sending)
            await consumer.commit()


class _Solving:
    """The second hop."""

    def __init__(self, bootstrap: str, prefix: str, world: World) -> None:
        self.prefix = prefix
        self.allocator, self.problems = problems(world)
        self.consumer = AIOKafkaConsumer(
            f"{prefix}journal", bootstrap_servers=bootstrap, auto_offset_reset="latest"
        )
        self.producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0
        )
        count = len(self.problems)
        self.waiting: list[list[str]] = [[] for _ in range(count)]
        self.due = [float("inf")] * count
        self.last = [0.0] * count

    async def run(self) -> None:
        await self.consumer.start()
        await self.producer.start()
        await self.consumer.seek_to_end()
        print("ready", flush=True)
        while True:
            wait = max(0.0, min(0.1, min(self.due) - time.monotonic()))
            found = await self.consumer.getmany(timeout_ms=int(wait * 1000))
            for records in found.values():
                self._hear([json.loads(record.value)["event_id"] for record in records])
            await self._decide()

    def _hear(self, signals: list[str]) -> None:
        now = time.monotonic()
        for number in range(len(self.waiting)):
            self.waiting[number] += signals
            if self.due[number] == float("inf"):
                self.due[number] = max(now + WINDOW_S, self.last[number] + SPACING_S)

    async def _decide(self) -> None:
        sending = []
        for number, due in enumerate(self.due):
            if due > time.monotonic():
                continue
            self.due[number], self.last[number] = float("inf"), time.monotonic()
            signals, self.waiting[number] = self.waiting[number], []
            answer = await asyncio.to_thread(self.allocator.allocate, self.problems[number])
            decision = {
                "portfolio": f"p{number}", "signals": signals, "trades": answer.trades.tolist(),
            }  # fmt: skip
            sending.append(
                await self.producer.send(
                    f"{self.prefix}decisions", json.dumps(decision).encode(), partition=0
                )
            )
        if sending:
            await asyncio.gather(*sending)


def main() -> None:
    """One hop, until it is ended."""
    hop, bootstrap, prefix, portfolios, instruments = sys.argv[1:]
    if hop == "copy":
        asyncio.run(copy(bootstrap, prefix))
        return
    world = World(portfolios=int(portfolios), instruments=int(instruments))

    async def solve() -> None:
        await _Solving(bootstrap, prefix, world).run()

    asyncio.run(solve())


if __name__ == "__main__":
    main()
