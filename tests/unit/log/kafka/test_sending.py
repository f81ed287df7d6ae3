"""Sender: to each partition in order, group by group, and nothing more after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from coordinator.log.kafka import sending
from coordinator.log.kafka.sending import Outgoing, Sender, SendFailed, Sent
from coordinator.log.kafka.topics import BATCH_BYTES_MAX

AT_MS = 1_760_000_000_000


class Batch:
    """Takes records up to a size, and always a first one, as aiokafka's does."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, value: bytes, **_: Any) -> object | None:
        size = sum(map(len, self.values)) + len(value)
        if self.values and size > BATCH_BYTES_MAX:
            return None
        self.values.append(value)
        return object()

    def record_count(self) -> int:
        return len(self.values)


@dataclass
class Producer:
    """Answers as told. answers: of the n-th batch, an error to raise."""

    errors: dict[int, BaseException] = field(default_factory=dict)
    sent: list[tuple[str, int, list[bytes]]] = field(default_factory=list)
    in_flight: dict[tuple[str, int], int] = field(default_factory=dict)
    timestamp: int = AT_MS
    stopped: bool = False
    hold: asyncio.Event | None = None

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[Any]:
        number, where = len(self.sent), (topic, partition)
        self.sent.append((topic, partition, batch.values))
        self.in_flight[where] = self.in_flight.get(where, 0) + 1
        assert self.in_flight[where] == 1, "two groups of one partition at once"
        return self._answer(number, where)

    async def _answer(self, number: int, where: tuple[str, int]) -> Any:
        await (self.hold.wait() if self.hold else asyncio.sleep(0))
        self.in_flight[where] -= 1
        if number in self.errors:
            raise self.errors[number]
        before = [len(v) for t, p, v in self.sent[:number] if (t, p) == where]
        return SimpleNamespace(offset=sum(before), timestamp=self.timestamp)

    async def stop(self) -> None:
        self.stopped = True


def sender_of(producer: Producer) -> Sender:
    sender = Sender({})
    sender._producer = producer
    return sender


def run(use: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await use()

    return asyncio.run(bounded())


def large(count: int) -> list[Outgoing]:
    return [Outgoing(bytes([n]) * (BATCH_BYTES_MAX // 2 - 100)) for n in range(count)]


def test_groups_of_a_partition_follow_each_other_and_positions_are_the_brokers() -> None:
    producer = Producer()
    records = [*large(5), Outgoing(b"x" * (2 * BATCH_BYTES_MAX)), Outgoing(b"y")]
    found = run(lambda: sender_of(producer).send({("t", 0): records, ("t", 1): large(1)}))
    assert found["t", 0] == [Sent(n, AT_MS * 1_000_000) for n in range(7)]
    assert found["t", 1] == [Sent(0, AT_MS * 1_000_000)]
    groups = [values for topic, partition, values in producer.sent if partition == 0]
    assert [len(group) for group in groups] == [2, 2, 1, 1, 1]
    assert [value for group in groups for value in group] == [one.value for one in records]


def test_a_topic_that_keeps_producers_times_gets_ours() -> None:
    producer = Producer(timestamp=-1)
    (sent,) = run(lambda: sender_of(producer).send({("t", 0): [Outgoing(b"x")]}))["t", 0]
    assert sent.at > AT_MS * 1_000_000


@pytest.mark.parametrize("error", [KafkaError("lost"), OSError("gone"), TimeoutError()])
def test_a_failed_group_ends_all_sending(error: Exception) -> None:
    producer = Producer(errors={0: error})
    sender = sender_of(producer)

    async def use() -> None:
        with pytest.raises(SendFailed):
            await sender.send({("t", 0): large(6)})
        with pytest.raises(SendFailed, match="an earlier send failed"):
            await sender.send({("t", 1): large(1)})

    run(use)
    assert len(producer.sent) == 1


def test_other_partitions_stop_at_their_next_group() -> None:
    producer = Producer(errors={0: KafkaError("lost")})
    sender = sender_of(producer)

    async def use() -> None:
        with pytest.raises(SendFailed):
            await sender.send({("t", 0): large(1), ("t", 1): large(60)})
        for _ in range(200):
            await asyncio.sleep(0)

    run(use)
    assert len(producer.sent) < 10  # of thirty groups of the other one


def test_a_cancelled_send_may_have_landed_so_nothing_follows_it() -> None:
    producer = Producer()
    sender = sender_of(producer)

    async def use() -> None:
        producer.hold = asyncio.Event()
        sending = asyncio.ensure_future(sender.send({("t", 0): large(1)}))
        await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        with pytest.raises(SendFailed):
            await sender.send({("t", 0): large(1)})

    run(use)
    assert len(producer.sent) == 1


def test_a_closed_sender_sends_nothing() -> None:
    producer = Producer()
    sender = sender_of(producer)

    async def use() -> None:
        await sender.close()
        await sender.close()
        with pytest.raises(SendFailed):
            await sender.send({("t", 0): large(1)})

    run(use)
    assert (producer.stopped, producer.sent) == (True, [])


def test_a_cluster_that_is_not_there_is_a_failed_send() -> None:
    async def use() -> None:
        sender = Sender({"bootstrap_servers": "127.0.0.1:1"})
        with pytest.raises(SendFailed, match=KafkaConnectionError.__name__):
            await sender.send({("t", 0): large(1)})
        await sender.close()

    run(use)


def test_a_producer_that_connects_while_its_sender_is_closed_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Producer] = []
    connects = asyncio.Event()

    class Slow(Producer):
        def __init__(self, **_: Any) -> None:
            super().__init__()
            made.append(self)

        async def start(self) -> None:
            await connects.wait()

    monkeypatch.setattr(sending, "AIOKafkaProducer", Slow)

    async def use() -> None:
        sender = Sender({})
        first = asyncio.ensure_future(sender.send({("t", 0): large(1)}))
        second = asyncio.ensure_future(sender.send({("t", 1): large(1)}))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(sender.close())
        await asyncio.sleep(0)
        connects.set()
        await closing
        for one in (first, second):
            with pytest.raises(SendFailed, match="it was closed"):
                await one

    run(use)
    assert [(one.stopped, one.sent) for one in made] == [(True, [])]


def test_a_send_that_is_never_answered_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client may wait for a leader for ever: who waits for the send must not."""
    monkeypatch.setattr(sending, "BEYOND_S", 0.05)
    producer = Producer()

    async def use() -> None:
        producer.hold = asyncio.Event()
        sender = Sender({"request_timeout_ms": 1})
        sender._producer = producer
        with pytest.raises(SendFailed, match="TimeoutError"):
            await asyncio.wait_for(sender.send({("t", 0): large(1)}), 5)
        with pytest.raises(SendFailed, match="an earlier send failed"):
            await sender.send({("t", 0): large(1)})

    run(use)


def test_a_connection_that_is_never_made_is_a_failed_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BEYOND_S", 0.05)
    stopped: list[bool] = []

    class Never(Producer):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        async def start(self) -> None:
            await asyncio.Event().wait()

        async def stop(self) -> None:
            stopped.append(True)

    monkeypatch.setattr(sending, "AIOKafkaProducer", Never)

    async def use() -> None:
        with pytest.raises(SendFailed, match="TimeoutError"):
            await asyncio.wait_for(Sender({"request_timeout_ms": 1}).send({("t", 0): large(1)}), 5)

    run(use)
    assert stopped == [True]
