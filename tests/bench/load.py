"""An open-loop load of signals, and the latency from producing one to reading its decisions.

Place in the flow: benchmarks. One process sends and reads, so that both ends have one clock. A
signal counts once for each portfolio, at the first decision that used it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.bench.record import quantile
from tests.live.world import Message, World

__all__ = ["Figures", "Load", "used_by_round"]

Used = Callable[[bytes], tuple[str, list[str]] | None]
"""(portfolio, ids of signals) of a decision; None for another record."""
SETTLE_S = 1.5


def used_by_round(value: bytes) -> tuple[str, list[str]] | None:
    """What a RoundClosed used."""
    if not value.startswith(b'{"type":"RoundClosed"'):
        return None
    event = json.loads(value)["event"]
    return event["portfolio"], [name.partition("/")[2] for name in event["signals_used"]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Latencies of one phase, milliseconds."""

    signals: int
    uses: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    worst_ms: float


@dataclass(slots=True)
class Load:
    """Sends to `{prefix}TOPIC`, reads `decisions` (a topic with its prefix)."""

    bootstrap: str
    prefix: str
    decisions: str
    world: World
    used: Used = used_by_round
    sent: dict[str, float] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    read: int = 0
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _producer: AIOKafkaProducer | None = None
    _consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=0)
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, max_partition_fetch_bytes=3 << 20,
            fetch_max_wait_ms=100,
        )  # fmt: skip
        await self._consumer.start()
        metadata = await self._consumer._client.fetch_all_metadata()
        partitions = metadata.partitions_for_topic(self.decisions) or set()
        where = [TopicPartition(self.decisions, number) for number in sorted(partitions)]
        self._consumer.assign(where)
        await self._consumer.seek_to_end(*where)
        for one in where:
            await self._consumer.position(one)
        self._tasks.append(asyncio.create_task(self._read()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._producer is not None:
            await self._producer.stop()
        if self._consumer is not None:
            await self._consumer.stop()

    async def send(self, message: Message, *, wait: bool = False) -> None:
        """One message; waits for its acknowledgement when asked to."""
        if self._producer is None:
            raise RuntimeError("enter the load first")
        sending = await self._producer.send(
            self.prefix + message.topic, message.value, key=message.key.encode()
        )
        if wait:
            await sending

    async def signal(self) -> None:
        """The world's next signal, its time noted."""
        message = self.world.signal()
        self.sent[f"{self.world.run}-{self.world.issued - 1}"] = time.time()
        await self.send(message)

    async def bursts(self, count: int, *, size: int, pause_s: float) -> Figures:
        """So many signals at once, again and again."""
        began, issued = self._begin()
        for _ in range(count):
            for _ in range(size):
                await self.signal()
            await asyncio.sleep(pause_s)
        return self._figures(began, issued)

    async def steady(self, rate: float, *, seconds: float) -> Figures:
        """Open loop: a signal is due by the clock, whatever became of the others."""
        began, issued = self._begin()
        done = 0
        while (passed := time.monotonic() - began) < seconds:
            while done < passed * rate:
                await self.signal()
                done += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(SETTLE_S)
        return self._figures(began, issued)

    async def settled(self, *, within_s: float) -> float:
        """Wait until no decision came for a while; how long that took, seconds."""
        began = last = time.monotonic()
        read = self.read
        while time.monotonic() - began < within_s:
            await asyncio.sleep(0.1)
            if self.read != read:
                read, last = self.read, time.monotonic()
            elif time.monotonic() - last > SETTLE_S:
                break
        self.latencies.clear()
        return last - began

    def _begin(self) -> tuple[float, int]:
        self.latencies.clear()
        return time.monotonic(), self.world.issued

    def _figures(self, began: float, issued: int) -> Figures:
        found = [seconds * 1000 for seconds in self.latencies] or [float("nan")]
        p50, p99, p999 = (round(quantile(found, q), 1) for q in (0.5, 0.99, 0.999))
        return Figures(
            signals=self.world.issued - issued,
            uses=len(self.latencies),
            seconds=round(time.monotonic() - began, 1),
            p50_ms=p50,
            p99_ms=p99,
            p999_ms=p999,
            worst_ms=round(max(found), 1),
        )

    async def _read(self) -> None:
        if self._consumer is None:
            return
        while True:
            found = await self._consumer.getmany(timeout_ms=100)
            now = time.time()
            for records in found.values():
                for record in records:
                    self._take(record.value or b"", now)

    def _take(self, value: bytes, now: float) -> None:
        self.read += 1
        used = self.used(value)
        if used is None:
            return
        portfolio, signals = used
        for signal in signals:
            at = self.sent.get(signal)
            if at is not None and (portfolio, signal) not in self.seen:
                self.seen.add((portfolio, signal))
                self.latencies.append(now - at)
