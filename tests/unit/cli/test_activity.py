"""`coordinator activity` on a recorded run: the same windows that a live worker serves."""

from __future__ import annotations

import argparse
import json

import pytest

from coordinator.cli import activity
from coordinator.log.memory import MemoryLog
from coordinator.log.segments import export
from tests.journals import DAY, HOUR, SECOND, T0, Inputs, run


def ask(*words: str) -> int:
    parser = argparse.ArgumentParser()
    activity.add_parser(parser.add_subparsers())
    args = parser.parse_args(["activity", *words])
    return int(args.run(args))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s", rate_per_minute=1), make.registered("[red]u")]
    inputs += [make.opened("p", cash="1000"), make.opened("[red]q"), make.prices({"A": 10.0}, T0)]
    for hour in (1, 2, 30):
        at = T0 + hour * HOUR
        inputs += [make.signal("s", "A", at + n) for n in range(2)]
        inputs += [make.signal("[red]u", "A", at + SECOND, direction=-1)]
        inputs += [make.fill("p", "A", "10", "10", at + 2 * SECOND)]
    path = tmp_path_factory.mktemp("log") / "log"
    export(run(inputs, shards=2, end=T0 + 3 * DAY), path)
    return str(path)


def test_windows_of_everybody_are_shown(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--log", log, "--window", "1d") == 0
    text = capsys.readouterr().out
    for word in ("[red]q", "[red]u", "rate_limited 2", "2025-10-10T00:00:00.000Z", "50.0%"):
        assert word in text


def test_one_portfolio_as_json_by_tumbling_and_sliding_windows(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--log", log, "--window", "1h", "--portfolio", "p", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size_s"], found["hop_s"], found["sources"]) == (3600, 3600, [])
    (portfolio,) = found["portfolios"]
    assert [one["fills"] for one in portfolio["windows"]] == [1, 1, 1]
    words = ("--window", "2h", "--hop", "1h", "--portfolio", "p", "--json", "--last", "3")
    assert ask("--log", log, *words) == 0
    (portfolio,) = json.loads(capsys.readouterr().out)["portfolios"]
    told = [((one["begins_at"] - T0) // HOUR, one["fills"]) for one in portfolio["windows"]]
    assert told == [(1, 2), (2, 1), (29, 1)]


def test_windows_that_are_left_out_are_counted(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--log", log, "--window", "1h", "--portfolio", "p")
    assert ask(*words) == 0
    assert "left out" not in capsys.readouterr().out
    assert ask(*words, "--last", "1") == 0
    assert "2 earlier windows left out (--last): p" in capsys.readouterr().out
    assert ask(*words, "--last", "2", "--json") == 0
    (portfolio,) = json.loads(capsys.readouterr().out)["portfolios"]
    assert (len(portfolio["windows"]), portfolio["left_out"]) == (2, 1)


def test_one_source_with_what_its_home_shard_and_the_rounds_say(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--log", log, "--window", "7d", "--source", "s", "--json") == 0
    (source,) = json.loads(capsys.readouterr().out)["sources"]
    (window,) = source["windows"]
    assert window["signals"]["accepted"] == 3
    assert window["signals"]["rejected"] == {"rate_limited": 3}
    assert window["rounds"]["portfolios"] == 2
    contested, used = window["rounds"]["contested"], window["rounds"]["used"]
    assert 0 < contested < used
    assert window["rounds"]["conflict_rate"] == contested / used


@pytest.mark.parametrize(
    "words", [("--hop", "7m"), ("--window", "1m", "--hop", "1h"), ("--last", "0")]
)
def test_windows_that_cannot_be_made_are_a_usage_error(
    log: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--log", log, *words) == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("length", ["1w", "0", "-1h", "", "1.5h", "1h1m", "9999999999"])
def test_a_length_that_is_none_is_refused(log: str, length: str) -> None:
    with pytest.raises(SystemExit):
        ask("--log", log, f"--window={length}")


@pytest.mark.parametrize("option", ["--portfolio", "--source"])
def test_who_is_not_there_is_told_with_who_is(
    log: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--log", log, option, "nobody") == 1
    assert "'nobody'" in capsys.readouterr().err


def test_a_log_without_panes_says_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    quiet: MemoryLog = run([Inputs().listed("A")], end=T0 + DAY)
    export(quiet, path)
    assert ask("--log", str(path)) == 1
    assert "backtest" in capsys.readouterr().err
