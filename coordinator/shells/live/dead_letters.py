"""Dead letters: how many stand in each topic, for whoever watches.

Place in the flow: beside the router, on a connection of its own: two questions every ten seconds.
It must never hold the router up, nor end it: while nobody answers, the last count stands.
"""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from coordinator.log.kafka.options import client_options
from coordinator.settings import KafkaSettings
from coordinator.telemetry.metrics import Metrics
from schemas.registry import INPUT_TOPICS

__all__ = ["DeadLetters"]

LOOK_EVERY_S = 10.0
ANSWER_S = 10.0


class DeadLetters:
    """Counts again and again: `watch` in a task, `close` at the end."""

    def __init__(self, settings: KafkaSettings, *, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._topics = {
            TopicPartition(f"{settings.prefix}{topic}.dlq", 0): f"{topic}.dlq"
            for topic in INPUT_TOPICS
        }
        self._consumer: AIOKafkaConsumer | None = None
        self._log = structlog.get_logger("router")

    async def watch(self) -> None:
        """Look until cancelled; a cluster that does not answer changes nothing."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._look()
            except (KafkaError, OSError, TimeoutError) as error:
                self._log.info("dead_letters_unknown", error=f"{type(error).__name__}: {error}")
            except Exception:  # noqa: BLE001 - a count is not worth a router
                self._log.exception("dead_letters_uncounted")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        consumer = await self._connected()
        begins = await consumer.beginning_offsets(list(self._topics))
        ends = await consumer.end_offsets(list(self._topics))
        for where, topic in self._topics.items():
            self._metrics.dlq_depth.labels(topic).set(max(0, ends[where] - begins[where]))

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**client_options(self._settings, "consumer"))
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            await self._consumer.stop()
