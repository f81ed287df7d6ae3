"""`coordinator explain`: forces that add up, the quality of a decision, and leaving sources out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.log.segments import export
from tests.journals import run as run_log
from tests.recorded import end_of, recorded
from tests.unit.cli.test_explain import run
from tests.unit.cli.test_portfolio import ask
from tests.unit.replay.planted import allocation, closed, output_log, quality, target, trade, use
from tests.unit.replay.test_leave_out import ALL

FORCES = (("opinion", 0.004), ("risk", -0.0025), ("position_max", -0.001), ("[b]cost", -0.0005))


@pytest.fixture
def planted(tmp_path: Path) -> str:
    pulled = target("A").model_copy(update={"forces": FORCES, "residual": 3e-9})
    held = pulled.model_copy(update={"instrument": "HELD", "weight_before": 0.01})
    made = output_log(
        allocation(
            signals=(use("a/1", "A", own=0.006), use("b/2", "A", "outvoted", own=-0.002)),
            targets=(pulled, held), trades=(trade("A", "10", trade_id="p:1:A"),),
        ),
        quality(),
        closed(),
    )  # fmt: skip
    export(made, tmp_path / "log")
    return str(tmp_path / "log")


def test_who_pushed_what_held_against_it_and_that_it_adds_up_is_one_line_an_instrument(
    planted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:1", "--log", planted) == 0
    text = capsys.readouterr().out
    assert "adds up to 0 within 3e-09" in text
    assert (
        "A  opinion 40.00bp (a/1 60.00bp, b/2 -20.00bp); "
        "risk -25.00bp, position_max -10.00bp, [b]cost -5.00bp"
    ) in text.splitlines()
    assert "HELD  opinion" not in text
    assert len(text.splitlines()) < 50


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            (0.006, -0.003),
            "opinion 40.00bp (a/1 60.00bp, b/2 -30.00bp; from other names 10.00bp); ",
        ),
        ((), "opinion 40.00bp (from other names 40.00bp); "),
    ],
)
def test_what_other_names_make_of_an_opinion_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: tuple[float, ...], said: str
) -> None:
    pulled = target("A").model_copy(update={"forces": FORCES, "residual": 3e-9})
    heard = zip(("a/1", "b/2"), own, strict=False)
    signals = tuple(use(name, "A", own=part) for name, part in heard)
    made = output_log(
        allocation(
            signals=signals, targets=(pulled,), trades=(trade("A", "21400", trade_id="p:1:A"),)
        ),
        closed(),
    )
    export(made, tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    assert f"A  {said}" in capsys.readouterr().out
    assert run("p:1", "--log", str(tmp_path / "log"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["changes"][0]["trade"] == "21400"


def test_the_quality_is_shown_with_its_parts(
    planted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:1", "--log", planted) == 0
    assert "quality 0.50 of payoff 0.40, stability 0.60" in capsys.readouterr().out
    assert run("p:1", "--log", planted, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["quality"], told["quality_parts"][0]) == (0.5, ["payoff", 0.4])
    assert told["changes"][0]["forces"][0] == ["opinion", 0.004]


def test_a_log_without_forces_or_scores_is_shown_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(output_log(allocation(targets=(target("A"),)), closed()), tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    text = capsys.readouterr().out
    assert "What pulled" not in text
    assert "quality" not in text


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("log") / "log"
    export(ALL, path)
    return str(path)


def test_each_source_that_was_heard_is_left_out_in_turn(
    decided: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:1", "--log", decided, "--without-sources") == 0
    text = capsys.readouterr().out
    for source in ("s", "t", "u"):
        assert f"without {source}: " in text
    assert " instead of " in text
    assert run("p:1", "--log", decided, "--without-sources", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(one["source"] for one in told["sources"]) == ["s", "t", "u"]


def test_a_source_that_is_named_alone_is_left_out(
    decided: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:1", "--log", decided, "--without-sources", "silent") == 0
    text = capsys.readouterr().out
    assert "without silent: the same trades" in text
    assert "without s:" not in text
    assert run("p:1", "--log", decided, "--without-sources", "s, silent,t", "u") == 0
    text = capsys.readouterr().out
    for source in ("s", "silent", "t", "u"):
        assert f"without {source}: " in text


def test_a_decision_that_the_sources_swallowed_is_asked_for(
    decided: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--log", decided, "--without-sources", "s", "p:1") == 2
    assert "say which decision before --without-sources" in capsys.readouterr().err
    assert run("--log", decided) == 2
    assert "say which decision" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("p:1", "--without-sources", "ghost"), "no source 'ghost'"),
        (("p:9", "--without-sources"), "did you mean p:1"),
    ],
)
def test_what_cannot_be_left_out_is_said(
    decided: str, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words[0], "--log", decided, *words[1:]) == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_a_portfolio_shows_how_good_its_late_decisions_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = recorded(3, days=2)
    export(run_log(inputs, end=end_of(inputs)), tmp_path / "log")
    assert ask("p-short", "--log", str(tmp_path / "log"), "--json") == 0
    told = json.loads(capsys.readouterr().out)["quality"]
    assert 0 < told["count"] <= 20
    assert ask("p-short", "--log", str(tmp_path / "log")) == 0
    text = capsys.readouterr().out
    assert f"quality {told['score']:.2f}, mean of {told['count']} late decisions: conflict" in text
