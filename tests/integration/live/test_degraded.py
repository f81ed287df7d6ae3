"""A worker and what it is told: orders of the day, a stop, a broker that is away or refuses it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.core.chain import follow
from coordinator.log.kafka import KafkaLog
from coordinator.settings import KafkaSettings
from ops import servers_kafka
from ops.servers_kafka import KafkaServer
from schemas.decisions import AllocationDecided
from schemas.verdicts import SignalRejected
from tests.live.feeding import feed
from tests.live.system import System, environment, until
from tests.live.world import World

pytestmark = pytest.mark.integration


def events(log: KafkaLog, shards: int) -> list[Any]:
    """What was said, by the reader's rule: raises where a chain is broken."""
    return [link.entry.event for n in range(shards) for link in follow(log.read("decisions", n))]


def decided(log: KafkaLog) -> list[str]:
    found = (one for one in events(log, 1) if isinstance(one, AllocationDecided))
    return [one.portfolio for one in found]


def test_pause_resume_and_mute_count_from_where_they_stand_and_a_stop_is_in_time(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    world = World(instruments=3, portfolios=2, sources=2)
    group = {"COORDINATOR_WORKER__GROUP": kafka_prefix.rstrip(".")}
    with (
        System(kafka_servers, kafka_prefix, tmp_path, shards=1, environment=group) as system,
        closing(KafkaLog(KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix))) as log,
    ):
        system.topics()
        router, engine = system.start("router"), system.start("engine")

        def order(name: str, **fields: Any) -> None:
            """Give it, and wait until it stands in the journal."""
            feed(system, [world.message("control", "c", name, **fields)])
            until(f"{name} is routed", lambda: name.encode() in last(log), within_s=20)

        def signals() -> None:
            """Four, and wait until all stand in the journal: topics have no order among them."""
            told = [world.signal() for _ in range(4)]
            feed(system, told)
            ids = [json.dumps(json.loads(one.value)["event_id"]).encode() for one in told]
            until("they are routed", lambda: all(i in last(log) for i in ids), within_s=20)

        feed(system, world.opening(sessions=1))
        system.await_ready(router, engine)
        order("CoordinationPaused", portfolio="p0")
        signals()
        until("p1 decides", lambda: "p1" in decided(log), within_s=30)
        assert "p0" not in decided(log)
        order("CoordinationResumed", portfolio="p0")
        signals()
        until("p0 decides", lambda: "p0" in decided(log), within_s=30)
        order("StrategyMuted", source="s0")
        signals()
        until("s0 is refused", lambda: len(refused(log)) == 2, within_s=30)
        assert refused(log) == [("s0", "muted")] * 2

        for part in (engine, router):
            began = time.monotonic()
            assert part.stop() == 0, part.tail()
            assert time.monotonic() - began < 25


def last(log: KafkaLog) -> bytes:
    """All records of the journal, one after the other."""
    return b"".join(record.payload for record in log.read("journal", 0))


def refused(log: KafkaLog) -> list[tuple[str, str]]:
    found = (one for one in events(log, 1) if isinstance(one, SignalRejected))
    return [(one.source, str(one.reason)) for one in found]


def test_a_worker_without_a_broker_ends_with_the_reason(tmp_path: Path) -> None:
    with System("127.0.0.1:1", "t.", tmp_path, shards=1) as system:
        part = system.start("engine", **environment(worker__join_s=8))
        assert part.process.wait(60) == 1
        assert "cannot be joined" in part.tail() or "not in group" in part.tail()


def test_a_worker_whose_session_timeout_is_refused_says_so_and_ends(
    own_server: Callable[[type[KafkaServer]], KafkaServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strict = servers_kafka.CONFIGURATION + "group.max.session.timeout.ms=5000\n"
    monkeypatch.setattr(servers_kafka, "CONFIGURATION", strict)
    kafka = own_server(KafkaServer)
    with System(kafka.bootstrap, "t.", tmp_path, shards=1) as system:
        system.topics()
        part = system.start("engine", **environment(worker__join_s=8))
        until("it is not ready", lambda: part.ask("/readyz")[0] == 503, within_s=30)
        said = json.loads(part.ask("/readyz")[1] or "{}")
        assert "joining" in json.dumps(said) or not part.running
        assert part.process.wait(60) == 1
        assert "group" in part.tail()
