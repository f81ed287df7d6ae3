"""Delivery: Faust behind a small port. It says which shards are ours and hands over their records.

Place in the flow: between Kafka's group protocol and the shards' owners. Raw bytes, no table, no
transaction, one agent: what Faust loses, repeats or commits too early does no harm, because an
owner knows its own position and reads the log where something is missing. It must never wait for an
owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import quote

import faust
import structlog
from aiokafka import ConsumerRecord
from faust.types.auth import SASLMechanism

from coordinator.core.clock import MILLISECOND
from coordinator.core.ports import Record
from coordinator.log.kafka.options import ssl_context
from coordinator.settings import KafkaSettings, Settings
from coordinator.shells.live.faust_consumer import AsItIs, QuickTransport, QuietMonitor
from coordinator.shells.live.folderless import FolderlessApp

__all__ = ["FaustDelivery", "Shards", "faust_app"]

FETCH_BYTES = 3 << 20


class Shards(Protocol):
    """Whom records are for."""

    def assigned(self, shards: frozenset[int]) -> None:
        """These, and no others, are ours now."""
        ...

    async def revoked(self, shards: frozenset[int]) -> None:
        """These are given away when this returns."""
        ...

    def deliver(self, shard: int, records: Sequence[Record]) -> None:
        """Records of a journal of ours, in order."""
        ...


def faust_app(settings: Settings, name: str, **more: Any) -> faust.App:
    """A Faust app with the settings that mattered (ops/decisions/0007), and no web server."""
    worker = settings.worker
    return FolderlessApp(
        settings.group(name),
        **{
            "broker": [f"kafka://{host.strip()}" for host in settings.kafka.bootstrap.split(",")],
            "broker_credentials": _credentials(settings.kafka),
            "broker_commit_interval": 1.0,
            "broker_session_timeout": worker.session_timeout_ms / 1000,
            # A join is answered once all known members have joined or this is over: members that a
            # restarted broker remembers never will, and the request must outlive it.
            "broker_rebalance_timeout": worker.session_timeout_ms / 1000,
            "broker_heartbeat_interval": worker.heartbeat_ms / 1000,
            "broker_request_timeout": max(40.0, worker.session_timeout_ms / 1000 * 2),
            "broker_max_poll_interval": 300.0,
            "broker_client_id": quote(f"{worker.id}.{name}", safe=""),
            "consumer_group_instance_id": worker.id if worker.static else None,
            "consumer_auto_offset_reset": "latest",
            "consumer_max_fetch_size": FETCH_BYTES,
            "topic_disable_leader": True,
            "topic_allow_declare": False,
            "web_enabled": False,
            "store": "memory://",
            "autodiscover": False,
            "origin": None,
            "debug": False,
            "stream_wait_empty": False,
            **more,
        },
    )


def _credentials(settings: KafkaSettings) -> Any:
    """The same login and TLS as every other client of ours."""
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = ssl_context(settings) if settings.security_protocol.endswith("SSL") else None
    if not settings.security_protocol.startswith("SASL"):
        return faust.SSLCredentials(context=context)
    password = settings.sasl_password
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=password.get_secret_value() if password is not None else None,
        mechanism=SASLMechanism(settings.sasl_mechanism or "PLAIN"),
        ssl_context=context,
    )


class FaustDelivery:
    """The engine's agent. `start`, and `stop` at the end, in the process's own event loop."""

    def __init__(self, settings: Settings, shards: Shards) -> None:
        self._settings = settings
        self._shards = shards
        self._topic = f"{settings.kafka.prefix}journal"
        self._log = structlog.get_logger("delivery")
        self._collected: dict[int, list[Record]] = {}
        self.joined = asyncio.Event()
        self.app = faust_app(settings, "engine", monitor=QuietMonitor())
        self.app.transport = QuickTransport(self.app.conf.broker_consumer, self.app)
        self._declare()

    def _declare(self) -> None:
        app = self.app
        topic = app.topic(self._topic, schema=AsItIs(), partitions=self._settings.worker.shards)

        async def engine(stream: Any) -> None:
            async for event in stream.events():
                self._collect(event.message.value)

        app.agent(topic, name="engine", concurrency=1)(engine)
        # The signals keep references; the app lives as long as this object.
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)  # type: ignore[arg-type] # Faust's own handlers look so
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)  # type: ignore[arg-type] # as above

    def _collect(self, fetched: Sequence[ConsumerRecord]) -> None:
        """Keep them until the loop has gone round: threads are woken once for many records."""
        if not self._collected:
            asyncio.get_running_loop().call_soon(self._hand_over)
        for one in fetched:
            self._collected.setdefault(one.partition, []).append(_record(one))

    def _hand_over(self) -> None:
        collected, self._collected = self._collected, {}
        for shard, records in collected.items():
            self._shards.deliver(shard, records)

    async def _on_assigned(self, _app: Any, assigned: Any, **_more: Any) -> None:
        shards = self._ours(assigned)
        self._log.info("shards_assigned", shards=sorted(shards))
        self._shards.assigned(shards)
        self.joined.set()

    async def _on_revoked(self, _app: Any, revoked: Any, **_more: Any) -> None:
        shards = self._ours(revoked)
        self._log.info("shards_revoked", shards=sorted(shards))
        await self._shards.revoked(shards)

    def _ours(self, partitions: Any) -> frozenset[int]:
        return frozenset(tp.partition for tp in partitions if tp.topic == self._topic)

    async def start(self) -> None:
        """Connect and join the group; returns before it is joined."""
        await self.app.start()

    async def stop(self) -> None:
        """Leave the group."""
        await self.app.stop()

    @property
    def crashed(self) -> BaseException | None:
        """Why Faust gave up, where it did."""
        reason: BaseException | None = self.app.crash_reason
        return reason


def _record(found: ConsumerRecord) -> Record:
    """Topics know milliseconds."""
    time = found.timestamp * MILLISECOND
    return Record("journal", found.partition, found.offset, time, found.value or b"")
