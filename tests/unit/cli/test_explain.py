"""`coordinator explain` on planted logs."""

from __future__ import annotations

import argparse
import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.cli import explain
from coordinator.log.segments import export
from coordinator.quality.reasons import explain_decision
from schemas.decisions import LimitUse
from schemas.sleeve_examples import sleeves_example
from tests.unit.replay.planted import (
    allocation,
    closed,
    conflict,
    conflicts,
    output_log,
    target,
    trade,
    use,
)

HOSTILE = "[bold red]x[/]\x1b[31m\u202e"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    explain.add_parser(parser.add_subparsers())
    args = parser.parse_args(["explain", *words])
    return int(args.run(args))


@pytest.fixture
def log(tmp_path: Path) -> str:
    made = output_log(
        conflicts(conflict(resolution=HOSTILE)),
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


def test_netting_is_told_where_the_log_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    booked = sleeves_example(0)
    hostile = booked.strategies[0].model_copy(update={"strategy": "[bold red]x[/]/y"})
    lines = (hostile, booked.strategies[1])
    made = output_log(
        allocation(signals=(use("a/1", "A"),), targets=(target("A"),)),
        booked.model_copy(update={"portfolio": "p", "decision_id": "p:1", "strategies": lines}),
        closed(),
    )
    export(made, tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    text = capsys.readouterr().out
    for word in ("Netting: strategies 2, fitted to the answer", "crossing saved 0.17bp (17.40)",
                 "[bold red]x[/]/y", "reversal/daily", "2.89%", "8.70"):  # fmt: skip
        assert word in text
    assert run("p:1", "--log", str(tmp_path / "log"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["sleeves"]["saved"] == booked.saved


def test_without_sleeves_nothing_is_said_of_netting(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("p:1", "--log", log) == 0
    assert "Netting" not in capsys.readouterr().out
    assert run("p:1", "--log", log, "--json") == 0
    assert json.loads(capsys.readouterr().out)["sleeves"] is None


def test_the_whole_story_fits_the_screen(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("p:1", "--log", log) == 0
    text = capsys.readouterr().out
    for word in ("p:1", "a/1", "outvoted", "opposite_direction", "fake optimal", "seq 1", "+10"):
        assert word in text
    assert len(text.splitlines()) < 45


def test_a_long_signal_id_stands_whole_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "momentum-of-the-larger-names/" + "2025-03-10T15:45:00-04:00-" * 3
    made = output_log(allocation(signals=(use(name, "A"),), targets=(target("A"),)), closed())
    export(made, tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert line.split()[1:3] == ["A", "followed"]


def shown(width: int, name: str) -> list[str]:
    """The lines of a signal's row on a terminal of that width."""
    made = output_log(allocation(signals=(use(name, "A"),), targets=(target("A"),)), closed())
    screen = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    with screen.capture() as capture:
        explain.render(explain_decision(made, "p:1"), screen)
    before, _, _ = capture.get().partition("\nparts together")
    _, _, row = before.partition("\nsignal ")
    return row.splitlines()[1:]


def test_an_id_folds_only_where_the_terminal_is_too_narrow_and_is_never_cut() -> None:
    name = "momentum-of-the-larger-names/2025-03-10T15:45:00-04:00"
    [line] = shown(120, name)
    assert line.startswith(f"{name} ")
    folded = shown(70, name)
    assert len(folded) > 1
    assert "".join(line.split()[0] for line in folded) == name


def test_dropped_signals_are_named_with_what_may_drop_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books = closed().model_copy(update={"signals_dropped": ("c/9",)})
    made = output_log(allocation(signals=(use("a/1", "A"),), targets=(target("A"),)), books)
    export(made, tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "c/9" in line]
    assert line.startswith("dropped (direction 0, no price, no exchange rate to the ")


def test_how_much_a_decision_matters_and_how_soon_is_told(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("p:1", "--log", log)
    text = capsys.readouterr().out
    assert "priority 0.75" in text
    assert " 0.25 " in next(line for line in text.splitlines() if "+10" in line)
    assert run("p:1", "--log", log, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["priority"], told["valid_sessions"], told["valid_until"]) == (0.75, 1, None)
    assert [one["urgency"] for one in told["changes"]] == [0.25]


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


def test_a_limit_says_what_it_is_of_whether_it_may_give_way_and_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft = LimitUse(
        limit="sectors", about="[b]Tech", used=0.32, bound=0.3, shadow_price=0.01,
        priority=2, given=0.02,
    )  # fmt: skip
    hard = LimitUse(limit="net_max", used=0.5, bound=0.4, shadow_price=0.02, given=0.1)
    kept = LimitUse(limit="factors", about="value", used=0.1, bound=0.2, shadow_price=0.0)
    export(output_log(allocation(limits=(soft, hard, kept)), closed()), tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "sectors [b]Tech 32.00% 30.00% 1.00bp soft, priority 2, gave way by 2.00%" in text
    assert "net_max 50.00% 40.00% 2.00bp hard, broken by 10.00%" in text
    assert "with room: factors value 10.00% (bound 20.00%)" in text


def binding(limit: str, instrument: str, *, used: float, given: float = 0.0) -> LimitUse:
    """One that costs something."""
    return LimitUse(
        limit=limit, instrument=instrument, used=used, bound=used, shadow_price=0.5, given=given
    )


def test_what_gave_way_is_broken_or_restricted_is_shown_however_many_limits_bind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dear = [binding("position_max", f"DEAR{i}", used=0.1) for i in range(9)]
    gave = [
        LimitUse(limit="must_hold", instrument=f"GAVE{i}", used=0.0, bound=0.1, shadow_price=0.0,
                 priority=1, given=0.1)
        for i in range(6)
    ]  # fmt: skip
    forbidden = binding("restricted", "NEVER", used=0.0)
    idle = binding("position_min", "IDLE", used=0.0)
    made = output_log(allocation(limits=(*dear, idle, forbidden, *gave)), closed())
    export(made, tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    text = capsys.readouterr().out
    assert "Binding limits: 16, and 1 name that may not go below zero" in text
    assert all(f"GAVE{i}" in text for i in range(6))
    assert "NEVER" in text
    assert [f"DEAR{i}" in text for i in range(9)] == [True] * 4 + [False] * 5
    assert "... and 5 more" in text


def test_a_conflict_says_who_is_up_and_who_is_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    up, down = use("a/1", "A"), use("b/2", "A").model_copy(update={"view": -0.01})
    made = output_log(
        conflicts(conflict().model_copy(update={"signals": ("a/1", "b/2", "c/3")})),
        allocation(signals=(up, down), targets=(target("A"),)),
        closed(),
    )
    export(made, tmp_path / "log")
    assert run("p:1", "--log", str(tmp_path / "log")) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "A: up a/1; down b/2; c/3 -> " in text


def test_no_figure_is_a_negative_nought(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = use("a/1", "A").model_copy(update={"own": -1e-9, "utility": -1e-9})
    export(output_log(allocation(signals=(one,), targets=(target("A"),)), closed()), tmp_path / "l")
    assert run("p:1", "--log", str(tmp_path / "l")) == 0
    assert "-0.00" not in capsys.readouterr().out


def test_impact_and_holding_are_told_where_there_are_any(
    tmp_path: Path, log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = {"cost_impact": 0.00004, "cost_holding": -0.00002}
    made = output_log(allocation(targets=(target("A"),)).model_copy(update=costs), closed())
    export(made, tmp_path / "other")
    assert run("p:1", "--log", str(tmp_path / "other")) == 0
    assert "cost 1.00bp (impact 0.40bp), holding -0.20bp" in capsys.readouterr().out
    assert run("p:1", "--log", log) == 0
    assert "(impact" not in capsys.readouterr().out
