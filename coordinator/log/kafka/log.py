"""The event log on Kafka: one port topic is one Kafka topic, a shard a partition.

Place in the flow: behind `core.ports.Log` for the live shell, replay, projections and the archive.
Synchronous on the outside, for any number of threads; one event loop inside. It must never append
after a failed append: whoever owns it closes it and begins again from what the topics hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from coordinator.core.ports import Append, Record
from coordinator.log.closing import Closing
from coordinator.log.errors import LogClosed, LogUnavailable, LogUnreadable
from coordinator.log.integrity import check_append
from coordinator.log.kafka.chunks import split
from coordinator.log.kafka.headers import key_of, output_headers
from coordinator.log.kafka.letters import Letter
from coordinator.log.kafka.loop import LoopThread
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.sending import Outgoing, Partition, Sender, SendFailed, Sent
from coordinator.log.kafka.tail import Found, Tail
from coordinator.log.kafka.topics import ENTRY_BYTES_MAX, LOG_TOPICS
from coordinator.log.kafka.whole import BeginningMissing, whole
from coordinator.settings import KafkaSettings

__all__ = ["KafkaLog"]

Result = TypeVar("Result")
CHUNK_BYTES = ENTRY_BYTES_MAX - (1 << 16)
PAGE_RECORDS_MAX = 2_000
TAILS_MAX = 24
TIMEOUT_S = 60.0
CLOSE_S = 10.0
CONNECTING_S = 2.0
CHUNKED = ("decisions", "checkpoints")
"""Port topics whose records may be larger than a broker takes."""
DEAD = ".dlq"
"""How topics of dead letters end."""


class KafkaLog(Closing):
    """A Log on the topics of one cluster. Connects when first used.

    io: the event loop to work in; absent: one of its own. Raises LogUnavailable while the cluster
    does not answer.
    """

    broker_times = True
    """Every record, outputs too, carries the time at which the broker took it."""

    def __init__(self, settings: KafkaSettings, *, io: LoopThread | None = None) -> None:
        self._settings = settings
        self._prefix = settings.prefix
        self._where = f"kafka://{settings.bootstrap}/{settings.prefix}"
        self._own_io = io is None
        self._io = LoopThread() if io is None else io
        self._mutex = threading.Lock()
        self._tails: OrderedDict[Partition, list[Tail]] = OrderedDict()
        self._open: set[Tail] = set()
        self._connecting = asyncio.Lock()
        self._sender: Sender | None = None
        self._asking: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._closed = False

    # -- reading ---------------------------------------------------------------------------------

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """Records from the first position >= start up to `stop`, as far as there are any now.

        Raises LogUnreadable when journal records or decisions before the topic's beginning are
        asked for (they are in the archive), LogUnavailable, LogClosed.
        """
        begin, end = self._bounds(topic, shard)
        first = max(start, 0)
        if first < begin and topic in LOG_TOPICS[:2]:
            what = f"{topic}/{shard} begins at position {begin}; what lies before was archived"
            raise LogUnreadable(self._where, what)
        last = end if stop is None else min(stop, end)
        if first >= last:
            return iter(())
        return self._stream(topic, shard, max(first, begin), last, begin)

    def end(self, topic: str, shard: int) -> int:
        """One past the last position; 0 when empty."""
        return self._bounds(topic, shard)[1]

    def begin(self, topic: str, shard: int) -> int:
        """The first position that is still there."""
        return self._bounds(topic, shard)[0]

    def partitions(self) -> tuple[tuple[str, int], ...]:
        """Sorted (topic, shard) pairs of our topics that hold, or held, records."""
        return tuple(sorted(key for key, end in self.ends().items() if end > 0))

    def ends(self) -> dict[tuple[str, int], int]:
        """One past the last position of every partition of our topics, in one question."""
        found = self._ask(self._all_ends())
        cut = len(self._prefix)
        return {(tp.topic[cut:], tp.partition): end for tp, end in found.items()}

    def _bounds(self, topic: str, shard: int) -> tuple[int, int]:
        return self._ask(self._find_bounds(TopicPartition(self._prefix + topic, shard)))

    def _stream(
        self, topic: str, shard: int, first: int, last: int, begin: int
    ) -> Iterator[Record]:
        """Whole records. A dead letter looks as in every other log; its headers are its own."""
        there = self._found(topic, shard, first, last)
        records: Iterable[tuple[Found, bytes]]
        if topic.endswith(DEAD):
            records = ((found, Letter(topic, found).encoded()) for found in there)
        else:
            records = whole(there, lambda a, b: self._found(topic, shard, a, b), begin)
        try:
            for found, payload in records:
                yield Record(topic, shard, found.offset, found.time_ms * 1_000_000, payload)
        except BeginningMissing as error:
            what = f"record {topic}/{shard} position {error.position} lacks a part before it"
            good = (topic, shard, error.position - 1)
            raise LogUnreadable(self._where, what, last_good=good) from error

    def letters(self, topic: str, start: int = 0, stop: int | None = None) -> Iterator[Letter]:
        """The dead letters of a topic such as "signals.dlq", with everything that came beside them.

        Raises as `read`.
        """
        begin, end = self._bounds(topic, 0)
        first, last = max(start, begin), end if stop is None else min(stop, end)
        for found in self._found(topic, 0, first, last) if first < last else ():
            yield Letter(topic, found)

    def _found(self, topic: str, shard: int, first: int, last: int) -> Iterator[Found]:
        """Page after page; the connection is kept for whoever reads on from there."""
        key = (topic, shard)
        tail = self._taken(key, first)
        try:
            at = first
            while at < last:
                page, at = self._ask(tail.page(PAGE_RECORDS_MAX))
                for found in page:
                    if found.offset >= last:
                        at = last
                        break
                    yield found
        finally:
            self._kept(key, tail)

    def _taken(self, key: Partition, first: int) -> Tail:
        """A tail of that partition, one that stands at `first` where there is one."""
        with self._mutex:
            free = self._tails.get(key, [])
            index = next((i for i, tail in enumerate(free) if tail.position == first), -1)
            tail = free.pop(index) if free else None
        if tail is None:
            options = client_options(self._settings, "consumer")
            tail = Tail(options, TopicPartition(self._prefix + key[0], key[1]))
            with self._mutex:
                self._refuse_if_closed()
                self._open.add(tail)
        try:
            self._ask(tail.go_to(first))
        except BaseException:
            self._let_go(tail)
            raise
        return tail

    def _let_go(self, tail: Tail) -> None:
        """Close it; once the log is closed, that was done with all of them."""
        with self._mutex:
            if self._closed:
                return
            self._open.discard(tail)
        self._io.submit(tail.close())

    def _kept(self, key: Partition, tail: Tail) -> None:
        """Keep it for the next read; the ones used longest ago go when there are too many."""
        surplus: list[Tail] = []
        with self._mutex:
            if self._closed or tail.broken:
                surplus.append(tail)
            else:
                self._tails.setdefault(key, []).append(tail)
                self._tails.move_to_end(key)
            while sum(map(len, self._tails.values())) > TAILS_MAX:
                _, oldest = self._tails.popitem(last=False)
                surplus += oldest
        for one in surplus:
            self._let_go(one)

    async def _consumer(self) -> AIOKafkaConsumer:
        async with self._connecting:  # for whoever asks at the same time, too
            self._refuse_if_closed()
            if self._asking is None:
                options = client_options(self._settings, "consumer")
                asking = AIOKafkaConsumer(**options)
                try:
                    await asking.start()
                    self._refuse_if_closed()
                except BaseException:
                    await asking.stop()
                    raise
                self._asking = asking
            return self._asking

    async def _find_bounds(self, where: TopicPartition) -> tuple[int, int]:
        consumer = await self._consumer()
        if where.partition not in (consumer.partitions_for_topic(where.topic) or set()):
            known = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - aiokafka asks only for subscribed topics itself
            if where.partition not in (known.partitions_for_topic(where.topic) or set()):
                return 0, 0
        begin = await consumer.beginning_offsets([where])
        end = await consumer.end_offsets([where])
        return begin[where], end[where]

    async def _all_ends(self) -> dict[TopicPartition, int]:
        consumer = await self._consumer()
        names = [name for name in await consumer.topics() if name.startswith(self._prefix)]
        cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - as above
        ours = [
            TopicPartition(name, partition)
            for name in sorted(names)
            if self._is_ours(name)
            for partition in sorted(cluster.partitions_for_topic(name) or ())
        ]
        return await consumer.end_offsets(ours) if ours else {}

    def _is_ours(self, name: str) -> bool:
        bare = name[len(self._prefix) :]
        return bare in LOG_TOPICS or bare.endswith(DEAD)

    # -- writing ---------------------------------------------------------------------------------

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        """Append all of batch, each partition's in order; returns the positions.

        Durable on return. Not atomic over several partitions: a part of them may have it when this
        raises LogUnavailable, after which nothing is appended any more.
        """
        return tuple(sent.offset for sent in self.append_soon(batch).result())

    def append_soon(self, batch: Sequence[Append]) -> Future[list[Sent]]:
        """Start an append; the result tells where each record stands and since when.

        The next append of a partition must wait for it: order is kept by its owner.
        """
        for item in batch:
            check_append(item)
        self._refuse_if_closed()
        return self._io.submit(self._send(batch))

    async def _send(self, batch: Sequence[Append]) -> list[Sent]:
        self._refuse_if_closed()
        if self._sender is None:
            self._sender = Sender(client_options(self._settings, "producer"))
        outgoing: dict[Partition, list[Outgoing]] = {}
        places: list[tuple[Partition, int]] = []
        for item in batch:
            where = (self._prefix + item.topic, item.shard)
            records = outgoing.setdefault(where, [])
            records += self._records(item)
            places.append((where, len(records) - 1))
        try:
            sent = await self._sender.send(outgoing)
        except SendFailed as error:
            raise LogUnavailable(self._where, str(error)) from error
        return [sent[where][index] for where, index in places]

    def _records(self, item: Append) -> list[Outgoing]:
        """The record, in several parts where it is too large for one."""
        key, headers = None, []
        if item.topic == "decisions":
            key = key_of(item.payload)
            headers = output_headers(
                item.payload, topic=self._prefix + item.topic, shard=item.shard
            )
        if item.topic not in CHUNKED or len(item.payload) <= CHUNK_BYTES:
            return [Outgoing(item.payload, key, headers)]
        parts = split(item.payload, largest=CHUNK_BYTES, which=uuid.uuid4().hex)
        return [
            Outgoing(part, key, headers if chunk is None else [*headers, ("chunk", chunk)])
            for part, chunk in parts
        ]

    def truncate(self, topic: str, shard: int, before: int) -> int:
        """Delete records below a position; returns the first one that is still there."""
        where = TopicPartition(self._prefix + topic, shard)
        return self._ask(self._delete(where, before))

    async def _delete(self, where: TopicPartition, before: int) -> int:
        async with self._connecting:
            self._refuse_if_closed()
            if self._admin is None:
                admin = AIOKafkaAdminClient(**client_options(self._settings, "admin"))
                try:
                    await admin.start()
                    self._refuse_if_closed()
                except BaseException:
                    await admin.close()
                    raise
                self._admin = admin
        found = await self._admin.delete_records({where: RecordsToDelete(before_offset=before)})
        low: int = found[where]
        return low

    # -- all of it -------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of every connection; a cluster that is away does not hold this up for long."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            tails = list(self._open)
            self._tails.clear()
            self._open.clear()
        try:
            with contextlib.suppress(TimeoutError):
                self._io.run(self._close(tails), timeout_s=CLOSE_S)
        finally:
            if self._own_io:
                self._io.close()

    async def _close(self, tails: Sequence[Tail]) -> None:
        with contextlib.suppress(TimeoutError):  # what connects later is stopped by who made it
            async with asyncio.timeout(CONNECTING_S), self._connecting:
                pass
        closing = [tail.close() for tail in tails]
        if self._sender is not None:
            closing.append(self._sender.close())
        if self._asking is not None:
            closing.append(self._asking.stop())
        if self._admin is not None:
            closing.append(self._admin.close())
        await asyncio.gather(*closing, return_exceptions=True)

    def _ask(self, question: Coroutine[Any, Any, Result]) -> Result:
        """An answer of the cluster; its errors in our words."""
        if self._closed:
            question.close()
            raise LogClosed(self._where)
        try:
            return self._io.run(question, timeout_s=TIMEOUT_S)
        except CancelledError:  # the loop ended while this was asked
            raise LogClosed(self._where) from None
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogUnavailable(self._where, f"{type(error).__name__}: {error}") from error

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogClosed(self._where)
