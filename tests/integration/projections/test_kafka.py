"""A log in Kafka is projected as any other: the same rows, followed while it grows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from coordinator.core.ports import Append
from coordinator.log.kafka.log import KafkaLog
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.topics import apply, declared, plan
from coordinator.settings import KafkaSettings
from projections.projector import Pace, Projector
from tests.support.projected import FakeSink, batches, busy_log, everything

pytestmark = pytest.mark.integration

PACE = Pace(rows_max=300, interval=0.01, pause=0.05, beat=0.0, look=0.0)


@pytest.fixture
def log(kafka_servers: str, kafka_prefix: str) -> Iterator[KafkaLog]:
    settings = KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)
    asyncio.run(asyncio.wait_for(_topics(settings), 60))
    with KafkaLog(settings) as made:
        yield made


async def _topics(settings: KafkaSettings) -> None:
    every = declared(shards=2, prefix=settings.prefix)
    names = {settings.prefix + name for name in ("journal", "decisions")}
    admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
    await admin.start()
    try:
        wanted = await plan(admin, [one for one in every if one.name in names])
        await apply(admin, wanted, replication=1)
    finally:
        await admin.close()


def test_a_log_in_kafka_gives_the_rows_of_the_same_log_in_memory(log: KafkaLog) -> None:
    sink = FakeSink()
    projector = Projector(log, sink, pace=PACE)
    parts = [part for part in sorted(busy_log().partitions(), reverse=True) if part[0] in (
        "journal", "decisions")]  # fmt: skip
    for part in parts:
        for start in range(0, busy_log().end(*part), 150):
            records = busy_log().read(*part, start, start + 150)
            log.append([Append(*part, one.payload) for one in records])
            projector.step()
    for _ in range(1_000):
        if not projector.step():
            break
    rows, marks = everything(batches(busy_log()))
    assert Counter(map(repr, sink.rows)) == Counter(map(repr, rows))
    assert {part: mark.next for part, mark in sink.marks.items()} == {
        part: mark.next for part, mark in marks.items()
    }
    assert all(projector._follower.lag(part) == 0 for part in parts)
