"""Dead letters that were sent again: known by the log, once, and none is missed after a kill."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import dlq, letters
from coordinator.core.ports import Append
from coordinator.core.route import DeadLetter, encode_dead_letter
from coordinator.log.kafka import layout, producing
from coordinator.log.kafka.layout import TopicsMissing
from coordinator.log.kafka.letters import ORIGIN_HEADERS, Letter
from coordinator.log.kafka.producing import Message
from coordinator.log.kafka.tail import Found as Stored
from coordinator.log.memory import MemoryLog
from coordinator.log.redriven import REDRIVEN, note_of, sent_again
from coordinator.log.sqlite import SqliteLog
from coordinator.settings import KafkaSettings
from coordinator.shells.local import LocalShell


def payload(number: int, **fields: Any) -> bytes:
    head = {"type": "StrategyMuted", "event_id": f"e{number}", "event_time": 1, "source": "s"}
    return json.dumps(head | fields).encode()


def bury(log: Path, *bodies: bytes) -> None:
    with closing(SqliteLog(log)) as there:
        dead = [encode_dead_letter(DeadLetter("control", "w", "why", body)) for body in bodies]
        there.append([Append("control.dlq", 0, one) for one in dead])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three letters that would be taken by now, and one that would not."""
    path = tmp_path / "live.sqlite"
    with closing(SqliteLog(path)) as made:
        shell = LocalShell(made, shards=1, clock=time.time_ns)
        shell.start()
        shell.stop()
    bury(path, payload(0), payload(1), payload(2, muted="perhaps"), payload(3))
    return path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    dlq.add_parser(parser.add_subparsers())
    args = parser.parse_args(["dlq", *words])
    return int(args.run(args))


def redriven(log: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[int], int]:
    """The positions that were sent, and how many were passed over."""
    run("redrive", "control", *words, "--yes", "--json", "--log", str(log))
    found = json.loads(capsys.readouterr().out)
    return found["positions"], found["sent_before"]


def routed(log: Path) -> list[bytes]:
    """The ids of the events in the journal, as often as they stand there."""
    with closing(SqliteLog(log, readonly=True)) as there:
        bodies = b"".join(record.payload for record in there.read("journal", 0))
    return [b"e%d" % n for n in range(9) for _ in range(bodies.count(b'"event_id":"e%d"' % n))]


def test_a_second_redrive_sends_what_has_come_since(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redriven(log, capsys, "1") == ([1], 0)
    assert redriven(log, capsys, "--all") == ([0, 3], 1)
    assert redriven(log, capsys, "--all") == ([], 3)
    assert redriven(log, capsys, "0") == ([], 1)
    bury(log, payload(4))
    assert redriven(log, capsys, "--all") == ([4], 3)
    assert routed(log) == [b"e0", b"e1", b"e3", b"e4"]
    assert redriven(log, capsys, "0", "4", "--again") == ([0, 4], 0)
    assert routed(log) == [b"e0", b"e0", b"e1", b"e3", b"e4", b"e4"]


def test_a_mended_letter_is_done_and_a_dry_run_notes_nothing(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mended = tmp_path / "mended.json"
    mended.write_bytes(payload(2))
    words = ("2", "--with", str(mended))
    assert redriven(log, capsys, *words, "--dry-run") == ([2], 0)
    assert redriven(log, capsys, *words) == ([2], 0)
    assert run("redrive", "control", "--all", "--yes", "--log", str(log)) == 0
    said = capsys.readouterr()
    assert "sent again: 3 letters; 0 would be dead again" in said.out
    assert "passed over: 1 that were sent before" in said.out
    assert said.err == ""


def test_what_was_sent_again_is_listed_and_shown(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.time_ns()
    assert redriven(log, capsys, "1", "3") == ([1, 3], 0)
    assert run("list", "--log", str(log), "--json") == 0
    found = json.loads(capsys.readouterr().out)["letters"]
    sent = [one["sent_again"] for one in found]
    assert [sent[0], sent[2]] == [None, None]
    assert all(began <= at <= time.time_ns() for at in (sent[1], sent[3]))
    assert run("list", "--log", str(log)) == 0
    assert "4 dead letters, 4 shown, 2 sent again" in capsys.readouterr().out
    for position, times in (("0", 0), ("1", 1)):
        assert run("show", "control", position, "--log", str(log)) == 0
        assert capsys.readouterr().out.count("sent again 20") == times


def killed_at(monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    """A process that ends between the n-th send and its note."""
    monkeypatch.setattr(letters, "SEND_TOGETHER", 1)
    turns = iter(range(1, 99))

    def dies(names: Iterable[str]) -> Append:
        if next(turns) == turn:
            raise KeyboardInterrupt
        return note_of(names)

    monkeypatch.setattr(letters, "note_of", dies)


def test_a_kill_between_send_and_note_sends_twice_and_loses_nothing(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        killed_at(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            run("redrive", "control", "--all", "--yes", "--log", str(log))
    assert routed(log) == [b"e0", b"e1"]
    assert redriven(log, capsys, "--all") == ([1, 3], 1)
    assert routed(log) == [b"e0", b"e1", b"e1", b"e3"]


class Cluster(MemoryLog):
    """The part of `KafkaLog` that a box of letters needs."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[Stored] = []
        self.sent: list[Message] = []

    def bury(self, number: int, offset: int, topic_id: bytes = b"id") -> None:
        said = (b"control", topic_id, b"0", b"%d" % offset, b"5", b"why")
        headers = list(zip(ORIGIN_HEADERS, said, strict=True))
        self.stored.append(Stored(len(self.stored), 1, b"k", payload(number), headers))

    def letters(self, topic: str, start: int, stop: int | None) -> Iterator[Letter]:
        assert topic == "control.dlq"
        end = len(self.stored) if stop is None else stop
        return (Letter(topic, one) for one in self.stored if start <= one.offset < end)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr("coordinator.log.kafka.log.KafkaLog", lambda _: made)
    monkeypatch.setattr(layout, "require_topics", lambda *_: None)
    monkeypatch.setattr(producing, "produce", lambda _, messages: made.sent.extend(messages))
    return made


def send(cluster: Cluster) -> list[bytes]:
    """All that was not sent yet; the letters that a box then gives for it."""
    box, before = letters.KafkaBox(KafkaSettings()), len(cluster.sent)
    box.send([ready(one) for one in box.letters("control") if one.sent_at is None])
    return [message.value for message in cluster.sent[before:]]


def ready(found: letters.Found) -> letters.Found:
    outcome = letters.again(found)
    assert isinstance(outcome, letters.Found)
    return outcome


def test_in_kafka_a_letter_is_known_by_where_it_came_from(cluster: Cluster) -> None:
    for number, offset in ((0, 7), (1, 8), (0, 7)):  # a router died between send and commit
        cluster.bury(number, offset)
    assert send(cluster) == [payload(0), payload(1)]
    assert send(cluster) == []
    del cluster.stored[0]  # the first copy was purged
    assert [one.value for one in cluster.stored] == [payload(1), payload(0)]
    assert send(cluster) == []
    cluster.bury(2, 7, topic_id=b"made anew")
    assert send(cluster) == [payload(2)]


def test_in_kafka_a_kill_between_send_and_note_loses_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        cluster.bury(number, number)
    with monkeypatch.context() as patched:
        killed_at(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            send(cluster)
    assert len(cluster.sent) == 2
    assert send(cluster) == [payload(1), payload(2)]


def test_without_a_topic_for_the_note_nothing_is_sent(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: KafkaSettings, topics: Sequence[str]) -> None:
        raise TopicsMissing("kafka://x", topics)

    monkeypatch.setattr(layout, "require_topics", missing)
    cluster.bury(0, 7)
    with pytest.raises(TopicsMissing, match=f"topics apply.*{REDRIVEN}"):
        send(cluster)
    assert (cluster.sent, sent_again(cluster)) == ([], {})
