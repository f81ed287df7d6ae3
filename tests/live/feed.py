"""The load of a chaos run, and a clock on it: signals, prices, fills, and probes that are awaited.

Place in the flow: chaos. A thread with an event loop of its own: it produces at a steady rate
whatever happens, notes what was acknowledged, and follows the decisions to see each probe's answer.
A probe is an order of a portfolio that nobody opened: its shard rejects it by name, at once.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from coordinator.core.shards import shard_of
from tests.live.system import until
from tests.live.world import Message, World

__all__ = ["Feed", "Noted"]

PROBE_EVERY_S = 0.25
ORDER_PARTITIONS = 8
_PROBE = re.compile(rb'"event_id":"(probe-[0-9]+-[0-9]+)"')


@dataclass(slots=True)
class Noted:
    """What the producer knows. acked: signals that the broker acknowledged, with their source."""

    acked: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    sent: int = 0


class Feed:
    """Produces until stopped. A context."""

    def __init__(
        self, bootstrap: str, prefix: str, world: World, *, shards: int, rate: float
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._world = world
        self._shards = shards
        self._rate = rate
        self._names = [_name_in(shard, shards) for shard in range(shards)]
        self._stopping, self._loaded = threading.Event(), threading.Event()
        self._quiet, self._idle = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}
        self._answers: list[tuple[int, float, float]] = []
        self._probes = 0
        self._extra = 0
        self.noted = Noted()
        self.fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No more; what is on its way is awaited."""
        self._stopping.set()
        self._thread.join(90)

    def load(self) -> None:
        """Until now there were probes only; from here on the load comes, too."""
        self._loaded.set()

    def burst(self, count: int, within_s: float = 60.0) -> None:
        """So many signals at once, beside the load; returns when they are on their way."""
        with self._lock:
            self._extra += count
        until("the burst is sent", lambda: self._extra == 0, within_s=within_s)

    def drain(self, within_s: float = 60.0) -> None:
        """No more is produced; returns when the last probe is answered. Raises TimeoutError."""
        self._quiet.set()
        until("the last probe is answered", self._all_answered, within_s=within_s)

    def _all_answered(self) -> bool:
        with self._lock:
            return self._idle.is_set() and not self._waiting

    # -- the clock ---------------------------------------------------------------------------------

    def answered_since(self, moment: float) -> bool:
        """Whether all shards have answered a set of probes that was sent after that moment.

        And everything before it. moment: monotonic.
        """
        with self._lock:
            sets = Counter(probes for probes, sent, _ in self._answers if sent > moment)
            return ORDER_PARTITIONS in sets.values() and all(
                sent > moment for sent in self._waiting.values()
            )

    def longest_wait(self, since: float) -> float:
        """The longest that a probe sent since then waited for its answer, seconds."""
        with self._lock:
            return max((took for _, sent, took in self._answers if sent >= since), default=0.0)

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._both())
        except BaseException as error:  # noqa: BLE001 - told by whoever asks for the outcome
            self.fault = error

    async def _both(self) -> None:
        following = asyncio.create_task(self._follow())
        try:
            while not self._stopping.is_set():
                try:
                    await self._produce()
                except (KafkaError, OSError):
                    await asyncio.sleep(0.5)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _produce(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True, linger_ms=0,
            request_timeout_ms=60_000,
        )  # fmt: skip
        await producer.start()
        began = probed = priced = time.monotonic()
        issued = 0
        try:
            while not self._stopping.is_set():
                if self._quiet.is_set():
                    if not self._idle.is_set():
                        await self._probe(producer)  # the last word in every partition
                        await producer.flush()
                        self._idle.set()
                    await asyncio.sleep(0.05)
                    continue
                now = time.monotonic()
                if not self._loaded.is_set():
                    began = priced = now
                while issued < (now - began) * self._rate:
                    issued += 1
                    await self._issue(producer)
                while self._extra:
                    await self._issue(producer)
                    with self._lock:
                        self._extra -= 1
                if now - priced > 1.0:
                    priced = now
                    await self._send(producer, self._world.quotes())
                    await self._send(producer, self._fill())
                if now - probed > PROBE_EVERY_S:
                    probed = now
                    await self._probe(producer)
                await asyncio.sleep(0.01)
        finally:
            await producer.stop()

    async def _issue(self, producer: Any) -> None:
        message = self._world.signal()
        name = f"{self._world.run}-{self._world.issued - 1}"
        self.noted.sent += 1
        future = await self._send(producer, message)

        def told(done: asyncio.Future[Any]) -> None:
            if done.cancelled() or done.exception() is not None:
                self.noted.failed.add(name)
            else:
                self.noted.acked[name] = message.key

        future.add_done_callback(told)

    async def _send(self, producer: Any, message: Message, partition: int | None = None) -> Any:
        return await producer.send(
            self._prefix + message.topic, message.value, key=message.key.encode(),
            partition=partition,
        )  # fmt: skip

    def _fill(self) -> Message:
        """A few units of something, for somebody; now and then of a trade that nobody decided."""
        rng = self._world.rng
        number = rng.randrange(self._world.instruments)
        portfolio = f"p{rng.randrange(self._world.portfolios)}"
        return self._world.message(
            "orders", portfolio, "OrderPartlyFilled", portfolio=portfolio,
            instrument=self._world.names[number], quantity=str(rng.randint(-5, 5) or 1),
            price=str(self._world.prices[number]), trade_id=f"{portfolio}:0:I000",
        )  # fmt: skip

    async def _probe(self, producer: Any) -> None:
        """One to every partition of the orders; every shard is asked by some of them."""
        self._probes += 1
        for partition in range(ORDER_PARTITIONS):
            portfolio = self._names[(partition + self._probes) % self._shards]
            name = f"probe-{self._probes}-{partition}"
            message = self._world.message(
                "orders", portfolio, "OrderCancelled", portfolio=portfolio, instrument="I000",
                trade_id="none", event_id=name,
            )  # fmt: skip
            with self._lock:
                self._waiting[name] = time.monotonic()
            future = await self._send(producer, message, partition)
            future.add_done_callback(lambda done, name=name: self._undelivered(done, name))

    def _undelivered(self, done: asyncio.Future[Any], name: str) -> None:
        """A probe that never reached its topic is not waited for."""
        if done.cancelled() or done.exception() is not None:
            with self._lock:
                self._waiting.pop(name, None)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, auto_offset_reset="earliest",
            enable_auto_commit=False, fetch_max_wait_ms=100, max_partition_fetch_bytes=3 << 20,
        )  # fmt: skip
        await consumer.start()
        try:
            consumer.assign(
                [TopicPartition(f"{self._prefix}decisions", s) for s in range(self._shards)]
            )
            while True:
                found = await consumer.getmany(timeout_ms=100)
                now = time.monotonic()
                for run in found.values():
                    for record in run:
                        self._saw(record.value, now)
        finally:
            await consumer.stop()

    def _saw(self, value: bytes, now: float) -> None:
        if not value.startswith(b'{"type":"InputRejected"'):
            return
        match = _PROBE.search(value)
        if match is None:
            return
        with self._lock:
            name = match.group(1).decode()
            sent = self._waiting.pop(name, None)
            if sent is not None:
                self._answers.append((int(name.split("-")[1]), sent, now - sent))


def _name_in(shard: int, shards: int) -> str:
    """The name of a portfolio, opened by nobody, that would be in that shard."""
    number = 0
    while shard_of(f"nobody{number}", shards) != shard:
        number += 1
    return f"nobody{number}"
