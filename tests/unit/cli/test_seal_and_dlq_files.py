"""`coordinator seal` and `coordinator dlq` on a SQLite log, and what they ask before they do it."""

from __future__ import annotations

import argparse
import io
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import dlq, seal
from coordinator.core.ports import Append
from coordinator.core.route import Raw
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from coordinator.shells.local import LocalShell
from schemas.entries import Stamp, encode_journal
from schemas.journal import ClockTicked, EngineSealed, EngineStarted
from tests.journals import started

SHARDS = 2


def payload(name: str, **fields: Any) -> bytes:
    head = {"type": name, "event_id": f"e-{name}", "event_time": time.time_ns()}
    return json.dumps(head | fields).encode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "live.sqlite"
    bad = [b"\xff\x00", payload("StrategyMuted", source="s", muted="perhaps")]
    with closing(SqliteLog(path)) as made:
        shell = LocalShell(made, shards=SHARDS, clock=time.time_ns)
        shell.start()
        now = time.time_ns()
        shell.accept([Raw("control", "t", 0, i, now, body) for i, body in enumerate(bad)])
        shell.stop()
    return path


def run(command: str, *words: str) -> int:
    parser = argparse.ArgumentParser()
    module = {"seal": seal, "dlq": dlq}[command]
    module.add_parser(parser.add_subparsers())
    args = parser.parse_args([command, *words])
    return int(args.run(args))


def sealed(path: Path) -> list[int]:
    with closing(SqliteLog(path, readonly=True)) as log:
        return [seal.sealed_at(log, shard) for shard in range(SHARDS)]


def test_a_dry_run_and_a_no_leave_the_log_as_it_was(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = log.read_bytes()
    assert run("seal", "--log", str(log), "--dry-run") == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal: nobody to ask
    assert run("seal", "--log", str(log)) == 1
    assert "say --yes" in capsys.readouterr().err
    assert sealed(log) == [-1, -1]
    assert log.read_bytes() == before


def test_a_sealed_file_is_not_sealed_twice(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("seal", "--log", str(log), "--reason", "next", "--yes", "--json") == 0
    places = sealed(log)
    assert min(places) > 0
    shards = json.loads(capsys.readouterr().out)["shards"]
    assert [(one["position"], one["checkpointed"]) for one in shards] == [
        (place, True) for place in places
    ]
    assert run("seal", "--log", str(log), "--yes") == 0
    assert sealed(log) == places


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    assert run("seal", "--log", str(tmp_path / "none.sqlite"), "--yes") == 1
    assert run("dlq", "list", "--log", str(tmp_path / "none.sqlite")) == 1
    assert list(tmp_path.iterdir()) == []


def entry(event: EngineStarted | EngineSealed | ClockTicked) -> Append:
    return Append("journal", 0, encode_journal(Stamp("journal", "", 0, -1, 1), event), 1)


def test_a_seal_counts_until_somebody_starts_behind_it() -> None:
    log = MemoryLog()
    begun = entry(started())
    mark = entry(EngineSealed(event_id="s", event_time=1))
    tick = entry(ClockTicked(event_id="t", event_time=1))
    for one, where in ((begun, -1), (tick, -1), (mark, 2), (tick, 2), (mark, 2), (begun, -1)):
        log.append([one])
        assert seal.sealed_at(log, 0) == where


def test_dead_letters_are_listed_with_their_reasons(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dlq", "list", "--log", str(log), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["letters"][0]["payload"] == {"base64": "/wA="}
    assert [one["count"] for one in found["reasons"]] == [1, 1]
    assert run("dlq", "list", "--log", str(log), "--topic", "signals", "--json") == 0
    assert json.loads(capsys.readouterr().out)["total"] == 0
    assert run("dlq", "list", "--log", str(log), "--limit", "1") == 0
    assert "2 dead letters, 1 shown" in capsys.readouterr().out


def test_a_letters_bytes_are_shown_in_hex_where_they_are_no_text(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dlq", "show", "control", "0", "--log", str(log)) == 0
    assert "00000000  ff 00" in capsys.readouterr().out
    assert run("dlq", "show", "control", "7", "--log", str(log)) == 1


def test_a_mended_letter_is_accepted_and_one_that_is_not_stays(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mended = tmp_path / "mended.json"
    mended.write_bytes(payload("StrategyMuted", source="s") + b"\n")
    with closing(SqliteLog(log, readonly=True)) as before:
        ends = [before.end("journal", shard) for shard in range(SHARDS)]
    assert run("dlq", "redrive", "control", "--all", "--yes", "--log", str(log)) == 1
    assert "would be dead again" in capsys.readouterr().err
    words = ("dlq", "redrive", "control", "1", "--with", str(mended), "--log", str(log))
    assert run(*words, "--dry-run") == 0
    assert run(*words, "--yes") == 0
    with closing(SqliteLog(log, readonly=True)) as after:
        assert [after.end("journal", shard) for shard in range(SHARDS)] == [e + 1 for e in ends]
        assert after.end("control.dlq", 0) == 2


def test_what_was_not_named_is_a_usage_error(log: Path, tmp_path: Path) -> None:
    assert run("dlq", "redrive", "control", "--log", str(log)) == 2
    words = ("--all", "--with", str(tmp_path / "x"))
    assert run("dlq", "redrive", "control", *words, "--log", str(log)) == 2
    assert run("dlq", "purge", "control", "--before", "1", "--yes", "--log", str(log)) == 2
