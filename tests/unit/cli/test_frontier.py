"""`coordinator frontier`: a table for people, JSON for programs, a line for what is wrong."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

import pytest

from coordinator.cli import frontier
from coordinator.log.open import open_reader
from coordinator.log.segments import export
from replay import frontier as library
from tests.journals import HOUR, SECOND, T0, Inputs, run

AT = T0 + HOUR


def ask(*words: str) -> int:
    parser = argparse.ArgumentParser()
    frontier.add_parser(parser.add_subparsers())
    args = parser.parse_args(["frontier", *words])
    return int(args.run(args))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.registered("s")]
    against = [{"instrument": "A", "weight": 0.5}]
    mandate = {"position_min": -0.4, "position_max": 0.9, "benchmark": against}
    costs = {"borrow_bps_year": 300.0}
    inputs += [make.opened("p[red]", mandate=mandate, costs=costs)]
    inputs += [make.close({"A": 10.0, "B": 20.0}, T0 + SECOND)]
    inputs += [make.signal("s", "A", AT, strength=0.9, confidence=0.9)]
    inputs += [make.signal("s", "B", AT + 1, direction=-1, strength=0.9, confidence=0.9)]
    path = tmp_path_factory.mktemp("log") / "log"
    export(run(inputs, end=AT + HOUR), path)
    return str(path)


def test_a_person_reads_what_each_weight_leads_to_and_which_was_chosen(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p[red]:1", "--log", log, "--points", "5") == 0
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert "frontier of p[red]:1  mode balanced  over risk_aversion, in whole lots" in head
    told = ("risk_aversion", "return", "volatility", "cost", "holding", "tracking", "turnover")
    assert columns.split()[: len(told)] == list(told)
    assert [row.split()[0] for row in rows] == ["1", "2.828", "8", "22.63", "64"]
    assert [row.endswith("<- chosen") for row in map(str.strip, rows)].index(True) == 2


def test_a_weight_goes_by_either_of_its_names(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for name in ("turnover_price", "turnover_price_bps"):
        assert ask("p[red]:1", "--log", log, "--over", name, "--points", "3", "--json") == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]
    assert said[0]["over"] == "turnover_price"
    with pytest.raises(SystemExit) as stopped:
        ask("p[red]:1", "--log", log, "--over", "turnover")
    assert stopped.value.code == 2
    assert "'turnover' is no weight of the objective: use risk" in capsys.readouterr().err
    with closing(open_reader(log)) as reader, pytest.raises(ValueError, match="use risk, cost"):
        library.frontier(reader, "p[red]:1", over="turnover")


def test_a_program_reads_the_same(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--over", "cost", "--points", "4", "--continuous", "--json")
    assert ask("p[red]:1", "--log", log, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["decision_id"], told["field"], told["whole"]) == ("p[red]:1", "cost_weight", False)
    assert [point["value"] for point in told["points"]] == [0.0, 0.125, 1.0, 8.0]
    assert [point["chosen"] for point in told["points"]] == [False, False, True, False]


def test_what_the_log_has_not_is_said_in_a_line(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("q:1", "--log", log) == 1
    assert ask("p[red]:1", "--log", log + "-gone") == 1
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert "no decision 'q:1'" in first
    assert second.startswith("error: ")


@pytest.mark.parametrize("words", [("--points", "2"), ("--points", "x"), ("--over", "gamma")])
def test_a_wrong_option_is_a_matter_of_usage(log: str, words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ask("p[red]:1", "--log", log, *words)
    assert ended.value.code == 2
