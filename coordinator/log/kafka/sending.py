"""Records to partitions, in order, and never on after a failure.

Place in the flow: beneath `KafkaLog.append` and the routers. A batch of one partition is
acknowledged before the next one of it is sent, so that a failure leaves no hole behind it; after
one, this sender answers no more and its owner starts from what the topic holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from coordinator.log.kafka.topics import BATCH_BYTES_MAX

__all__ = ["Outgoing", "Partition", "SendFailed", "Sender", "Sent", "answered_within_s", "stopped"]

Partition: TypeAlias = tuple[str, int]
"""Topic, with its prefix, and partition."""
STARTING_S = 2.0
STOPPING_S, GIVE_UP_S = 2.0, 1.0
REQUEST_MS = 40_000
"""What the client waits for an answer by itself, unless told otherwise."""
BEYOND_S = 20.0
"""How much longer than that it may take: the client may wait for a leader without a bound."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to be sent."""

    value: bytes
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a record stands now. at: the broker's append time, ns UTC."""

    offset: int
    at: int


class SendFailed(Exception):
    """A send failed, so it is not known what the topic holds: read it before anything is sent."""


def answered_within_s(options: Mapping[str, Any]) -> float:
    """How long a producer of these options is waited for: the client's own bound, and some."""
    bound_s: float = options.get("request_timeout_ms", REQUEST_MS) / 1000 + BEYOND_S
    return bound_s


async def stopped(producer: AIOKafkaProducer) -> None:
    """Let go of a producer; one that still waits for answers is not waited for, for long."""
    closing = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait({closing}, timeout=STOPPING_S)
    if not done:
        closing.cancel()
        await asyncio.wait({closing}, timeout=GIVE_UP_S)
    elif not closing.cancelled():
        closing.exception()


class Sender:
    """An idempotent producer that is used in this way only. Lives in one event loop."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._bound_s = answered_within_s(self._options)
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._failed = self._closed = False

    async def send(
        self, batches: Mapping[Partition, Sequence[Outgoing]]
    ) -> dict[Partition, list[Sent]]:
        """Send to all partitions at once, to each in order. Raises SendFailed.

        No connection and no group of records takes longer than the client's bound and some.
        """
        if self._failed:
            raise SendFailed("an earlier send failed")
        try:
            async with asyncio.timeout(self._bound_s):
                producer = await self._started()
            found = await asyncio.gather(
                *(self._one(producer, where, records) for where, records in batches.items())
            )
        except BaseException as error:  # also when cancelled: what is in flight may land or not
            self._failed = True
            if isinstance(error, KafkaError | OSError | TimeoutError | ValueError):
                raise SendFailed(f"{type(error).__name__}: {error}") from error
            raise
        return dict(zip(batches, found, strict=True))

    async def close(self) -> None:
        """Let go of the connection; what was not acknowledged is lost or not, as it may be.

        A producer that is being started is waited for, not for long: it is stopped when it has.
        """
        self._failed = self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTING_S), self._starting:
                pass
        producer, self._producer = self._producer, None
        if producer is not None:
            await stopped(producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            self._refuse_if_closed()
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **{
                        "acks": "all",
                        "enable_idempotence": True,
                        "max_batch_size": BATCH_BYTES_MAX,
                        "linger_ms": 0,
                        **self._options,
                    }
                )
                try:
                    await producer.start()
                    self._refuse_if_closed()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SendFailed("it was closed")

    async def _one(
        self, producer: AIOKafkaProducer, where: Partition, records: Sequence[Outgoing]
    ) -> list[Sent]:
        """Batch after batch of one partition, each acknowledged before the next."""
        topic, partition = where
        sent: list[Sent] = []
        while len(sent) < len(records):
            if self._failed:  # another partition's send failed meanwhile
                raise SendFailed("an earlier send failed")
            batch = producer.create_batch()
            # The broker stamps its own time; a topic without that setting gets ours.
            now = time.time_ns() // 1_000_000
            for record in records[len(sent) :]:
                if (
                    batch.append(
                        key=record.key,
                        value=record.value,
                        timestamp=now,
                        headers=list(record.headers),
                    )
                    is None
                ):
                    break
            count = batch.record_count()
            async with asyncio.timeout(self._bound_s):
                answer = await (await producer.send_batch(batch, topic, partition=partition))
            at = (
                answer.timestamp if answer.timestamp and answer.timestamp > 0 else now
            ) * 1_000_000
            sent += [Sent(answer.offset + index, at) for index in range(count)]
        return sent
