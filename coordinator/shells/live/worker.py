"""The engine worker: the shards that the group gives us, each with an owner, watched as a whole.

Place in the flow: a process of its own. Faust delivers, owners decide, this looks whether they get
on: a worker that cannot join its group, or whose shard stands still while its journal grows, says
so and ends, because Faust would idle for ever. It must never decide anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError

from coordinator.bootstrap import build_engine, engine_started
from coordinator.core.deciding import Deciding
from coordinator.core.ports import Record
from coordinator.log.kafka import KafkaLog, LoopThread
from coordinator.log.kafka.options import client_options
from coordinator.settings import Settings
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.collecting import settle
from coordinator.shells.live.decider import DeciderGone
from coordinator.shells.live.delivery import FaustDelivery
from coordinator.shells.live.ending import ended
from coordinator.shells.live.layout import await_layout
from coordinator.shells.live.membership import Membership
from coordinator.shells.live.observing import Observer
from coordinator.shells.live.owner import Owner, OwnerSettings, Phase
from coordinator.shells.live.pacing import Pace
from coordinator.shells.live.pressure import applied_group
from coordinator.shells.live.standstill import Standstill
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics
from schemas.journal import EngineStarted

__all__ = ["EngineWorker", "WorkerFailed"]

LOOK_EVERY_S = 1.0
OWNERS_PART, LEFT_PART = 0.7, 0.9
"""Of the time that a graceful stop may take: when owners have ended, and when the group is left."""
EngineFactory = Callable[[int, int], Deciding]
StartedFactory = Callable[[int, int], EngineStarted]


class WorkerFailed(Exception):
    """The worker ends: what failed, and what to do."""


def _engine(shard: int, shards: int) -> Deciding:
    return build_engine(shard=shard, shards=shards)


def _started(at: int, shards: int) -> EngineStarted:
    return engine_started(at=at, shards=shards)


class EngineWorker:
    """One worker. `run` until told to stop; raises WorkerFailed when it cannot go on.

    check: raises DeciderGone where nobody decides any more, also while no shard is ours.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: Metrics,
        health: Health,
        engines: EngineFactory = _engine,
        started: StartedFactory = _started,
        settle: Callable[[], None] = settle,
        check: Callable[[], None] = lambda: None,
        unseal: bool = False,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._engines = engines
        self._started = started
        self._settle_engines = settle
        self._check = check
        worker = settings.worker
        self._owner_settings = OwnerSettings(
            queue_records_max=worker.queue_records_max,
            checkpoint_decisions=worker.checkpoint_decisions,
            checkpoint_s=worker.checkpoint_s,
            unseal=unseal,
        )
        self._io = LoopThread()
        self._pace = Pace()
        self._owners: dict[int, Owner] = {}
        self._leaving: list[Owner] = []
        self._log = structlog.get_logger("worker")
        self._committing: AIOKafkaConsumer | None = None
        self._still: dict[int, Standstill] = {}
        self._ran = self._ending = False
        self._settled: frozenset[int] = frozenset()
        self._joined: asyncio.Event | None = None
        self.sealed = False
        """Whether it ended because all its shards are sealed."""

    # -- what the delivery tells -------------------------------------------------------------------

    def assigned(self, shards: frozenset[int]) -> None:
        """Own these; the ones that are owned already go on. None any more once we end."""
        if self._ending:
            return
        for number in sorted(shards - self._owners.keys()):
            owner = self._owner(number)
            self._owners[number] = owner
            # At once: whoever asks before the next look must not be told that all is well.
            self._health.set(f"shard {number}", ok=False, reason=Phase.RECOVERING.value)
            owner.start()
        for number in sorted(self._owners.keys() - shards):
            self._release(number)
        self._metrics.shards_owned.set(len(self._owners))

    async def revoked(self, shards: frozenset[int]) -> None:
        """Finish with these, within bounds; one that takes longer is a zombie, and harmless."""
        if self._joined is not None:
            self._joined.clear()  # until the delivery has joined again
        leaving = [owner for n in sorted(shards) if (owner := self._release(n)) is not None]
        bound = self._settings.worker.session_timeout_ms / 1000 / 2
        await _joined(leaving, bound)

    def deliver(self, shard: int, records: Sequence[Record]) -> None:
        """Hand records to their owner; where there is none here, another worker reads them."""
        owner = self._owners.get(shard)
        if owner is not None:
            owner.deliver(*records)

    def _owner(self, number: int) -> Owner:
        shards, broker_time = self._settings.worker.shards, BrokerTime()
        return Owner(
            number,
            open_log=lambda: KafkaLog(self._settings.kafka, io=self._io),
            engine=lambda: self._engines(number, shards),
            started=lambda at: self._started(at, shards),
            settings=self._owner_settings,
            observer=Observer(number, self._metrics, now=broker_time.now),
            pace=self._pace,
            broker_time=broker_time,
        )

    def _release(self, number: int) -> Owner | None:
        owner = self._owners.pop(number, None)
        if owner is not None:
            owner.stop()
            self._leaving.append(owner)
            self._still.pop(number, None)
            self._metrics.forget_shard(number)
            self._health.drop(f"shard {number}")
        return owner

    # -- the process -------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Join, decide, watch; until `stop`, a seal of all shards, or a failure."""
        self._started(time.time_ns(), self._settings.worker.shards)  # hashed once, before joining
        if not await await_layout(self._settings, self._health, "group", stop):
            return
        self._health.set("group", ok=False, reason="joining")
        delivery = FaustDelivery(self._settings, self)
        self._joined = delivery.joined
        membership = Membership(self._settings, delivery.joined)
        joining = asyncio.create_task(delivery.start())
        asking = asyncio.create_task(membership.watch())
        try:
            await self._watch(delivery, joining, membership, asking, stop)
        finally:
            asking.cancel()
            await self._finish(delivery, joining)

    async def _watch(
        self,
        delivery: FaustDelivery,
        joining: asyncio.Task[Any],
        membership: Membership,
        asking: asyncio.Task[None],
        stop: asyncio.Event,
    ) -> None:
        while not stop.is_set():
            if joining.done() and joining.exception() is not None:
                raise WorkerFailed(f"the broker cannot be joined: {joining.exception()}")
            if delivery.crashed is not None:
                raise WorkerFailed(f"the delivery gave up: {delivery.crashed!r}")
            if asking.done():
                raise WorkerFailed(f"nobody asks for our membership: {asking.exception()!r}")
            self._look_at_group(membership.away_s())
            await self._look()
            self._look_at_decider()
            self._settle()
            if self._owners and all(owner.drained for owner in self._owners.values()):
                self.sealed = True
                self._log.info("all_shards_sealed")
                return
            try:
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue

    def _look_at_decider(self) -> None:
        """Raises WorkerFailed where it has ended; a shard that met it was named by `_look`."""
        try:
            self._check()
        except DeciderGone as error:
            raise WorkerFailed(str(error)) from error

    def _look_at_group(self, away_s: float) -> None:
        """Into health; out of the group for too long, also after having been in it, ends us."""
        known = self._joined is not None and self._joined.is_set()
        reason = "" if not away_s else "the broker does not know us" if known else "joining"
        self._health.set("group", ok=not away_s, reason=reason)
        if away_s > self._settings.worker.join_s:
            raise WorkerFailed(
                f"not in group {self._settings.group('engine')} for "
                f"{self._settings.worker.join_s:g} s; is the broker there, and does it allow "
                f"a session timeout of {self._settings.worker.session_timeout_ms} ms?"
            )

    async def _look(self) -> None:
        """Every shard's phase into health, its position to the group of what is applied."""
        self._leaving = [owner for owner in self._leaving if not owner.join(0)]
        ends = await self._ends()
        for number, owner in sorted(self._owners.items()):
            self._ran |= owner.phase in {Phase.RUNNING, Phase.SEALED}
            if owner.drained and self._ran:
                self._health.set(f"shard {number}", ok=False, reason="sealed")
                continue  # also one that a worker left to us when it was done
            if owner.fault is not None:
                self._health.set(f"shard {number}", ok=False, reason=owner.reason)
                raise WorkerFailed(f"shard {number} halted: {owner.reason}") from owner.fault
            running = owner.phase is Phase.RUNNING
            self._health.set(
                f"shard {number}", ok=running, reason="" if running else owner.phase.value
            )
            self._look_at_progress(owner, ends.get(number))

    def _look_at_progress(self, owner: Owner, end: int | None) -> None:
        """How far it is behind, and since when; one that stands still ends the worker."""
        number, moved_at, now = owner.number, owner.moved_at, time.monotonic()
        still = self._still.setdefault(number, Standstill(self._settings.worker.stall_s))
        if end is None:
            still.unknown()
            return
        lag = max(0, end - 1 - owner.position)
        self._metrics.lag_records.labels("journal", number).set(lag)
        lagging_s = still.lagging_s(lag, moved_at, now)
        self._metrics.lag_seconds.labels("journal", number).set(lagging_s)
        stood_s = still.standing_s(owner.phase, lag, moved_at, now)
        if stood_s:
            reason = (
                f"stands still at {owner.position} for {stood_s:.0f} s ({owner.phase.value}), "
                f"{lag} records behind"
            )
            self._health.set(f"shard {number}", ok=False, reason=reason)
            raise WorkerFailed(f"shard {number} {reason}")

    def _settle(self) -> None:
        """Once all shards are there, what they hold stays: it is not searched for garbage again."""
        running = frozenset(n for n, o in self._owners.items() if o.phase is Phase.RUNNING)
        if running != self._settled and len(running) == len(self._owners):
            self._settled = running
            settle()
            self._settle_engines()

    async def _ends(self) -> dict[int, int]:
        """Where the journals end, and a note of what is applied; nothing while nobody answers."""
        topic = f"{self._settings.kafka.prefix}journal"
        try:
            async with asyncio.timeout(5):
                consumer = await self._noting()
            ours = [TopicPartition(topic, number) for number in sorted(self._owners)]
            if not ours:
                return {}
            if consumer.assignment() != set(ours):
                consumer.assign(ours)
            applied = {
                TopicPartition(topic, number): OffsetAndMetadata(owner.position + 1, "")
                for number, owner in self._owners.items()
                if owner.position >= 0
            }
            async with asyncio.timeout(5):
                if applied:
                    await consumer.commit(applied)
                ends = await consumer.end_offsets(ours)
        except (KafkaError, OSError, TimeoutError) as error:
            self._health.set("broker", ok=False, reason=f"{type(error).__name__}: {error}")
            return {}
        self._health.set("broker", ok=True)
        return {tp.partition: end for tp, end in ends.items()}

    async def _noting(self) -> AIOKafkaConsumer:
        """The client that asks and notes, connected when it is first needed."""
        if self._committing is None:
            options = client_options(
                self._settings.kafka,
                "consumer",
                group_id=applied_group(self._settings),
                enable_auto_commit=False,
            )
            consumer = AIOKafkaConsumer(**options)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._committing = consumer
        return self._committing

    async def _finish(self, delivery: FaustDelivery, joining: asyncio.Task[Any]) -> None:
        """Owners first, so that what they said is published; then leave the group."""
        self._ending = True
        bound = self._settings.worker.stop_s
        until = time.monotonic() + bound * LEFT_PART
        for number in sorted(self._owners):
            self._release(number)
        late = await _joined(self._leaving, bound * OWNERS_PART)
        for owner in late:
            self._log.warning("shard_left_unfinished", shard=owner.number, phase=owner.phase.value)
        await ended(joining, 0.0)
        await ended(delivery.stop(), until - time.monotonic())
        if self._committing is not None:
            await ended(self._committing.stop(), bound * (1 - LEFT_PART))
        self._io.close()


async def _joined(owners: list[Owner], bound_s: float) -> list[Owner]:
    """Wait for owners' ends without standing still; the ones that did not come to it."""
    until = time.monotonic() + bound_s
    left = list(owners)
    while left and time.monotonic() < until:
        left = [owner for owner in left if not owner.join(0)]
        if left:
            await asyncio.sleep(0.02)
    return left
