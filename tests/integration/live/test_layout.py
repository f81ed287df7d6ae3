"""On real Kafka: wrong shards end a part, missing topics are waited for, a seal ends a worker."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live.feeding import feed
from tests.live.system import ROOT, Part, System, until
from tests.live.world import World

pytestmark = pytest.mark.integration


def system_of(servers: str, prefix: str, folder: Path) -> System:
    group = {"COORDINATOR_WORKER__GROUP": prefix.rstrip(".")}
    return System(servers, prefix, folder, shards=2, environment=group)


@pytest.mark.parametrize("part", ["router", "views"])
def test_a_part_with_another_number_of_shards_ends_before_it_joins(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path, part: str
) -> None:
    with system_of(kafka_servers, kafka_prefix, tmp_path) as system:
        system.topics()
        wrong = system.start(part, "--shards", "1")
        assert wrong.process.wait(40) == 1
        assert "has 2 partitions, and worker.shards is 1" in wrong.log.read_text()


def test_without_topics_parts_wait_and_send_fails_both_with_what_to_do(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    told = "run `coordinator topics apply`"
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"type":"CoordinationPaused","event_id":"e","event_time":1,"source":"o"}\n')
    with system_of(kafka_servers, kafka_prefix, tmp_path) as system:
        parts = [system.start(name) for name in ("router", "engine", "views")]
        began = time.monotonic()
        done = system.command("send", str(file))
        assert time.monotonic() - began < 20
        assert (done.returncode, told in done.stderr) == (1, True), done.stderr
        assert len(done.stderr.splitlines()) < 5, done.stderr
        for part in parts:
            until(f"{part.name} says", lambda p=part: told in p.ask("/readyz")[1], within_s=40)  # type: ignore[misc] # mypy wants no default in a lambda
        time.sleep(3)  # several looks more, of which nothing is said
        assert [part.log.read_text().count('_waits"') for part in parts] == [1, 1, 1]
        system.topics()
        system.await_ready(*parts)


def test_a_seal_ends_a_whole_worker(kafka_servers: str, kafka_prefix: str, tmp_path: Path) -> None:
    world = World(instruments=5, portfolios=4)
    with system_of(kafka_servers, kafka_prefix, tmp_path) as system:
        system.topics()
        worker = whole(system)
        until("parts run", lambda: worker.log.read_text().count("part_started") >= 3, within_s=60)
        feed(system, world.opening(sessions=3))
        until("it decides", lambda: owned(worker), within_s=60)
        done = system.command("seal", "--yes", "--reason", "the next build", "--json")
        assert done.returncode == 0, done.stderr
        assert worker.process.wait(40) == 0, worker.tail()
        assert "sealed: start the next build" in worker.log.read_text()
        assert "part_killed" not in worker.log.read_text()


def owned(worker: Part) -> bool:
    return worker.log.read_text().count('"phase":"running"') >= 2


def whole(system: System) -> Part:
    """`coordinator run` with all its parts, on ports of their own."""
    log = system.folder / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "coordinator", "run", "--http-port", "0"],
            env=system.settings, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=file,
        )  # fmt: skip
    part = Part("worker", process, log)
    system.parts.append(part)
    return part
