"""Membership: whether this worker is in its group, by what the delivery says and the broker knows.

Place in the flow: beside the worker's watch. The delivery tells of joining and of giving shards
away; it only logs that it could not join again, so the broker is asked now and then who is in the
group. It must never take silence for an answer: while nobody answers, the last answer stands.
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaError, for_code

from coordinator.log.kafka.options import client_options
from coordinator.settings import Settings

__all__ = ["Membership"]

ASK_EVERY_S = 10.0
ANSWER_S = 10.0
_ERROR, _MEMBERS, _CLIENT = 0, 5, 1
"""Places in a described group and in its members, by Kafka's protocol guide."""


class Membership:
    """Watches one membership: `watch` in a task, `away_s` again and again.

    joined: set while the delivery holds itself to be in the group.
    """

    def __init__(self, settings: Settings, joined: asyncio.Event) -> None:
        self._settings = settings
        self._joined = joined
        self._group = settings.group("engine")
        self._client = quote(f"{settings.worker.id}.engine", safe="")
        self._missing = False
        self._seen_at = time.monotonic()
        self._log = structlog.get_logger("worker")

    def away_s(self) -> float:
        """For how long we have been out of the group, or on the way into it; 0: we are in it."""
        now = time.monotonic()
        if self._joined.is_set() and not self._missing:
            self._seen_at = now
        return now - self._seen_at

    async def watch(self) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            if not self._joined.is_set():
                self._missing = False  # who joins anew is asked for anew
                continue
            try:
                async with asyncio.timeout(ANSWER_S):
                    clients = await self._clients()
            except (KafkaError, OSError, TimeoutError) as error:
                self._log.info("members_unknown", error=f"{type(error).__name__}: {error}")
                continue
            missing = self._client not in clients and self._joined.is_set()
            if missing and not self._missing:
                self._log.warning("not_in_group", group=self._group, client=self._client)
            self._missing = missing

    async def _clients(self) -> frozenset[str]:
        """The client of every member, whether it was given shards or not."""
        admin = AIOKafkaAdminClient(**client_options(self._settings.kafka, "admin"))
        try:
            await admin.start()
            answers = await admin.describe_consumer_groups([self._group])
        finally:
            await admin.close()
        found: set[str] = set()
        for described in (group for answer in answers for group in answer.groups):
            error = for_code(described[_ERROR])
            if described[_ERROR] and error is not GroupIdNotFound:
                raise error(self._group)
            found |= {member[_CLIENT] for member in described[_MEMBERS]}
        return frozenset(found)
