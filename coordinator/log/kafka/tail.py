"""One partition read from any position on, with its connection kept between reads.

Place in the flow: beneath `KafkaLog.read`. No consumer group: positions are the reader's own. It
must never skip to another position than it was told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaTimeoutError

from coordinator.log.kafka.headers import Headers

__all__ = ["Found", "Tail"]


class Found(NamedTuple):
    """One record as the broker has it. time_ms: the broker's own."""

    offset: int
    time_ms: int
    key: bytes | None
    value: bytes
    headers: Headers


FETCH_BYTES = 3 << 20
WAIT_MS = 1_000
STALL_S = 40.0


class Tail:
    """Reads one partition. Lives in one event loop; connects when first used."""

    def __init__(self, options: Mapping[str, Any], where: TopicPartition) -> None:
        self._options = dict(options)
        self._where = where
        self._consumer: AIOKafkaConsumer | None = None
        self.position = -1
        self.broken = False
        self._closed = False

    async def go_to(self, position: int) -> None:
        """Read from there next; nothing is done when it stands there already.

        Raises KafkaError, ConsumerStoppedError when it was closed, meanwhile or before.
        """
        self._refuse_if_closed()
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **{
                    "auto_offset_reset": "none",
                    "enable_auto_commit": False,
                    "isolation_level": "read_committed",
                    "max_partition_fetch_bytes": FETCH_BYTES,
                    **self._options,
                }
            )
            try:
                await consumer.start()
                self._refuse_if_closed()
            except BaseException:
                self.broken = True
                await consumer.stop()
                raise
            consumer.assign([self._where])
            self._consumer = consumer
        if self.position != position:
            self._consumer.seek(self._where, position)
            self.position = position

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ConsumerStoppedError

    async def page(self, records_max: int) -> tuple[list[Found], int]:
        """Some records in order, at least one position further, and where it stands then.

        Raises KafkaError, KafkaTimeoutError when the broker gives nothing for long.
        """
        if self._consumer is None:
            message = "go_to comes first"
            raise RuntimeError(message)
        before, until = self.position, time.monotonic() + STALL_S
        self.broken = True  # until it has gone well
        self._consumer.resume(self._where)
        while True:
            found = await self._consumer.getmany(
                self._where, timeout_ms=WAIT_MS, max_records=records_max
            )
            if found:  # no fetch waits for more while nobody reads: one would hold up a next seek
                self._consumer.pause(self._where)
            records = found.get(self._where, [])
            self.position = await self._consumer.position(self._where)
            if self.position > before:
                break
            if time.monotonic() > until:
                message = f"{self._where.topic}/{self._where.partition} gives nothing at {before}"
                raise KafkaTimeoutError(message)
        self.broken = False
        return [
            Found(
                record.offset, record.timestamp, record.key, record.value or b"",
                list(record.headers or ()),
            )
            for record in records
        ], self.position  # fmt: skip

    async def close(self) -> None:
        """Let go of the connection; one that is being made is let go of once it is."""
        self._closed = True
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
