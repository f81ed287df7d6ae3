"""What ops/servers promises without a real server: ownership, words for failures, nothing left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from ops import servers
from ops.servers_base import CannotStart, Launch, Record, Server
from ops.servers_kafka import KafkaServer, Metadata
from ops.servers_process import PORTS, Owned, born, unused_port, wait_until
from ops.servers_redis import RedisServer
from tests.support.real_servers import summary

LISTEN = """
import socket, sys, time
with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
    time.sleep(60)
"""


class Listener(Server):
    """The smallest server: it listens, and that is how it answers."""

    kind: ClassVar[str] = "listener"
    program: ClassVar[str] = LISTEN

    def settings(self) -> dict[str, str]:
        return {"LISTENER": str(self.port)}

    def _prepare(
        self, facts: dict[str, str], ports: tuple[int, ...], cancelled: Callable[[], bool]
    ) -> Launch:
        command = (sys.executable, "-I", "-c", self.program, str(ports[0]))
        return Launch(command, folder=self.directory)

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


class Broken(Listener):
    program: ClassVar[str] = "import sys; sys.exit('the disk is upside down')"


class Mute(Listener):
    program: ClassVar[str] = "import time; time.sleep(60)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path / "listener")
    yield made
    made.kill()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(("sleep", "60")) as process:
        yield process
        process.kill()


def test_a_process_with_our_id_and_another_birth_is_never_signalled(
    server: Listener, stranger: subprocess.Popen[bytes]
) -> None:
    """The id was given away again: the record is stale, whatever it says."""
    server.directory.mkdir()
    record = Record(kind="listener", pid=stranger.pid, born="yesterday", ports=(20_001,))
    record.write(server.directory / "server.json")
    found = Listener(server.directory)
    assert not found.running
    assert found.pid is None
    found.pause()
    found.stop()
    found.kill()
    assert stranger.poll() is None
    assert born(stranger.pid) is not None


def test_a_stale_record_does_not_hinder_the_next_start(
    server: Listener, stranger: subprocess.Popen[bytes]
) -> None:
    server.directory.mkdir()
    Record(kind="listener", pid=stranger.pid, born="yesterday").write(
        server.directory / "server.json"
    )
    found = Listener(server.directory)
    found.start()
    assert found.running
    assert found.pid != stranger.pid
    found.kill()


def test_a_birth_tells_one_process_from_the_next() -> None:
    first = subprocess.Popen(("sleep", "60"))
    birth = born(first.pid)
    assert birth is not None
    assert birth == born(first.pid)
    first.kill()
    assert wait_until(lambda: born(first.pid) is None, bound_s=5), "a zombie is no process"
    first.wait()
    assert not Owned(first.pid, birth).alive
    assert not Owned(os.getpid(), "").alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "listener"}', '{"pid": "x"}'])
def test_a_torn_record_is_no_record(text: str, server: Listener) -> None:
    server.directory.mkdir()
    (server.directory / "server.json").write_text(text, encoding="utf-8")
    assert Listener(server.directory).pid is None


def test_a_record_is_for_nobody_elses_eyes(tmp_path: Path) -> None:
    record = Record(kind="redis", pid=1, born="b", ports=(5,), facts={"password": "p"})
    record.write(tmp_path / "server.json")
    assert (tmp_path / "server.json").stat().st_mode & 0o777 == 0o600
    assert Record.read(tmp_path / "server.json") == record


def test_another_launcher_finds_the_same_server_and_starts_no_second(server: Listener) -> None:
    server.start()
    again = Listener(server.directory)
    again.start()
    assert (again.pid, again.port) == (server.pid, server.port)
    assert again.stop()
    assert not server.running


def test_a_restart_is_on_the_same_port(server: Listener) -> None:
    server.start()
    first, port = server.pid, server.port
    server.kill()
    server.restart()
    assert server.port == port
    assert server.pid != first


def test_a_start_takes_another_port_when_the_last_one_is_taken(server: Listener) -> None:
    server.start()
    server.kill()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", server.port))
        thief.listen()
        server.start()
        assert server.port != thief.getsockname()[1]


def test_a_port_that_is_lost_between_choice_and_start_is_chosen_anew(
    server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        taken = thief.getsockname()[1]
        choices = iter([taken, unused_port()])
        monkeypatch.setattr("ops.servers_base.unused_port", lambda *_, **__: next(choices))
        monkeypatch.setattr(Listener, "_answers", lambda self: self.port != taken)
        server.start()
        assert server.port != taken


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    assert unused_port() in PORTS
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if limits.exists() and limits.read_text().split()[0] == "32768":
        assert PORTS.stop <= 32768


def test_a_failed_start_shows_the_end_of_the_servers_own_log(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="ended at once") as caught:
        Broken(tmp_path).start(bound_s=10)
    assert "the disk is upside down" in str(caught.value)
    assert str(tmp_path / "server.log") in str(caught.value)


def test_a_start_that_takes_too_long_leaves_nothing_behind(tmp_path: Path) -> None:
    mute = Mute(tmp_path)
    with pytest.raises(CannotStart, match="did not answer within 0 s"):
        mute.start(bound_s=0.3)
    assert not mute.running
    assert mute.process.pid > 0


def test_a_cancelled_start_leaves_nothing_behind(tmp_path: Path) -> None:
    mute = Mute(tmp_path)
    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    with pytest.raises(CannotStart, match="interrupted"):
        mute.start(cancelled=cancel.is_set)
    assert not mute.running
    timer.join()


def test_one_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    class Deaf(Listener):
        program: ClassVar[str] = "import signal\nsignal.signal(15, signal.SIG_IGN)\n" + LISTEN

    deaf = Deaf(tmp_path)
    deaf.start()
    assert deaf.stop(bound_s=0.2) is False
    assert not deaf.running


def test_a_paused_one_stops_all_the_same(server: Listener) -> None:
    server.start()
    server.pause()
    assert server.running
    assert server.stop(bound_s=5)


def test_a_brokers_answer_is_read_as_the_protocol_says() -> None:
    answer = bytes.fromhex(
        "00000001 00000000"  # Correlation, throttle.
        "00000001 00000007 0004 686f7374 00004e21 ffff"  # One broker: 7, host, 20001, no rack.
        "0003 616263 00000007 00000000"  # Cluster abc, controller 7, no topics.
    )
    assert Metadata(answer).ports == [20_001]
    assert Metadata(answer).cluster_id == "abc"


# The command line.


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The command line's servers replaced by small ones: one good, one broken."""
    monkeypatch.setattr(servers, "KINDS", {"listener": Listener, "broken": Broken})
    monkeypatch.setattr(Broken, "kind", "broken")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    yield tmp_path / "servers"
    Listener(tmp_path / "servers" / "listener").kill()


def run(*arguments: str, folder: Path) -> int:
    return servers.main([*arguments, "--dir", str(folder)])


def test_up_says_which_started_and_which_did_not(
    listeners: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("up", "--only", "listener,broken", folder=listeners) == 1
    shown = capsys.readouterr()
    port = Listener(listeners / "listener").port
    assert shown.out == f"LISTENER={port}\n"
    assert "not running: broken; running: listener" in shown.err
    assert "the disk is upside down" in shown.err


def test_up_twice_is_as_once_and_down_twice_too(
    listeners: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("up", "--only", "listener", folder=listeners) == 0
    pid = Listener(listeners / "listener").pid
    assert run("up", "--only", "listener", folder=listeners) == 0
    assert "runs already" in capsys.readouterr().err
    assert Listener(listeners / "listener").pid == pid
    assert run("down", "--only", "listener", folder=listeners) == 0
    assert run("down", "--only", "listener", folder=listeners) == 0
    assert capsys.readouterr().err.endswith("none run\n")


def test_status_and_env_say_what_runs_and_what_does_not(
    listeners: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("up", "--only", "listener", folder=listeners)
    capsys.readouterr()
    assert run("status", "--json", "--only", "listener,broken", folder=listeners) == 0
    facts = json.loads(capsys.readouterr().out)["servers"]
    assert facts["broken"] == {"running": False}
    assert facts["listener"]["running"]
    assert facts["listener"]["memory_mib"] > 0
    assert run("env", "--only", "listener,broken", folder=listeners) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("LISTENER=")
    assert "not running: broken" in shown.err


def test_down_deletes_data_only_when_told(listeners: Path) -> None:
    run("up", "--only", "listener", folder=listeners)
    run("down", "--only", "listener", folder=listeners)
    assert (listeners / "listener").exists()
    run("down", "--only", "listener", "--wipe", folder=listeners)
    assert not (listeners / "listener").exists()


@pytest.mark.parametrize("text", ["", "mongo", "listener,mongo"])
def test_unknown_names_are_refused(text: str, listeners: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run("up", "--only", text, folder=listeners)
    assert caught.value.code == 2


def test_a_kafka_record_is_not_taken_for_a_redis_one(tmp_path: Path) -> None:
    me = Record(kind="kafka", pid=os.getpid(), born=born(os.getpid()) or "", ports=(1, 2))
    me.write(tmp_path / "server.json")
    assert RedisServer(tmp_path).pid is None
    assert KafkaServer(tmp_path).pid == os.getpid()
    replace(me, born="x").write(tmp_path / "server.json")
    assert KafkaServer(tmp_path).pid is None


def test_skipped_integration_tests_are_counted_and_named() -> None:
    lines = summary([("b", "no java"), ("a", "no java"), ("c", "no redis")])
    assert lines[0] == "3 INTEGRATION TESTS SKIPPED"
    assert lines[1:4] == ["2 because no java:", "    a", "    b"]
    assert summary([]) == []
