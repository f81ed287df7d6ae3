"""The live router: input topics into journals, at least once, in order, without a hole.

Place in the flow: the edge, a consumer group of its own in a process of its own. A fetch is sent in
order to all shards, the acknowledgements are gathered, then its offsets are committed. After a
failed send it sends nothing more: everything is closed and begun again from what was committed. It
must never lead: any number of them may append, the journal's order is the order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from coordinator.core.clock import MILLISECOND, SECOND
from coordinator.log.kafka.layout import TopicsMissing, partitions_of
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.sending import Partition, Sender, SendFailed
from coordinator.log.kafka.topic_ids import topic_ids
from coordinator.settings import Settings
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.dead_letters import DeadLetters
from coordinator.shells.live.ending import ended
from coordinator.shells.live.layout import LOG_TOPICS, refuse_other_shards
from coordinator.shells.live.pressure import Pressure
from coordinator.shells.live.routing import Routing
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics
from schemas.registry import INPUT_TOPICS

__all__ = ["LiveRouter"]

FETCH_BYTES = 3 << 20
POLL_MS = 200
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
COMMIT_EVERY_S = 0.2
HOLD_S = 0.1
GATHER_S = 0.015
"""A fetch costs the same for one message as for many: what comes so close goes together. At
500 signals/s the router took 0.16 of a core with a third of it, 0.12 with this."""
MORE_MS = 5
"""For so long what gathered is waited for: it is fetched once what was fetched ahead is taken."""
IDS_EVERY_S = 30.0
CLOSE_S = 5.0
ANSWER_OLD_S = 5.0
"""So long without any answer, and the router is not ready: the broker is away."""


class TopicMadeAnew(Exception):
    """An input topic is not the one it was: offsets start afresh."""


class WatcherEnded(Exception):
    """What holds the router and lets it go again looks no more: everything is begun again."""


AGAIN = (
    KafkaError, SendFailed, OSError, TopicMadeAnew, TopicsMissing, TimeoutError, WatcherEnded,
)  # fmt: skip
"""What ends a session and not the router."""


class LiveRouter:
    """One router. `run` until told to stop; whatever the cluster does, it begins again.

    Raises WrongShards where the journal has another number of partitions than there are shards.
    """

    def __init__(self, settings: Settings, *, metrics: Metrics, health: Health) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._prefix = settings.kafka.prefix
        self._group = settings.group("router")
        self._routing = Routing(shards=settings.worker.shards, prefix=self._prefix)
        self._log = structlog.get_logger("router")
        self._broker_time = BrokerTime()

    async def run(self, stop: asyncio.Event) -> None:
        """Route until `stop` is set; what was fetched then is finished first."""
        failures = 0
        waits = ""
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self._session(stop)
            except AGAIN as error:
                failures = 0 if time.monotonic() - began > BACKOFF_S[-1] * 2 else failures + 1
                missing = isinstance(error, TopicsMissing)
                reason = str(error) if missing else f"{type(error).__name__}: {error}"
                self._health.set("router", ok=False, reason=reason)
                if not missing:
                    self._log.warning("router_restarts", error=reason)
                elif reason != waits:
                    self._log.warning("router_waits", reason=reason)
                waits = reason if missing else ""
                await _pause(stop, BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _session(self, stop: asyncio.Event) -> None:
        """From joining the group to the first failure, or the stop."""
        admin = AIOKafkaAdminClient(**client_options(self._settings.kafka, "admin"))
        consumer = AIOKafkaConsumer(
            **client_options(
                self._settings.kafka,
                "consumer",
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                max_partition_fetch_bytes=FETCH_BYTES,
                session_timeout_ms=self._settings.worker.session_timeout_ms,
                heartbeat_interval_ms=self._settings.worker.heartbeat_ms,
                rebalance_timeout_ms=self._settings.worker.session_timeout_ms,
            )
        )
        sender = Sender(client_options(self._settings.kafka, "producer"))
        pressure = Pressure(self._settings, metrics=self._metrics, broker_time=self._broker_time)
        letters = DeadLetters(self._settings.kafka, metrics=self._metrics)
        watching: list[asyncio.Task[None]] = []
        try:
            await admin.start()
            names = [*INPUT_TOPICS, *LOG_TOPICS]
            refuse_other_shards(
                self._settings, await partitions_of(admin, self._settings.kafka, names)
            )
            ids = await self._ids(admin)
            assignment = _Assignment(consumer, admin, self._group, ids)
            consumer.subscribe(
                [self._prefix + topic for topic in INPUT_TOPICS],
                listener=assignment,
            )
            await consumer.start()
            watching = [asyncio.create_task(one.watch()) for one in (pressure, letters)]
            await self._route(assignment, sender, admin, pressure, ids, watching, stop)
        finally:
            for task in watching:
                await ended(task, 0.0)
            closings = (sender.close, pressure.close, letters.close, consumer.stop, admin.close)
            await asyncio.gather(*(ended(closing(), CLOSE_S) for closing in closings))

    async def _ids(self, admin: AIOKafkaAdminClient) -> dict[str, str]:
        """The id of every input topic, by its name in the cluster."""
        names = [self._prefix + topic for topic in INPUT_TOPICS]
        return await topic_ids(admin._client, names)  # noqa: SLF001 - the one connection that is there

    async def _route(
        self,
        assignment: _Assignment,
        sender: Sender,
        admin: AIOKafkaAdminClient,
        pressure: Pressure,
        ids: Mapping[str, str],
        watching: Sequence[asyncio.Task[None]],
        stop: asyncio.Event,
    ) -> None:
        consumer = assignment.consumer
        done: dict[TopicPartition, int] = {}
        committed_at = asked_at = time.monotonic()
        while not stop.is_set():
            _refuse_ended(watching)
            self._tell(ours=bool(consumer.assignment()), pressure=pressure)
            if pressure.holding:
                await _pause(stop, HOLD_S)
                continue
            found = await self._fetched(consumer)
            assignment.refuse_failed()
            now = time.monotonic()
            if now - asked_at > IDS_EVERY_S:
                asked_at = now
                if await self._ids(admin) != ids:
                    raise TopicMadeAnew("an input topic was deleted and made again")
            if found:
                await self._pass_on(found, sender, pressure, ids)
                done |= {tp: run[-1].offset + 1 for tp, run in found.items()}
                if sum(map(len, found.values())) < self._settings.worker.fetch_records_max:
                    await asyncio.sleep(GATHER_S)
            if done and now - committed_at >= COMMIT_EVERY_S:
                await self._commit(consumer, done, ids)
                done, committed_at = {}, now
        if done:
            await self._commit(consumer, done, ids)

    async def _fetched(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Any]]:
        """What is there, with what gathered behind it: the consumer has fetched the first ahead."""
        most = self._settings.worker.fetch_records_max
        found: dict[TopicPartition, list[Any]] = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=most
        )
        count = sum(map(len, found.values()))
        if 0 < count < most:
            try:
                more = await consumer.getmany(timeout_ms=MORE_MS, max_records=most - count)
            except KafkaError:  # of another partition: the next fetch meets it again
                return found
            for where, run in more.items():
                before = found.get(where, [])
                # Assigned anew meanwhile, it begins at what was committed: all of it comes again.
                goes_on = not before or before[-1].offset < run[0].offset
                found[where] = [*before, *run] if goes_on else run
        return found

    def _tell(self, *, ours: bool, pressure: Pressure) -> None:
        """Into health: held is ready while we know why; who holds blindly is not.

        Ready lapses: a send or a commit that nobody answers keeps us from saying so.
        """
        silent_s = time.monotonic() - pressure.answered_at
        if silent_s > ANSWER_OLD_S:
            reason = f"the broker has not answered for {silent_s:.0f} s"
            self._health.set("router", ok=False, reason=reason)
        elif not ours:
            self._health.set("router", ok=False, reason="no partition is ours")
        elif not pressure.holding:
            self._health.set("router", ok=True, lapses_s=ANSWER_OLD_S)
        elif pressure.unknown:
            self._health.set("router", ok=False, reason=f"nothing is routed: {pressure.unknown}")
        else:
            reason = "held: an engine is far behind"
            self._health.set("router", ok=True, reason=reason, lapses_s=ANSWER_OLD_S)

    async def _pass_on(
        self,
        found: Mapping[TopicPartition, Sequence[Any]],
        sender: Sender,
        pressure: Pressure,
        ids: Mapping[str, str],
    ) -> None:
        cut = len(self._prefix)
        messages: dict[Partition, Sequence[Any]] = {
            (tp.topic[cut:], tp.partition): run for tp, run in found.items()
        }
        fetched = self._routing.route(
            messages,
            topic_id=lambda topic: ids[self._prefix + topic],
            shed_before=pressure.shed_before(),
        )
        began = self._broker_time.monotonic()
        journal = f"{self._prefix}journal"
        for (topic, _), sent in (await sender.send(fetched.outgoing)).items():
            if topic == journal:
                self._broker_time.told(appended_at=sent[-1].at, sent=began)
        oldest = min(run[0].timestamp for run in found.values()) * MILLISECOND
        metrics = self._metrics
        age = max(0, self._broker_time.now() - oldest)
        metrics.stage_seconds.labels("route").observe(age / SECOND)
        metrics.records.labels("routed").inc(fetched.routed)
        metrics.records.labels("conflated").inc(fetched.conflated)
        for topic, count in fetched.dead.items():
            metrics.dead_letters.labels(topic).inc(count)
        for source, count in fetched.shed.items():
            metrics.shed.labels(source).inc(count)
            self._log.warning("signals_shed", source=source, count=count)

    async def _commit(
        self, consumer: AIOKafkaConsumer, done: Mapping[TopicPartition, int], ids: Mapping[str, str]
    ) -> None:
        """Commit what is acknowledged and still ours, with the id of the topic it belongs to."""
        ours = consumer.assignment()
        offsets = {
            tp: OffsetAndMetadata(offset, ids[tp.topic])
            for tp, offset in done.items()
            if tp in ours
        }
        if offsets:
            try:
                await consumer.commit(offsets)
            except KafkaError as error:
                # Repeats are passed over by the engines: nothing is lost by going on.
                self._log.info("commit_failed", error=f"{type(error).__name__}: {error}")


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka publishes no types
    """Where to begin in a partition: the committed offset, if it is of this very topic."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        admin: AIOKafkaAdminClient,
        group: str,
        ids: Mapping[str, str],
    ) -> None:
        self.consumer = consumer
        self._admin = admin
        self._group = group
        self._ids = ids
        self._failure: Exception | None = None

    def refuse_failed(self) -> None:
        """Raise what went wrong in here: aiokafka only logs it, and reads on from anywhere."""
        if self._failure is not None:
            raise self._failure

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Nothing to do: what was sent and not committed is passed over when it comes again."""

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Seek every partition."""
        try:
            await self._seek(assigned)
        except Exception as error:
            self._failure = error
            raise

    async def _seek(self, assigned: list[TopicPartition]) -> None:
        if not assigned:
            return
        committed = await self._admin.list_consumer_group_offsets(self._group)
        begin = await self.consumer.beginning_offsets(assigned)
        end = await self.consumer.end_offsets(assigned)
        for where in assigned:
            mark = committed.get(where)
            known = (
                mark is not None
                and mark.metadata == self._ids[where.topic]
                and begin[where] <= mark.offset <= end[where]
            )
            self.consumer.seek(where, mark.offset if known else begin[where])


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _refuse_ended(watching: Sequence[asyncio.Task[None]]) -> None:
    """Raise what ended a watcher: its last word would stand for ever."""
    for task in watching:
        if task.done():
            error = task.exception()
            raise WatcherEnded(f"a watcher ended: {error!r}") from error
