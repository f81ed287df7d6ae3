"""`coordinator sources` and `coordinator signals` on a recorded run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from coordinator.cli import signals, sources
from coordinator.cli.console import output
from coordinator.log.segments import export
from coordinator.quality.sources import source_lines
from replay.standing import Moment, standing
from tests.journals import DAY, HOUR, SECOND, T0, Inputs, run


def ask(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    sources.add_parser(commands)
    signals.add_parser(commands)
    args = parser.parse_args(words)
    return int(args.run(args))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.registered("s", rate_per_minute=2)]
    inputs += [make.registered("[red]u", kind="model", priority=0.9), make.opened("p")]
    inputs += [make.close({"A": 10.0}, T0 + SECOND), make.signal("s", "A", T0 + HOUR)]
    inputs += [make.signal("s", "B", T0 + HOUR + n) for n in range(3)]
    inputs += [make.signal("[red]u", "A", T0 + 2 * HOUR, expected_return=-0.02, confidence=0.8)]
    path = tmp_path_factory.mktemp("log") / "log"
    export(run(inputs, end=T0 + DAY), path)
    return str(path)


def test_each_source_has_its_record(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("sources", "--log", log) == 0
    text = capsys.readouterr().out
    for word in ("[red]u", "model", "0.90", "rate_limited 2"):
        assert word in text
    assert ask("sources", "s", "--log", log, "--json") == 0
    (line,) = json.loads(capsys.readouterr().out)["sources"]
    assert (line["accepted"], line["live"]) == (2, 2)
    assert line["rejected"] == [["rate_limited", 2]]


def test_what_a_source_had_said_by_a_moment(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("sources", "[red]u", "--log", log, "--json", "--at", str(T0 + HOUR)) == 0
    (line,) = json.loads(capsys.readouterr().out)["sources"]
    assert (line["accepted"], line["last_at"]) == (0, None)


def test_a_portfolios_views_tell_what_they_say_and_why_they_do_not_count(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("signals", "p", "--log", log, "--json") == 0
    answer = capsys.readouterr().out
    found = json.loads(answer)["signals"]
    told = {(one["source"], one["instrument"]): one for one in found["lines"]}
    assert told["s", "B"]["why"] == "no price"
    assert told["s", "B"]["own"] is None
    both = told["s", "A"]["own"] + told["[red]u", "A"]["own"]
    assert told["[red]u", "A"]["view"] < 0 < told["s", "A"]["view"]
    assert told["[red]u", "A"]["own"] < both < told["s", "A"]["own"]
    assert ask("signals", "p", "--log", log) == 0
    text = capsys.readouterr().out
    assert "of the journal, 3 live views, looking 5 sessions ahead" in text
    assert f"position {json.loads(answer)['position']} of the journal" in text


def test_a_sources_curve_and_what_its_usual_confidence_stands_for_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make = Inputs()
    inputs = [make.registered("s"), make.registered("t"), make.opened("p")]
    state = standing(run(inputs, end=T0 + DAY), 0, Moment()).state
    known = state.sources["s"].skill.calibration
    for n in range(400):
        known.add(0.75, 0.52, hit=n % 4 == 0, weight=1.0)
    line, other = source_lines(state)
    assert line.usual_confidence == 0.75
    assert line.usual_hit_rate is not None
    assert 0.25 < line.usual_hit_rate < 0.4
    assert (other.usual_confidence, other.usual_hit_rate) == (None, None)
    for part in (*sources._mapped((line, other)), *sources._curve(line), *sources._curve(other)):
        output().print(part)
    text = capsys.readouterr().out
    assert "as the usual ones do of: s\n" in text
    assert "70% to 80% 400 100 25.0% 52.0%" in " ".join(text.split())
    assert "no outcome of a signal with a stated confidence is known yet" in text


@pytest.mark.parametrize("words", [("signals", "q"), ("sources", "q")])
def test_who_is_not_there_isanswer_with_who_is(
    log: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*words, "--log", log) == 1
    assert "'q'" in capsys.readouterr().err


def test_who_asks_for_a_portfolio_that_is_not_there_isanswer_of_all_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = Inputs()
    names = ("p", "q", "r", "t", "u")
    export(run([make.opened(name) for name in names], shards=4, end=T0 + DAY), tmp_path / "log")
    assert ask("signals", "nobody", "--log", str(tmp_path / "log")) == 1
    said = capsys.readouterr().err
    assert "no portfolio 'nobody' at that moment; the log tells of: p, q, r, t, u" in said


@pytest.mark.parametrize("at", ["999999", str(T0 + 900 * DAY)])
def test_a_moment_beyond_the_end_is_the_end_and_that_is_said(
    log: str, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("sources", "s", "--log", log, "--json", "--at", at) == 0
    beyond = capsys.readouterr()
    assert "note: --at lies beyond the journal's end, which is shown: position " in beyond.err
    assert ask("sources", "s", "--log", log, "--json") == 0
    end = capsys.readouterr()
    assert (end.out, end.err) == (beyond.out, "")


def test_a_moment_between_two_records_is_no_moment_beyond_the_end(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("sources", "s", "--log", log, "--json", "--at", str(T0 + HOUR + HOUR // 2)) == 0
    assert capsys.readouterr().err == ""
