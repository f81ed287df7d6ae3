"""`coordinator run` on real Kafka: a worker that ends by itself comes back, and decides on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.core.chain import follow
from coordinator.log.kafka import KafkaLog
from coordinator.settings import KafkaSettings
from schemas.decisions import AllocationDecided
from tests.live.feeding import feed
from tests.live.system import Part, System, kill_deciding, until
from tests.live.world import World

pytestmark = pytest.mark.integration
SIGNALS = 4


def said(whose: Part, event: str, **fields: Any) -> list[dict[str, Any]]:
    """What a supervisor and its parts have logged of that."""
    lines = whose.log.read_text(errors="replace").splitlines()
    found = [json.loads(line) for line in lines if f'"event":"{event}"' in line]
    return [one for one in found if fields.items() <= one.items()]


def decided(log: KafkaLog) -> int:
    """Allocations so far, by the reader's rule: raises where the chain is broken."""
    links = follow(log.read("decisions", 0))
    return sum(isinstance(link.entry.event, AllocationDecided) for link in links)


def test_a_part_whose_deciding_process_is_killed_comes_back_and_goes_on_where_it_was(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    world = World(instruments=3, portfolios=1, sources=1)
    group = {"COORDINATOR_WORKER__GROUP": kafka_prefix.rstrip(".")}
    with (
        System(kafka_servers, kafka_prefix, tmp_path, shards=1, environment=group) as system,
        closing(KafkaLog(KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix))) as log,
    ):
        system.topics()
        worker = system.start("router", "--only", "engine")
        feed(system, [*world.opening(sessions=1), *(world.signal() for _ in range(SIGNALS))])
        until("it decides", lambda: decided(log) > 0, within_s=60)

        (engine,) = said(worker, "part_starts", part="engine")
        assert kill_deciding(engine["process"])
        until("it is started again", lambda: starts(worker, "engine") == 2, within_s=60)
        assert [one["code"] for one in said(worker, "part_ended", failures=1)] == [1], worker.tail()
        assert "the deciding process has ended" in worker.log.read_text()
        before = decided(log)
        feed(system, [world.signal() for _ in range(SIGNALS)])
        until("it decides again", lambda: decided(log) > before, within_s=60)
        assert (starts(worker, "engine"), starts(worker, "router")) == (2, 1)
        assert worker.stop() == 0, worker.tail()


def starts(worker: Part, part: str) -> int:
    return len(said(worker, "part_starts", part=part))
