"""`coordinator impact` on a recorded run: trades asked about, decisions, what would be decided."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import impact
from coordinator.log.segments import export
from schemas.decisions import AllocationDecided
from tests.journals import DAY, HOUR, SECOND, T0, Inputs, events_of, run

AT = T0 + DAY


def ask(*words: str) -> int:
    parser = argparse.ArgumentParser()
    impact.add_parser(parser.add_subparsers())
    args = parser.parse_args(["impact", *words])
    return int(args.run(args))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, AllocationDecided]:
    """A portfolio that decides once, and whose trades never fill; the log and the decision."""
    make = Inputs()
    inputs = [make.listed("A", sector="Tech[x]"), make.listed("B=1"), make.listed("C", lot="0")]
    inputs += [make.registered("s"), make.opened("p", mode="aggressive")]
    inputs += [make.close({"A": 10.0, "B=1": 20.0, "C": 5.0}, T0 + HOUR)]
    inputs += [make.signal("s", name, AT, strength=0.9) for name in ("A", "B=1")]
    log = run(inputs, end=AT + HOUR)
    path = tmp_path_factory.mktemp("log") / "log"
    export(log, path)
    (decision,) = events_of(log, AllocationDecided)
    return str(path), decision


@pytest.fixture
def log(recorded: tuple[str, AllocationDecided]) -> str:
    return recorded[0]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert ask(*words, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_trades_are_shown_with_risk_exposure_costs_and_broken_limits(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("p", "--log", log, "--trade", "C=10%", "--target", "A=0", "--trade", "B=1=6000")
    assert ask(*words) == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in ("impact of the trades asked about on p", "3 trades", "volatility a year",
                 "effective bets", "95% 1 session", "Tech[x]", "factors: market",
                 "whichever open orders fill: 2", "position_max B=1 10.00%", "position_min A 0.00%",
                 "of volume", "sessions to sell: at 10% of the volume"):  # fmt: skip
        assert word in text
    assert "-0.00" not in text


def test_json_has_every_name_and_says_where_it_stands(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, "p", "--log", log, "--trade", "C=2500.5")
    assert found["position"] > 0
    answer = found["impact"]
    assert answer["question"] == "trades"
    names = {one["instrument"]: one for one in answer["names"]}
    assert names["C"]["quantity"] == "2500.5"
    assert names["C"]["trade"] == pytest.approx(2500.5 * 5.0 / 1_000_000)
    assert set(names) == {"A", "B=1", "C"}
    assert answer["after"]["volatility"] > answer["before"]["volatility"]
    assert answer["limits"] == []


def test_a_decision_is_shown_as_it_was_recorded(
    recorded: tuple[str, AllocationDecided], capsys: pytest.CaptureFixture[str]
) -> None:
    log, decision = recorded
    found = told(capsys, "--decision", "p:1", "--log", log)["impact"]
    assert (found["question"], found["decision_id"]) == ("decision", "p:1")
    assert {one["instrument"]: one["weight_after"] for one in found["names"]} == pytest.approx(
        {one.instrument: one.weight for one in decision.targets}
    )
    assert found["after"]["volatility"] == pytest.approx(decision.after.volatility)
    assert found["cost"] == pytest.approx(decision.cost)
    assert ask("--decision", "p:1", "--log", log) == 0
    assert "impact of decision p:1 on p" in capsys.readouterr().out


def test_without_trades_it_is_what_would_be_decided_and_nothing_is_recorded(
    recorded: tuple[str, AllocationDecided], capsys: pytest.CaptureFixture[str]
) -> None:
    log, decision = recorded
    files = {path: path.read_bytes() for path in Path(log).rglob("*") if path.is_file()}
    before = told(capsys, "p", "--log", log, "--at", str(AT))["impact"]
    assert before["question"] == "engine"
    assert before["before"]["positions"] == 0
    assert {one["instrument"]: one["quantity"] for one in before["names"]} == {
        one.instrument: f"{one.quantity:f}" for one in decision.trades
    }
    after = told(capsys, "p", "--log", log)["impact"]
    assert after["before"]["gross"] == pytest.approx(decision.after.gross)
    assert after["turnover"] < 1e-3  # what was decided is on its way already
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("q",), "no portfolio 'q' at that moment; the log tells of: p"),
        (
            ("p", "--at", "0"),
            "no portfolio 'p' at that moment: it is opened at ",
        ),
        (("p", "--trade", "AB=1"), "no instrument 'AB' is listed at that moment; did you mean A?"),
        (("p", "--trade", "A=1", "--target", "A=2"), "'A' is asked about twice"),
        (("--decision", "p:2"), "no decision 'p:2' in this log; did you mean p:1?"),
        (("p", "--trade", "A=1", "--at", str(T0 + SECOND)), "'A' has no price at that moment"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    log: str, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*words, "--log", log) == 1
    refused = capsys.readouterr()
    assert refused.out == ""
    assert says in refused.err
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("p", "--decision", "p:1"),
        ("--decision", "p:1", "--trade", "A=1"),
        ("--decision", "p:1", "--at", "3"),
    ],
)
def test_too_much_and_too_little_is_a_wrong_use(
    log: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*words, "--log", log) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("A", "is not INSTRUMENT=AMOUNT"),
        ("=5", "is not INSTRUMENT=AMOUNT"),
        ("A=", "is not INSTRUMENT=AMOUNT"),
        ("A=much", "no number of units"),
        ("A=nan", "no number of units"),
        ("A=inf%", "no number of units"),
        ("A=20000%", "lies beyond 10,000%"),
        ("A=1e16", "lies beyond 1,000,000,000,000,000"),
        ("A=0", "trades nothing"),
    ],
)
def test_an_amount_that_is_none_is_refused(
    log: str, option: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        ask("p", "--log", log, "--trade", option)
    assert refused.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_log_that_is_not_there_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", str(tmp_path / "none")) == 1
    assert ask("--decision", "p:1", "--log", str(tmp_path / "none")) == 1
    assert capsys.readouterr().err.count("\n") == 2
