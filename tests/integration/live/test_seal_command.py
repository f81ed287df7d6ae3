"""`coordinator seal` on real Kafka: workers drain, the next build goes on, all can be proved."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.core.chain import follow
from coordinator.core.ports import Record
from coordinator.log.kafka import KafkaLog
from coordinator.settings import KafkaSettings
from schemas.decisions import AllocationDecided
from tests.live.feeding import feed
from tests.live.system import System, until
from tests.live.world import World

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]
SHARDS = 2
OTHER_BUILD = ("-m", "tests.live.other_build")


def decided(log: KafkaLog) -> list[AllocationDecided]:
    """Every decision, by the reader's rule: raises where a chain is broken."""
    return [
        link.entry.event
        for shard in range(SHARDS)
        for link in follow(log.read("decisions", shard))
        if isinstance(link.entry.event, AllocationDecided)
    ]


def test_a_seal_drains_two_workers_and_only_another_build_goes_on(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    world = World(instruments=5, portfolios=4)
    settings = KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)
    group = {"COORDINATOR_WORKER__GROUP": kafka_prefix.rstrip(".")}
    url = f"kafka://{kafka_servers}/{kafka_prefix}"
    with (
        System(kafka_servers, kafka_prefix, tmp_path, shards=SHARDS, environment=group) as system,
        closing(KafkaLog(settings)) as log,
    ):
        system.topics()
        router = system.start("router")
        workers = [system.start("engine"), system.start("engine")]
        feed(system, world.opening(sessions=3))
        system.await_ready(router, *workers)
        feed(system, (world.signal() for _ in range(15)))
        until("all portfolios decide", lambda: portfolios(log) == 4, within_s=30)

        done = system.command("seal", "--yes", "--reason", "the next build", "--json")
        assert done.returncode == 0, done.stderr
        shards = json.loads(done.stdout)["shards"]
        assert [one["checkpointed"] for one in shards] == [True] * SHARDS
        assert [worker.process.wait(30) for worker in workers] == [0, 0], workers[0].tail()

        same = system.start("engine")
        assert same.process.wait(40) == 1
        assert "was sealed for another build" in same.log.read_text()
        verified = system.command("replay", "--verify", "--log", url, "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr

        before = len(decided(log))
        feed(system, (world.signal() for _ in range(15)))  # behind the seal, before the start
        until("they are routed", lambda: routed(log) >= 30, within_s=20)
        system.program = OTHER_BUILD
        other = system.start("engine")
        system.await_ready(other)
        feed(system, (world.signal() for _ in range(15)))
        until("the next build decides", lambda: len(decided(log)) >= before + 4, within_s=30)
        builds = [event.identity.build for event in decided(log)]
        assert len(set(builds[:before])) >= 1
        assert len(set(builds)) == 2
        assert other.stop() == 0, other.tail()

        changed = changed_replay(system, url)
        assert changed.returncode == 3, changed.stdout + changed.stderr
        first = next(line for line in changed.stdout.splitlines() if "first difference" in line)
        # The changed constant is the covariance's, by which conflicts are weighed, too.
        assert "AllocationDecided" in first or "ConflictsDetected" in first, first


def portfolios(log: KafkaLog) -> int:
    return len({event.portfolio for event in decided(log)})


def routed(log: KafkaLog) -> int:
    """Signals in the first shard's journal."""
    return sum(b'"type":"SignalIssued"' in record.payload[:40] for record in journal(log))


def journal(log: KafkaLog) -> list[Record]:
    return list(log.read("journal", 0))


def changed_replay(system: System, url: str) -> subprocess.CompletedProcess[str]:
    """The other build's `replay --verify --this-engine`."""
    words = ("replay", "--verify", "--this-engine", "--log", url)
    return subprocess.run(
        [sys.executable, *OTHER_BUILD, *words], env=system.settings, cwd=ROOT, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
