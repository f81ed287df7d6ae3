"""Windowed views of portfolios and sources: a Faust app of its own, two tables, their changelogs.

Place in the flow: reads the decisions topic, serves JSON. Faust delivers, assigns and restores the
tables; how far a shard was followed stands in the tables themselves, behind every row that it
covers and only once those are acknowledged. What was lost, repeated or committed too early is read
again from the log. It must never feed anything back to the engine.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from dataclasses import asdict
from itertools import islice
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.tables.table import Table

from coordinator.core.chain import ChainBroken
from coordinator.core.clock import MILLISECOND
from coordinator.core.ports import Record
from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka import KafkaLog
from coordinator.log.kafka.chunks import CHUNK
from coordinator.settings import Settings
from coordinator.shells.live.delivery import faust_app
from coordinator.shells.live.ending import ended
from coordinator.shells.live.layout import await_layout
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics
from projections.panes import PaneTables
from projections.tables import Follower, Place, Row, ViewTables

__all__ = ["PortfolioViews", "ViewsFailed"]

LOOK_EVERY_S = 0.5
PAGE_RECORDS = 1_000
SETTLE_S_MAX = 60.0
LEFT_PART = 0.8
"""Of the time that a graceful stop may take: when the group is left."""
REFUSED = (KafkaError, ProducerSendError, TimeoutError, OSError)
"""How a row's send fails, by whoever notices."""
LATEST, WINDOWS = "views.latest", "views.windows"


class ViewsFailed(Exception):
    """The part ends: what failed. Started again, it goes on from what the tables hold."""


class _ShardTable(Table[str, Row]):
    """A table whose rows go to the changelog partition of the shard that they were made from."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.shard = 0
        self.unsettled: list[Future[Any]] = []

    def partition_for_key(self, key: Any) -> int:
        """That of the shard being applied: also outside Faust's stream, when a gap is healed."""
        del key
        return self.shard

    def send_changelog(self, *args: Any, **more: Any) -> Any:
        """Keep the send, so that somebody waits for it: Faust itself only logs what failed."""
        sent = super().send_changelog(*args, **more)
        self.unsettled.append(sent)
        return sent

    def keep(self, shards: set[int]) -> None:
        """Drop the rows of shards that are somebody else's now; their changelog keeps them."""
        rows = self.data.data
        for key in [key for key, row in rows.items() if row["as_of"][0] not in shards]:
            del rows[key]


class PortfolioViews:
    """The part. `run` until told to stop; raises ViewsFailed, ChainBroken when it cannot go on."""

    def __init__(self, settings: Settings, *, metrics: Metrics, health: Health) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._log = structlog.get_logger("views")
        self._reader = KafkaLog(settings.kafka)
        self.app = faust_app(settings, "views")
        self._latest, self._windows = self._table(LATEST), self._table(WINDOWS)
        worker = settings.worker
        sizes, kept = worker.view_windows_s, worker.view_windows_kept
        self.tables = ViewTables(self._latest, self._windows, sizes=sizes, kept=kept)
        self.panes = PaneTables(self._latest, self._windows, sizes=sizes, kept=kept)
        self.shards: dict[int, Follower] = {}
        self._settled: dict[int, Place] = {}
        self._turn = asyncio.Lock()
        self._joined = False
        self._fault: BaseException | None = None
        self._declare()

    def _table(self, name: str) -> _ShardTable:
        prefix = self._settings.kafka.prefix
        shards = self._settings.worker.shards
        changelog = self.app.topic(
            prefix + name, key_type=str, partitions=shards, compacting=True, acks=False,
            internal=True, allow_empty=True, key_serializer="json", value_serializer="json",
            maxsize=131_072,
        )  # fmt: skip
        table = _ShardTable(self.app, name=name, partitions=shards, changelog_topic=changelog)
        self.app.tables.add(table)
        return table

    def _declare(self) -> None:
        self._topic = f"{self._settings.kafka.prefix}decisions"
        topic = self.app.topic(
            self._topic, key_serializer="raw", value_serializer="raw", key_type=bytes,
            value_type=bytes, partitions=self._settings.worker.shards,
        )  # fmt: skip

        async def views(stream: Any) -> None:
            async for event in stream.events():
                await self._deliver(event.message)

        self.app.agent(topic, name="views", concurrency=1)(views)
        self.app.on_partitions_revoked.connect(self._on_revoked, weak=False)  # type: ignore[arg-type] # Faust's own handlers look so
        self._windows.on_recover(self._on_recovered)

    # -- what Faust tells --------------------------------------------------------------------------

    async def _on_revoked(self, _app: Any, _revoked: Any, **_more: Any) -> None:
        """Nothing is applied until the tables are restored: that sets rows back, ours too.

        What is being applied ends at its next record; the shards are given away only after that.
        """
        self.shards = {}
        async with self._turn:
            self._log.info("views_revoked")

    async def _on_recovered(self) -> None:
        """The tables are as their changelogs: go on where both of them had got to."""
        async with self._turn:
            ours = {
                where.partition for where in self.app.consumer.assignment()
                if where.topic == self._topic
            }  # fmt: skip
            for table in (self._latest, self._windows):
                table.keep(ours)
            self.shards = {n: Follower(self._place(n)) for n in sorted(ours)}
            self._settled = {number: one.place for number, one in self.shards.items()}
            self._joined = True
            count = sum("view" in row for row in self._latest.values())
            self._log.info("views_recovered", shards=sorted(ours), portfolios=count)

    def _place(self, shard: int) -> Place:
        """Where the table that is further behind stood."""
        found = [table.get(_mark(shard)) for table in (self._latest, self._windows)]
        places = [Place(**row["place"]) for row in found if row is not None]
        return min(places, key=lambda one: one.seq) if len(places) == len(found) else Place()

    async def _deliver(self, message: Any) -> None:
        """A record of the decisions topic; whatever is wrong with it ends the part, loudly."""
        if message.partition not in self.shards or self._fault is not None:
            return
        if any(name == CHUNK for name, _ in _headers(message)):
            return  # a part of a record: the whole is read from the log
        try:
            async with self._turn:
                record = _record(message)
                follower = self.shards.get(record.shard)  # while we waited it may have gone
                if follower is None:
                    return
                if follower.missing(record):
                    await self._read_on(record.shard, follower, record.position)
                if self._follows(record.shard, follower):
                    self._apply(follower, record)
        except Exception as error:  # noqa: BLE001 - Faust would acknowledge the event and go on
            self._fault = error

    # -- following ---------------------------------------------------------------------------------

    def _follows(self, shard: int, follower: Follower) -> bool:
        """Whether the shard is still ours, by this follower; if not, another writes its rows."""
        return self.shards.get(shard) is follower

    def _apply(self, follower: Follower, record: Record) -> None:
        head = follower.take(record)
        if head is not None:
            self._latest.shard = self._windows.shard = record.shard
            self.tables.apply(record, head)
            self.panes.apply(record, head)
            self._metrics.records.labels("viewed").inc()

    async def _read_on(self, shard: int, follower: Follower, stop: int | None = None) -> None:
        """Apply what the log holds beyond what was followed, up to `stop` or its present end."""
        start = follower.place.position + 1
        begin = await asyncio.to_thread(self._reader.begin, "decisions", shard)
        if begin > start:
            self._log.warning("views_begin_late", shard=shard, position=begin, expected=start)
        while True:
            page = await asyncio.to_thread(self._page, shard, max(start, begin), stop)
            for record in page:
                if not self._follows(shard, follower):
                    return
                if begin > start:
                    follower.jump(record)
                    start = begin
                self._apply(follower, record)
            if len(page) < PAGE_RECORDS or not self._follows(shard, follower):
                return
            start = begin = page[-1].position + 1

    def _page(self, shard: int, start: int, stop: int | None) -> list[Record]:
        return list(islice(self._reader.read("decisions", shard, start, stop), PAGE_RECORDS))

    async def _look(self) -> None:
        """Read what no delivery brought, and write down how far we are."""
        ends = await asyncio.to_thread(self._reader.ends)
        async with self._turn:
            for shard, follower in list(self.shards.items()):
                end = ends.get(("decisions", shard), 0)
                if end - 1 > follower.place.position:
                    await self._read_on(shard, follower)
                if not self._follows(shard, follower):
                    continue
                lag = max(0, end - 1 - follower.place.position)
                self._metrics.lag_records.labels("views", shard).set(lag)
            await self._settle()

    async def _settle(self) -> None:
        """Once every row is acknowledged, the marks that cover them follow."""
        moved = [
            (shard, follower, follower.place) for shard, follower in self.shards.items()
            if self._settled.get(shard) != follower.place
        ]  # fmt: skip
        await self._acknowledged()
        for shard, follower, place in moved:
            if not self._follows(shard, follower):
                continue
            for table in (self._latest, self._windows):
                table.shard = shard
                table[_mark(shard)] = {"as_of": [shard, place.seq], "place": asdict(place)}
            self._settled[shard] = place
        await self._acknowledged()

    async def _acknowledged(self) -> None:
        """Wait until all that was sent is there. Raises ViewsFailed when something was refused."""
        sent = [*self._latest.unsettled, *self._windows.unsettled]
        self._latest.unsettled, self._windows.unsettled = [], []
        if sent:
            try:
                async with asyncio.timeout(SETTLE_S_MAX):
                    await asyncio.gather(*sent)
            except REFUSED as error:
                raise ViewsFailed(
                    f"rows were not taken: {type(error).__name__}: {error}"
                ) from error

    # -- the process -------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Join, follow, until `stop` or a failure. Raises WrongShards before it joins."""
        if not await await_layout(self._settings, self._health, "views", stop):
            return
        self._health.set("views", ok=False, reason="joining")
        joining = asyncio.create_task(self.app.start())
        began = time.monotonic()
        try:
            while not stop.is_set():
                self._refuse_failure(joining, began)
                if self._joined:
                    await self._look_patiently()
                try:
                    await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
                except TimeoutError:
                    continue
        finally:
            await ended(joining, 0.0)
            await ended(self.app.stop(), self._settings.worker.stop_s * LEFT_PART)
            await asyncio.to_thread(self._reader.close)

    async def _look_patiently(self) -> None:
        """A broker that is away is waited for; rows that it did not take end the part."""
        try:
            await self._look()
        except LogUnavailable as error:
            self._health.set("views", ok=False, reason=str(error))
        except REFUSED as error:
            raise ViewsFailed(f"rows were not taken: {type(error).__name__}: {error}") from error
        else:
            self._health.set("views", ok=True)

    def _refuse_failure(self, joining: asyncio.Task[Any], began: float) -> None:
        if self._fault is not None:
            if isinstance(self._fault, ChainBroken | ViewsFailed):
                raise self._fault
            reason = f"{type(self._fault).__name__}: {self._fault}"
            raise ViewsFailed(f"a delivery was not applied: {reason}") from self._fault
        if joining.done() and joining.exception() is not None:
            raise ViewsFailed(f"the broker cannot be joined: {joining.exception()}")
        if self.app.crash_reason is not None:
            raise ViewsFailed(f"the delivery gave up: {self.app.crash_reason!r}")
        if not self._joined and time.monotonic() - began > self._settings.worker.join_s:
            raise ViewsFailed(f"not in its group after {self._settings.worker.join_s:g} s")


def _mark(shard: int) -> str:
    """The key under which a table says how far it is; no portfolio is called so."""
    return f"\t{shard}"


def _record(message: Any) -> Record:
    """Faust tells the broker's time in seconds; topics know milliseconds."""
    time_ns = round(message.timestamp * 1000) * MILLISECOND
    return Record("decisions", message.partition, message.offset, time_ns, message.value or b"")


def _headers(message: Any) -> list[tuple[str, bytes]]:
    headers = message.headers or ()
    return list(headers.items()) if isinstance(headers, dict) else list(headers)
