"""The command line on real servers, and what becomes of servers whose owner is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import servers_postgres
from ops.servers_base import CannotStart
from ops.servers_kafka import KafkaServer
from ops.servers_postgres import PostgresServer
from ops.servers_process import wait_until
from ops.servers_redis import RedisServer

pytestmark = pytest.mark.integration

OWNER = """
import os, sys, time
from pathlib import Path
from ops.servers_process import Owned, born
from ops.servers_redis import RedisServer
from ops.servers_watch import watch
folder = Path(sys.argv[1])
folder.mkdir()
watch(folder, Owned(os.getpid(), born(os.getpid())))
RedisServer(folder / "redis").start()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(servers_folder: Path, tmp_path: Path) -> Iterator[Path]:
    """Below the run's folder, which is ended with the run."""
    made = servers_folder / f"cli-{tmp_path.name}"
    yield made
    for kind in (KafkaServer, PostgresServer, RedisServer):
        server = kind(made / kind.kind)
        server.kill()
        server.remove()


def launcher(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "ops.servers", *arguments, "--dir", str(folder))
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_up_prints_settings_of_servers_that_outlive_it(folder: Path) -> None:
    done = launcher("up", "--only", "redis", folder=folder)
    if done.returncode == 1:
        pytest.skip(done.stderr)
    assert done.stdout == f"COORDINATOR_REDIS__URL={RedisServer(folder / 'redis').url}\n"
    again = launcher("up", "--only", "redis", "--json", folder=folder)
    shown = json.loads(again.stdout)
    assert shown["environment"] == {"COORDINATOR_REDIS__URL": done.stdout.strip().split("=")[1]}
    assert shown["servers"]["redis"]["pid"] == RedisServer(folder / "redis").pid
    assert launcher("down", folder=folder).returncode == 0
    assert not RedisServer(folder / "redis").running


def test_ctrl_c_during_up_leaves_nothing_behind(folder: Path) -> None:
    """Redis is up at once, Kafka takes seconds: the interruption falls in between."""
    command = (sys.executable, "-m", "ops.servers", "up", "--only", "kafka,redis")
    with subprocess.Popen((*command, "--dir", str(folder)), stderr=subprocess.PIPE) as up:
        began = wait_until(
            lambda: RedisServer(folder / "redis").running or up.poll() is not None, bound_s=60
        )
        assert began
        up.send_signal(signal.SIGINT)
        _, words = up.communicate(timeout=60)
    if up.returncode == 1:
        pytest.skip(words.decode())
    assert up.returncode == 130
    assert not RedisServer(folder / "redis").running
    assert not KafkaServer(folder / "kafka").running


def test_the_servers_of_a_killed_owner_are_ended(tmp_path: Path) -> None:
    command = (sys.executable, "-c", OWNER, str(tmp_path / "watched"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path.cwd()) as owner:
        assert owner.stdout is not None
        if owner.stdout.readline() != b"ready\n":
            pytest.skip("redis could not be started")
        server = RedisServer(tmp_path / "watched" / "redis")
        assert server.running
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait(timeout=10)
    assert wait_until(lambda: not server.running, bound_s=15)
    assert wait_until(lambda: not (tmp_path / "watched").exists(), bound_s=5)


def test_pips_postgres_serves_where_none_is_installed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    places = [path for path in servers_postgres._places() if "site-packages" in path.parts]
    if not places:
        pytest.skip("pip's PostgreSQL is not there")
    monkeypatch.setattr(servers_postgres, "_places", lambda: iter(places))
    server = PostgresServer(folder / "postgres")
    try:
        server.start()
    except CannotStart as failure:
        pytest.skip(str(failure))
    assert server.running
    server.remove()
    assert server.pid is None
    assert not folder.joinpath("postgres").exists()
