"""`coordinator send`: all lines are checked before the first is sent."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import send
from coordinator.core.route import Raw, read_event
from coordinator.log.kafka import layout, producing
from coordinator.log.kafka.producing import Message, key_of_event
from schemas.base import Event


def line(name: str, **fields: Any) -> bytes:
    return json.dumps({"type": name, "event_id": "e", "event_time": 1} | fields).encode()


GOOD = line("StrategyMuted", source="s", strategy="t")
BAD = (b"[]", b"{", b"{}", line("Nothing"), line("ClockTicked"), line("StrategyMuted"))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    taken: list[Message] = []

    def produce(_settings: object, messages: Any) -> int:
        before = len(taken)
        taken.extend(messages)
        return len(taken) - before

    monkeypatch.setattr(producing, "produce", produce)
    monkeypatch.setattr(layout, "require_topics", lambda *_: None)
    return taken


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    send.add_parser(parser.add_subparsers())
    args = parser.parse_args(["send", *words])
    return int(args.run(args))


def test_a_bad_line_is_named_and_nothing_is_sent(
    tmp_path: Path, sent: list[Message], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([GOOD, b"", *BAD]))
    assert run(str(file), "--json") == 1
    said = capsys.readouterr()
    assert [one["number"] for one in json.loads(said.out)["bad"]] == [3, 4, 5, 6, 7, 8]
    assert "line 7: ClockTicked is not for producers" in said.err
    assert sent == []


def test_without_topics_nothing_is_sent_and_what_to_do_is_said(
    tmp_path: Path,
    sent: list[Message],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def missing(_settings: object, topics: set[str]) -> None:
        asked.append(topics)
        raise layout.TopicsMissing("kafka://there", topics)

    monkeypatch.setattr(layout, "require_topics", missing)
    file = tmp_path / "events.jsonl"
    file.write_bytes(GOOD)
    assert run(str(file)) == 1
    assert "run `coordinator topics apply`" in capsys.readouterr().err
    assert (asked, sent) == ([{"control"}], [])


def test_bad_lines_can_be_skipped(tmp_path: Path, sent: list[Message]) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\r\n".join([*BAD, GOOD]))
    assert run(str(file), "--skip-bad") == 0
    assert sent == [Message("control", b"s", GOOD)]


def test_a_dry_run_sends_nothing(tmp_path: Path, sent: list[Message]) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(GOOD)
    assert run(str(file), "--dry-run") == 0
    assert sent == []


def test_a_missing_file_is_an_error_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("/nowhere/events.jsonl") == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("payload", "topic", "key"),
    [
        (GOOD, "control", b"s"),
        (line("CoordinationPaused", portfolio="p"), "control", b"p"),
        (line("CoordinationPaused"), "control", b"control"),
        (line("InstrumentHalted", instrument="A"), "market", b"A"),
        (line("SignalIssued", source="s", strategy="t", instrument="A", direction=1), "signals",
         b"s"),
        (line("PortfolioClosed", portfolio="p"), "portfolios", b"p"),
    ],
)  # fmt: skip
def test_a_message_is_keyed_by_whom_it_is_about(payload: bytes, topic: str, key: bytes) -> None:
    event = read_event(Raw(topic, "", 0, 0, 1, payload))
    assert isinstance(event, Event)
    assert key_of_event(event) == key
