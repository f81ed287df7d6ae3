"""On a real topic a sealed state in parts is carried on whole, and what lies before it goes."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from coordinator.core.checkpoint import checkpoint_position, encode_state, is_sealed
from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append
from coordinator.core.state import State
from coordinator.log.kafka import KafkaLog, declared
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.topics import apply, plan
from coordinator.settings import KafkaSettings
from coordinator.shells.live.keeping import CARRY_AFTER, Kept
from schemas.control import Parameters

pytestmark = pytest.mark.integration


async def make_topics(settings: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
    await admin.start()
    try:
        await apply(
            admin, await plan(admin, declared(shards=1, prefix=settings.prefix)), replication=1
        )
    finally:
        await admin.close()


def state(position: int, *, sealed: bool = False) -> bytes:
    made = State(shard=0, shards=1, parameters=Parameters())
    made.position, made.sealed = position, sealed
    return encode_state(made)


def test_a_sealed_state_in_parts_is_carried_on_whole(
    kafka_servers: str, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.log.kafka.log.CHUNK_BYTES", 200)
    settings = KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)
    asyncio.run(asyncio.wait_for(make_topics(settings), 60))
    with KafkaLog(settings) as log:

        def write(position: int, *, sealed: bool = False) -> int:
            payload = b"0\n" + state(position, sealed=sealed)
            return log.append([Append("checkpoints", 0, payload)])[0]

        seal = write(7, sealed=True)
        assert seal > 1  # in parts
        kept = Kept(0)
        kept.find(log)
        for position in range(8, 8 + 3 * CARRY_AFTER):
            kept.wrote(log, write(position), sealed=False)
            bodies = [r.payload.partition(b"\n")[2] for r in log.read("checkpoints", 0)]
            assert state(7, sealed=True) in bodies
            assert sum(map(is_sealed, bodies)) <= 2
            assert len(bodies) <= CARRY_AFTER + 2
            (newest, _), *_ = checkpoints(log, 0)
            assert checkpoint_position(newest) == position
        assert log.begin("checkpoints", 0) > seal
