"""backtest, replay, audit, explain and events, one after the other as a user would type them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from coordinator.cli import audit, backtest, events, explain, replay
from coordinator.core.ports import Append
from coordinator.log.sqlite import SqliteLog
from replay.divergence import Difference
from replay.lookahead import Cut, LookaheadReport
from tests.unit.replay.worlds import input_log


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for module in (audit, backtest, events, explain, replay):
        module.add_parser(commands)
    args = parser.parse_args(words)
    return int(args.run(args))


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("logs")
    log = input_log(shards=2, sessions=3)
    with SqliteLog(folder / "inputs.sqlite") as written:
        for topic, shard in log.partitions():
            for record in log.read(topic, shard):
                written.append([Append(topic, shard, record.payload, record.journal_time)])
    out = folder / "run.sqlite"
    report = folder / "report.html"
    words = ("--log", str(folder / "inputs.sqlite"), "--out", str(out), "--report", str(report))
    assert run("backtest", *words) == 0
    assert report.stat().st_size > 1_000
    return str(folder / "inputs.sqlite"), str(out)


def test_a_backtest_tells_what_it_did(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "again.sqlite")
    assert run("backtest", "--log", logs[0], "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["decisions"] == told["summary"]["decisions"] > 0
    assert told["ticks"] > 0
    assert told["out"] == out
    assert run("backtest", "--log", logs[0], "--out", out) == 2
    assert "--force" in capsys.readouterr().err
    assert run("backtest", "--log", logs[0], "--out", out, "--force") == 0
    assert "--verify" in capsys.readouterr().out


def test_a_backtest_prints_results_and_no_words_of_the_engine(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "again.sqlite", tmp_path / "again.html"
    assert run("backtest", "--log", logs[0], "--out", str(out), "--report", str(report)) == 0
    told = capsys.readouterr().out
    for word in ("signals in", "rejected", "conflicts", "decided (", "filled", "return", "closing"):
        assert word in told
    for word in ("dropped", "ticks", "outputs", "left out"):
        assert word not in told
    assert "time to decide" in report.read_text(encoding="utf-8")


def test_a_backtest_of_a_run_explains_the_fills_it_left_out(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("backtest", "--log", logs[1], "--out", str(tmp_path / "again.sqlite")) == 0
    assert "left out: the simulated market fills anew" in capsys.readouterr().out


def test_a_run_verifies(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("replay", "--log", logs[1], "--verify") == 0
    assert "verified: " in capsys.readouterr().out
    assert run("replay", "--log", logs[1], "--verify", "--from-checkpoint", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def altered(log: str, path: Path, old: bytes, new: bytes) -> str:
    with SqliteLog(log, readonly=True) as reader, SqliteLog(path) as written:
        for topic, shard in reader.partitions():
            for record in reader.read(topic, shard):
                payload = record.payload.replace(old, new)
                written.append([Append(topic, shard, payload, record.journal_time)])
    return str(path)


def test_a_difference_exits_3_with_field_and_both_values(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = altered(logs[1], tmp_path / "a.sqlite", b'"cash":"1000000"', b'"cash":"1000001"')
    assert run("replay", "--log", log, "--verify") == 3
    out = capsys.readouterr().out
    assert "first difference: shard " in out
    assert "recorded " in out
    assert "derived  " in out
    assert run("replay", "--log", log, "--verify", "--json") == 3
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert run("audit", "lookahead", "--log", log) == 3


def test_another_builds_log_exits_4_unless_compared_anyway(
    logs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("replay.identity.identity", lambda: ("newer", "same", "other"))
    assert run("replay", "--log", logs[1], "--verify") == 4
    assert "(here newer)" in capsys.readouterr().err
    assert run("replay", "--log", logs[1], "--verify", "--this-engine") == 0
    assert run("audit", "lookahead", "--log", logs[1]) == 4


def test_a_flipped_byte_exits_1_naming_the_record(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(Path(logs[1]).read_bytes())
    data[data.index(b'{"type":"AllocationDecided"') + 40] ^= 1
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(data)
    assert run("replay", "--log", str(damaged), "--verify") == 1
    assert "record decisions/" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("replay", "--verify"), ("audit", "lookahead")])
def test_a_log_that_cannot_be_replayed_exits_1(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--log", str(tmp_path / "none")) == 1
    with SqliteLog(tmp_path / "empty.sqlite") as log:
        log.append([Append("signals.dlq", 0, b"{}", 1)])
    assert run(*words, "--log", str(tmp_path / "empty.sqlite")) == 1
    assert capsys.readouterr().err.count("error: ") == 2


def test_an_audit_tells_each_cut(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "lookahead", "--log", logs[1], "--cuts", "2") == 0
    assert "no decision used later data" in capsys.readouterr().out
    assert run("audit", "lookahead", "--log", logs[1], "--cuts", "1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert len(told["cuts"]) == 4


def test_an_audit_leaves_out_the_rows_of_shards_that_said_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    apart = (Difference("number of outputs", 0, 1),)
    cuts = (
        Cut(1, 0, "changed", 2, 3, ()),
        Cut(1, 3, "changed", 0, 0, ()),
        Cut(1, 4, "changed", 0, 0, ()),
        Cut(1, 5, "cut off", 0, 0, apart),
    )
    audit._show(LookaheadReport(cuts, ()))
    out = capsys.readouterr().out
    assert out.count("identical") == 1
    assert "LOOKED AHEAD" in out
    assert "2 shards without outputs at these times: nothing to compare" in out


def test_every_decision_listed_can_be_explained(
    logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("events", "--log", logs[1], "--type", "AllocationDecided", "--json") == 0
    ids = [
        json.loads(line)["event"]["decision_id"] for line in capsys.readouterr().out.splitlines()
    ]
    assert ids
    for decision_id in ids:
        assert run("explain", decision_id, "--log", logs[1], "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["contributions"] == pytest.approx(told["after"]["expected_return"], abs=1e-9)
