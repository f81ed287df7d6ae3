"""`coordinator explain` on planted logs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from coordinator.cli import explain
from coordinator.log.segments import export
from tests.unit.replay.planted import allocation, closed, conflict, output_log, target, trade, use

HOSTILE = "[bold red]x[/]\x1b[31m\u202e"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    explain.add_parser(parser.add_subparsers())
    args = parser.parse_args(["explain", *words])
    return int(args.run(args))


@pytest.fixture
def log(tmp_path: Path) -> str:
    made = output_log(
        conflict(resolution=HOSTILE),
        allocation(
            signals=(use("a/1", "A"), use("b/[red]2[/red]", "A", "outvoted")),
            targets=(target("A"),), trades=(trade("A", "10", trade_id="p:1:A"),),
            remarks=(HOSTILE,),
        ),
        closed(),
        closed(round_number=2, outcome="nothing_to_do"),
    )  # fmt: skip
    export(made, tmp_path / "log")
    return str(tmp_path / "log")


def test_the_whole_story_fits_the_screen(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("p:1", "--log", log) == 0
    text = capsys.readouterr().out
    for word in ("p:1", "a/1", "outvoted", "opposite_direction", "fake optimal", "seq 1", "+10"):
        assert word in text
    assert len(text.splitlines()) < 45


def test_hostile_names_reach_the_terminal_escaped(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("p:1", "--log", log)
    text = capsys.readouterr().out
    assert "[bold red]x[/]\\x1b[31m\\u202e" in text
    assert "b/[red]2[/red]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_json_tells_everything_once(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("p:1", "--log", log, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["decision_id"] == "p:1"
    assert told["conflicts"][0]["resolution"] == HOSTILE
    assert {one["signal"] for one in told["signals"]} == {"a/1", "b/[red]2[/red]"}


def test_an_unknown_decision_fails_with_a_hint(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:3", "--log", log) == 1
    said = capsys.readouterr()
    assert "did you mean p:1" in said.err
    assert said.out == ""


def test_a_round_without_a_decision_fails_with_its_outcome(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:2", "--log", log) == 1
    assert "nothing_to_do" in capsys.readouterr().err


def test_a_missing_log_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("p:1", "--log", str(tmp_path / "no")) == 1
    assert "error: " in capsys.readouterr().err
