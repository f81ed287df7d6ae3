"""Routers on real Kafka: poison, restarts, topics made anew, topics planned and applied."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.kafka import KafkaLog
from coordinator.log.kafka.letters import Origin
from coordinator.log.kafka.topic_ids import topic_ids
from coordinator.settings import KafkaSettings, Settings, WorkerSettings
from coordinator.shells.live.router import LiveRouter
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics
from schemas.entries import decode_journal
from schemas.registry import INPUT_TOPICS
from schemas.verdicts import SignalRejected
from tests.journals import Inputs, engine, events_of, started
from tests.live.system import System

pytestmark = pytest.mark.integration

WITHIN_S = 40.0
Headers = Sequence[tuple[str, bytes]]


class Bench:
    """One shard's journal, begun, and routers in this process."""

    def __init__(self, system: System) -> None:
        self.system = system
        kafka = KafkaSettings(bootstrap=system.bootstrap, prefix=system.prefix)
        worker = WorkerSettings(shards=1, group=system.prefix.rstrip("."), session_timeout_ms=6_000)
        self.settings = Settings(kafka=kafka, worker=worker)
        self.log = KafkaLog(kafka)
        self.make = Inputs()
        self.metrics = Metrics()

    def begin(self) -> None:
        Router(self.log, shards=1).write(started(), shards=[0], journal_time=None)

    def signals(self, count: int) -> list[bytes]:
        return [self.make.signal("s", "A", 1).raw.payload for _ in range(count)]

    def journal(self) -> list[tuple[str, int]]:
        """(topic id, offset) of all signals there."""
        stamps = [decode_journal(r.payload).stamp for r in self.log.read("journal", 0)]
        return [(stamp.topic_id, stamp.offset) for stamp in stamps if stamp.topic == "signals"]

    async def send(self, topic: str, values: Sequence[bytes], **more: Any) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.system.bootstrap)
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(
                    self.system.prefix + topic, value, **({"partition": 0} | more)
                )
        finally:
            await producer.stop()

    async def routed(self, holds: Callable[[], bool], router: LiveRouter | None = None) -> Health:
        """Run a router until that holds, and let it end as it should."""
        health, stop = Health(expected=("router",)), asyncio.Event()
        made = router or LiveRouter(self.settings, metrics=self.metrics, health=health)
        running = asyncio.create_task(made.run(stop))
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await asyncio.to_thread(holds):
                    if running.done():
                        running.result()
                        pytest.fail("the router ended")
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            async with asyncio.timeout(WITHIN_S):
                await running
        return health


@pytest.fixture
def bench(kafka_servers: str, kafka_prefix: str, tmp_path: Path) -> Iterator[Bench]:
    system = System(kafka_servers, kafka_prefix, tmp_path, shards=1)
    system.topics()
    made = Bench(system)
    yield made
    made.log.close()


async def admin_of(bench: Bench) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.system.bootstrap)
    await admin.start()
    return admin


def test_poison_on_every_topic_becomes_a_letter_unchanged_and_nothing_else_suffers(
    bench: Bench,
) -> None:
    headers = [("mine", b"1"), ("chunk", b"x 1/2"), ("ce_type", b"SignalIssued.v" + b"9" * 5_000)]

    async def use() -> dict[str, str]:
        for topic in INPUT_TOPICS:
            await bench.send(topic, [b"\xff\x00" + topic.encode()], key=b"k", headers=headers)
        await bench.send("signals", bench.signals(1))
        bench.begin()
        await bench.routed(
            lambda: (
                len(bench.journal()) == 1
                and all(bench.log.end(f"{topic}.dlq", 0) == 1 for topic in INPUT_TOPICS)
            )
        )
        admin = await admin_of(bench)
        try:
            names = [bench.system.prefix + topic for topic in INPUT_TOPICS]
            return await topic_ids(admin._client, names)
        finally:
            await admin.close()

    ids = asyncio.run(use())
    for topic in INPUT_TOPICS:
        (letter,) = bench.log.letters(f"{topic}.dlq")
        name = bench.system.prefix + topic
        assert (letter.payload, letter.key) == (b"\xff\x00" + topic.encode(), b"k")
        assert letter.own_headers == headers
        assert letter.origin == Origin(name, ids[name], 0, 0)
        assert letter.reason


def test_the_letters_that_stand_in_a_topic_are_counted_and_again_when_they_are_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.shells.live.dead_letters.LOOK_EVERY_S", 0.1)

    def told(depth: int) -> bool:
        wanted = f'coordinator_dlq_depth_records{{topic="signals.dlq"}} {depth}.0'
        return wanted in bench.metrics.render().decode()

    async def use() -> None:
        bench.begin()
        await bench.send("signals", [b"no json"] * 3)
        await bench.routed(lambda: told(3))
        bench.log.truncate("signals.dlq", 0, 2)
        await bench.routed(lambda: told(1))

    asyncio.run(use())


def test_nothing_is_routed_before_an_engine_has_begun(bench: Bench) -> None:
    async def use() -> None:
        await bench.send("signals", bench.signals(1))
        looks = iter(range(40))
        await bench.routed(lambda: next(looks) == 39)
        assert bench.log.end("journal", 0) == 0
        bench.begin()
        await bench.routed(lambda: len(bench.journal()) == 1)

    asyncio.run(use())


def test_a_restart_repeats_nothing_and_one_without_its_commits_nothing_that_counts(
    bench: Bench,
) -> None:
    class Forgetful(LiveRouter):
        """Killed before it commits."""

        async def _commit(self, *_: Any) -> None: ...

    async def use() -> None:
        bench.begin()
        await bench.send("signals", bench.signals(4))
        await bench.routed(lambda: len(bench.journal()) == 4)
        await bench.send("signals", bench.signals(2))
        forgetful = Forgetful(bench.settings, metrics=Metrics(), health=Health())
        await bench.routed(lambda: len(bench.journal()) == 6, forgetful)
        await bench.send("signals", bench.signals(1))
        await bench.routed(lambda: ("", 6) in [("", at) for _, at in bench.journal()])

    asyncio.run(use())
    assert [at for _, at in bench.journal()] == [0, 1, 2, 3, 4, 5, 4, 5, 6]
    Shard(bench.log, engine(0, 1)).recover()
    answers = Counter(event.signal_id for event in events_of(bench.log, SignalRejected))
    assert answers == {f"signals-1-{n}": 1 for n in range(7)}


def test_a_topic_made_anew_is_another_and_is_read_from_its_beginning(bench: Bench) -> None:
    async def anew() -> None:
        name = bench.system.prefix + "signals"
        admin = await admin_of(bench)
        try:
            await admin.delete_topics([name])
            async with asyncio.timeout(WITHIN_S):
                code = 1
                while code:
                    answer = await admin.create_topics([NewTopic(name, 8, 1)])
                    code = answer.topic_errors[0][1]
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()

    async def use() -> None:
        bench.begin()
        await bench.send("signals", bench.signals(3))
        await bench.routed(lambda: len(bench.journal()) == 3)
        await anew()
        await bench.send("signals", bench.signals(4))
        await bench.routed(lambda: len(bench.journal()) == 7)

    asyncio.run(use())
    found = bench.journal()
    assert [at for _, at in found] == [0, 1, 2, 0, 1, 2, 3]
    assert len({topic_id for topic_id, _ in found[:3]}) == 1
    assert len({topic_id for topic_id, _ in found}) == 2
    Shard(bench.log, engine(0, 1)).recover()
    assert len(events_of(bench.log, SignalRejected)) == 7


def test_topics_are_mended_and_another_number_of_partitions_is_refused(bench: Bench) -> None:
    prefix = bench.system.prefix

    async def drift() -> None:
        admin = await admin_of(bench)
        try:
            settings = {"retention.ms": "1000", "max.message.bytes": "1000"}
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, f"{prefix}journal", configs=settings)]
            )
            await admin.delete_topics([f"{prefix}orders.dlq"])
        finally:
            await admin.close()

    asyncio.run(drift())
    changed = {(f"{prefix}journal", "config"), (f"{prefix}orders.dlq", "missing")}
    until = time.monotonic() + 30.0  # a busy broker takes its time to show what was changed
    while True:
        plan = bench.system.command("topics", "plan", "--json")
        found = {(one["topic"], one["kind"]) for one in json.loads(plan.stdout)["differences"]}
        if found == changed or time.monotonic() > until:
            break
    assert found == changed
    assert plan.returncode == 3
    assert bench.system.command("topics", "apply").returncode == 0
    assert bench.system.command("topics", "plan").returncode == 0

    async def more() -> None:
        admin = await admin_of(bench)
        try:
            await admin.create_partitions({f"{prefix}signals": NewPartitions(9)})
        finally:
            await admin.close()

    asyncio.run(more())
    done = bench.system.command("topics", "apply")
    assert done.returncode == 1
    # Words may stand on lines of their own.
    assert f"{prefix}signals has 9, not 8" in " ".join(done.stderr.split())
