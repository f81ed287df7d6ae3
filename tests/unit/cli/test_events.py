"""`coordinator events` on a planted log."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from coordinator.cli import events
from coordinator.core.ports import Append
from coordinator.core.route import DeadLetter, encode_dead_letter
from coordinator.log.memory import MemoryLog
from coordinator.log.segments import export
from schemas.canonical import digest
from schemas.entries import GENESIS, Stamp, encode_journal, encode_output
from schemas.journal import ClockTicked
from schemas.portfolios import CashMoved
from schemas.signals import SignalIssued
from tests.unit.replay.planted import allocation, closed, conflict, conflicts

SECOND = 1_000_000_000


def journaled(source: str, at: int) -> Append:
    event = SignalIssued(
        event_id=f"{source}-{at}", event_time=at, source=source, strategy="s", instrument="A",
        direction=1,
    )  # fmt: skip
    return Append("journal", 0, encode_journal(Stamp("signals", "t", 0, at, at), event), at)


@pytest.fixture
def log(tmp_path: Path) -> str:
    made = MemoryLog()
    first = encode_output(0, 0, 0, GENESIS, allocation("p", decided_at=SECOND))
    second = encode_output(0, 1, 1, digest(first), closed("q"))
    letter = encode_dead_letter(DeadLetter("signals", "partition 0 offset 1", "bad\x1b", b"\xff"))
    made.append([journaled("s1", SECOND), journaled("s2", 2 * SECOND)])
    made.append([Append("decisions", 0, first, SECOND), Append("decisions", 0, second, SECOND)])
    made.append([Append("signals.dlq", 0, letter, 3 * SECOND), Append("checkpoints", 0, b"x", 1)])
    export(made, tmp_path / "log")
    return str(tmp_path / "log")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    events.add_parser(parser.add_subparsers())
    args = parser.parse_args(["events", *words])
    return int(args.run(args))


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert run(*words, "--json") == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_events_come_by_time_and_causes_before_effects(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = lines(capsys, "--log", log)
    assert [one["type"] for one in listed] == [
        "SignalIssued", "AllocationDecided", "RoundClosed", "SignalIssued", "DeadLetter",
    ]  # fmt: skip
    assert list(listed[0]) == ["topic", "shard", "position", "journal_time", "type", "event"]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--type", "SignalIssued"), 2),
        (("--type", "DeadLetter"), 1),
        (("--portfolio", "q"), 1),
        (("--source", "s2"), 1),
        (("--topic", "decisions"), 2),
        (("--topic", "checkpoints"), 1),
        (("--shard", "1"), 0),
        (("--since", "1970-01-01T00:00:02Z"), 2),
        (("--until", "2000000000"), 3),
        (("--limit", "2"), 2),
        (("--since", "1970-01-01T01:00:01+01:00", "--until", "1970-01-01T00:00:02Z"), 3),
    ],
)
def test_each_filter_keeps_what_it_names(
    log: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], count: int
) -> None:
    assert len(lines(capsys, "--log", log, *words)) == count


def test_text_lines_are_short_and_harmless(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--log", log) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 5
    assert "1970-01-01T00:00:01.000Z" in out
    assert "bad\\x1b" in out
    assert "\x1b" not in out


def test_why_comes_first_and_what_is_too_long_is_cut_not_left_out() -> None:
    rejected = {"source": "s", "signal_id": "x" * 150, "reason": "stale", "detail": "9 days late"}
    line = events._line(events.Listed("decisions", 0, 0, 0, "SignalRejected", rejected))
    assert " reason=stale detail=9 days late source=s signal_id=xxx" in line
    assert line.endswith("x...")
    letter = {"topic": "market", "where": "partition 0", "reason": "r" * 300, "payload": {}}
    line = events._line(events.Listed("market.dlq", 0, 0, 0, "DeadLetter", letter))
    assert " reason=rrr" in line
    assert len(line) < 230


def test_conflicts_show_the_first_of_them() -> None:
    event = conflicts(conflict(), conflict(signals=("c/3",))).model_dump(mode="json")
    line = events._line(events.Listed("decisions", 0, 0, 0, "ConflictsDetected", event))
    assert "conflicts=2 items: {kind=opposite_direction instruments=A signals=a/1,b/2" in line


def test_text_tells_times_as_dates_and_numbers_in_four_digits(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--log", log, "--type", "SignalIssued", "--limit", "1") == 0
    assert "event_time=1970-01-01T00:00:01.000Z" in capsys.readouterr().out
    assert lines(capsys, "--log", log, "--limit", "1")[0]["journal_time"] == SECOND


def test_a_time_that_no_calendar_has_is_told_as_it_stands() -> None:
    listed = events.Listed("journal", 0, 0, 0, "X", {"event_time": 10**30, "opened_at": -1})
    assert events._line(listed).endswith(f" event_time={10**30} opened_at=-1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"), (-1.5, "-1.5"), (12345.678, "12346"), (5.0, "5"),
        (1e-9 / 3, "3.333e-10"), (1e300, "1e+300"),
    ],
)  # fmt: skip
def test_numbers_have_four_digits_and_none_before_the_point_is_lost(
    value: float, text: str
) -> None:
    listed = events.Listed("decisions", 0, 0, 0, "X", {"weight": value})
    assert events._line(listed).endswith(f" weight={text}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--portfolio", "x\x1b"), "no portfolio x\\x1b; it has: p, q"),
        (("--source", "s3"), "no source s3; it has: s1, s2"),
        (("--topic", "orders"), "no topic orders; it has: checkpoints, decisions, journal, sig"),
        (("--shard", "4"), "no shard 4; it has: 0"),
        (("--type", "TradesExpired"), "it has: AllocationDecided, DeadLetter, RoundClosed, Sig"),
        (("--portfolio", "q", "--type", "SignalIssued"), "no event of the log passes all of these"),
    ],
)
def test_filters_that_leave_nothing_are_told_on_stderr_with_what_there_is(
    log: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run("--log", log, *words) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
    assert "Unknown" not in told.err


def test_nothing_is_noted_when_something_is_listed_or_nothing_was_wanted(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--log", log, "--portfolio", "q") == 0
    assert run("--log", log, "--portfolio", "x", "--limit", "0") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("time", ["2024-01-01", "yesterday", "2024-01-01T00:00:00"])
def test_a_time_without_a_zone_is_a_usage_error(log: str, time: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--log", log, "--since", time)
    assert caught.value.code == 2


def test_a_reader_that_leaves_early_ends_the_listing_quietly(log: str) -> None:
    code = (
        "import argparse, sys; from coordinator.cli import events\n"
        "parser = argparse.ArgumentParser(); events.add_parser(parser.add_subparsers())\n"
        f"args = parser.parse_args(['events', '--log', {log!r}])\n"
        "sys.stdin.read(1); sys.exit(args.run(args))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stdin.write(b"x")
        child.stdin.close()
        assert child.stderr.read() == b""
        assert child.wait() == 0


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """Two shards: a tick on each, a signal that both have, a portfolio's cash on the second."""
    made = MemoryLog()
    stamp = Stamp("portfolios", "t", 0, 0, SECOND)
    cash = CashMoved(
        event_id="c", event_time=SECOND, portfolio="p", amount=Decimal(1), currency="USD"
    )
    signal = journaled("s1", 2 * SECOND)
    for shard in (0, 1):
        tick = ClockTicked(event_id="tick", event_time=SECOND)
        entry = encode_journal(Stamp("journal", "", 0, -1, SECOND), tick)
        made.append([Append("journal", shard, entry, SECOND)])
        made.append([Append("journal", shard, signal.payload, 2 * SECOND)])
    made.append([Append("journal", 1, encode_journal(stamp, cash), 3 * SECOND)])
    export(made, tmp_path / "shards")
    return str(tmp_path / "shards")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], [("SignalIssued", 0), ("CashMoved", 1)]),
        (["--shard", "1"], [("SignalIssued", 1), ("CashMoved", 1)]),
        (["--type", "ClockTicked"], [("ClockTicked", 0), ("ClockTicked", 1)]),
        (["--type", "SignalIssued"], [("SignalIssued", 0)]),
        (["--type", "SignalIssued", "--all"], [("SignalIssued", 0), ("SignalIssued", 1)]),
        (
            ["--all"],
            [
                ("ClockTicked", 0), ("ClockTicked", 1), ("SignalIssued", 0), ("SignalIssued", 1),
                ("CashMoved", 1),
            ],
        ),
    ],
)  # fmt: skip
def test_ticks_and_copies_on_every_shard_are_for_who_asks_for_them(
    shards: str,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: list[tuple[str, int]],
) -> None:
    found = lines(capsys, "--log", shards, *words)
    assert [(line["type"], line["shard"]) for line in found] == told


def test_a_list_is_told_by_its_length(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--log", log, "--type", "RoundClosed") == 0
    assert re.search(r"signals_used=(1 item|[0-9]+ items) ", capsys.readouterr().out)
