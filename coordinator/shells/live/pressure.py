"""Pressure: how far the engines are behind, and what a router does about it.

Place in the flow: beside the router. While a journal's reader is far behind, nothing more is
appended: inputs wait in their topics. Once it goes on again, signals that waited too long are shed,
the oldest first and by name; nothing else ever is. It must never be asked by the engine: what is
shed is an event of the journal.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from coordinator.core.clock import MILLISECOND
from coordinator.log.kafka.options import client_options
from coordinator.settings import Settings
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.telemetry.metrics import Metrics

__all__ = ["Pressure", "applied_group"]

LOOK_EVERY_S = 1.0
ANSWER_S = 10.0
RELIEF = 0.25
"""The lag, as a part of the largest, below which the pressure is over."""


def applied_group(settings: Settings) -> str:
    """The group under which workers note what they have applied: nobody joins it."""
    return settings.group("applied")


class Pressure:
    """Watches the lag between the journals' ends and what the engines have applied.

    broker_time: by which signals are old; whoever sends tells it what is acknowledged.
    """

    def __init__(self, settings: Settings, *, metrics: Metrics, broker_time: BrokerTime) -> None:
        self._settings = settings
        self._metrics = metrics
        self._largest = settings.worker.journal_lag_max
        self._group = applied_group(settings)
        self._partitions = [
            TopicPartition(f"{settings.kafka.prefix}journal", shard)
            for shard in range(settings.worker.shards)
        ]
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._log = structlog.get_logger("router")
        self._broker_time = broker_time
        self.overloaded = False
        self.holding = True
        """Until the first look: nothing may stand in a journal before its engine's beginning."""
        self.answered_at = time.monotonic()
        """When the cluster last answered a look, seconds; at first the beginning."""
        self._held_until: int | None = None
        """What was appended before was held, whenever it comes to be routed; monotonic, ns."""
        self.unknown = "nobody has looked yet how far the engines are"
        """Why the last look did not tell the lag; empty when it did."""

    def shed_before(self) -> int | None:
        """Signals appended before this time, ns, are shed now; None before any overload.

        Nothing is as long as only this machine's clock says how old they are.

        Once it is over, only what was held by it: the lag may fall between two looks, and what
        waited is routed behind the second.
        """
        if not self._broker_time.known:
            return None
        now = self._broker_time.now()
        waited = now - self._settings.worker.shed_after_ms * MILLISECOND
        if self.overloaded:
            return waited
        if self._held_until is None:
            return None
        return min(waited, self._broker_time.at(self._held_until))

    async def watch(self) -> None:
        """Look again and again; a cluster that does not answer changes nothing."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    lag = await self._lag()
            except (KafkaError, OSError, TimeoutError) as error:
                self.unknown = f"the lag is not known: {type(error).__name__}: {error}"
                self._log.info("lag_unknown", error=f"{type(error).__name__}: {error}")
            else:
                self.answered_at = time.monotonic()
                if lag is not None:
                    self._judge(lag)
                self.unknown = "" if lag is not None else "an engine has not begun its journal"
            await asyncio.sleep(LOOK_EVERY_S)

    def _judge(self, lag: int) -> None:
        """Hold above the largest lag, and let go well below it."""
        if self.overloaded:
            self._held_until = self._broker_time.monotonic()
        if lag > self._largest:
            if not (self.holding and self.overloaded):
                self._log.warning("journals_held", lag=lag, largest=self._largest)
            self.holding = self.overloaded = True
        elif lag <= self._largest * RELIEF:
            self.holding = self.overloaded = False
        elif lag <= self._largest / 2 or not self.overloaded:
            self.holding = False

    async def _lag(self) -> int | None:
        """Records that the engine furthest behind has before it; 0 where none has noted any yet.

        None while a journal is empty: its engine says first that it begins.
        """
        consumer, admin = await self._connected()
        applied = await admin.list_consumer_group_offsets(self._group)
        ends = await consumer.end_offsets(self._partitions)
        if not all(ends.values()):
            return None
        lags = []
        for where in self._partitions:
            mark = applied.get(where)
            if mark is not None and mark.offset >= 0:
                lags.append(max(0, ends[where] - mark.offset))
        return max(lags, default=0)

    async def _connected(self) -> tuple[AIOKafkaConsumer, AIOKafkaAdminClient]:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**client_options(self._settings.kafka, "consumer"))
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        if self._admin is None:
            admin = AIOKafkaAdminClient(**client_options(self._settings.kafka, "admin"))
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._consumer, self._admin

    async def close(self) -> None:
        """Let go of the connections."""
        if self._consumer is not None:
            await self._consumer.stop()
        if self._admin is not None:
            await self._admin.close()
