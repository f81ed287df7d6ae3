"""What a real broker says of a group's members, as the worker's membership reads it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from coordinator.settings import KafkaSettings, Settings, WorkerSettings
from coordinator.shells.live.membership import Membership
from tests.live.system import System

pytestmark = pytest.mark.integration

WITHIN_S = 40.0


def test_members_are_known_with_and_without_shards_and_gone_once_they_left(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    System(kafka_servers, kafka_prefix, tmp_path, shards=1).topics()
    settings = Settings(
        kafka=KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix),
        worker=WorkerSettings(id="me", group=kafka_prefix.rstrip(".")),
    )

    def member(name: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            f"{kafka_prefix}journal", bootstrap_servers=kafka_servers,
            group_id=settings.group("engine"), client_id=f"{name}.engine",
        )  # fmt: skip

    async def use() -> list[frozenset[str]]:
        membership = Membership(settings, asyncio.Event())
        seen = []
        async with asyncio.timeout(WITHIN_S), member("me") as one:
            seen.append(await membership._clients())
            # One of the two has the only shard, the other none.
            async with member("other"):
                seen.append(await membership._clients())
            await one.stop()
            seen.append(await membership._clients())
        return seen

    me, both = frozenset({"me.engine"}), frozenset({"me.engine", "other.engine"})
    assert asyncio.run(use()) == [me, both, frozenset()]
