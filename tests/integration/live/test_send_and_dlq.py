"""`coordinator send` and `coordinator dlq` on real Kafka: buried, shown, mended, sent again."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.letters import KafkaBox
from coordinator.core.ports import Append
from coordinator.core.route import decode_dead_letter
from coordinator.log.kafka import KafkaLog, LoopThread
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.producing import Message, produce
from coordinator.log.kafka.sending import Outgoing, Sender
from coordinator.settings import KafkaSettings
from schemas.entries import Stamp, encode_journal
from schemas.journal import EngineStarted
from tests.live.system import System, until

pytestmark = pytest.mark.integration
SHARDS = 2
NOW = time.time_ns()


def event(name: str, **fields: Any) -> bytes:
    return json.dumps({"type": name, "event_id": f"e{name}", "event_time": NOW} | fields).encode()


def begin(log: KafkaLog) -> None:
    """What an engine says first: routers wait for it. None runs here."""
    start = EngineStarted(
        event_id="start",
        event_time=NOW,
        build="b",
        dependencies="d",
        fingerprint="f",
        shards=SHARDS,
    )
    entry = encode_journal(Stamp("journal", "", 0, -1, NOW), start)
    log.append([Append("journal", shard, entry) for shard in range(SHARDS)])


def bury_again(settings: KafkaSettings, topic: str, position: int) -> None:
    """What a router does that died between its send and its commit."""
    io = LoopThread()
    with closing(KafkaLog(settings)) as log:
        (letter,) = log.letters(topic, position, position + 1)
    sender = Sender(client_options(settings, "producer"))
    again = Outgoing(letter.payload, letter.key, letter.headers)
    io.run(sender.send({(settings.prefix + topic, 0): [again]}), timeout_s=30)
    io.run(sender.close())
    io.close()


def redrive_once_and_again(system: System, log: KafkaLog, mended: Path) -> None:
    """A second redrive of a letter sends nothing, unless it is told to."""
    words = ("dlq", "redrive", "control", "1", "--with", str(mended), "--yes", "--json")
    sent = {"sent": True, "positions": [1], "refused": 0, "sent_before": 0}
    assert json.loads(system.command(*words).stdout) == sent
    until("it is routed", lambda: log.end("journal", 1) == 4, within_s=20)
    assert log.end("control.dlq", 0) == 3

    passed = {"sent": False, "positions": [], "refused": 0, "sent_before": 1}
    assert json.loads(system.command(*words).stdout) == passed
    listed = json.loads(system.command("dlq", "list", "--json").stdout)["letters"]
    assert [one["sent_again"] is None for one in listed] == [True, False]
    assert json.loads(system.command(*words, "--again").stdout) == sent
    until("it is routed again", lambda: log.end("journal", 1) == 5, within_s=20)


def test_dead_letters_are_listed_once_mended_sent_again_and_purged(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    settings = KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)
    group = {"COORDINATOR_WORKER__GROUP": kafka_prefix.rstrip(".")}
    with (
        System(kafka_servers, kafka_prefix, tmp_path, shards=SHARDS, environment=group) as system,
        closing(KafkaLog(settings)) as log,
    ):
        system.topics()
        begin(log)
        router = system.start("router")
        good = tmp_path / "good.jsonl"
        good.write_bytes(
            event("SourceRegistered", source="s") + b"\n\n" + event("CoordinationPaused") + b"\n"
        )
        sent = system.command("send", str(good), "--json")
        assert sent.returncode == 0, sent.stderr
        assert json.loads(sent.stdout) == {"sent": True, "events": {"control": 2}, "bad": []}
        own = [("ce_type", b"coordinator.StrategyMuted.v1"), ("chunk", b"x 1/2")]
        dead = [
            Message("control", b"s", b"\xff\xfe not json", own),
            Message("control", b"s", event("StrategyMuted", source="s", muted="perhaps"), own),
        ]
        assert produce(settings, dead) == 2
        system.await_ready(router)
        until("both are buried", lambda: log.end("control.dlq", 0) == 2, within_s=20)
        until("the others are not", lambda: log.end("journal", 1) == 3, within_s=20)
        bury_again(settings, "control.dlq", 0)

        letters = [decode_dead_letter(one.payload) for one in log.read("control.dlq", 0)]
        assert [one.payload for one in letters[:2]] == [message.value for message in dead]
        assert all("partition 0 offset" in one.where for one in letters)
        url = f"kafka://{kafka_servers}/{kafka_prefix}"
        listed = system.command("events", "--log", url, "--type", "DeadLetter", "--json")
        assert len(listed.stdout.splitlines()) == 3, listed.stderr
        found = json.loads(system.command("dlq", "list", "--json").stdout)
        assert (found["total"], len(found["letters"]), len(found["reasons"])) == (2, 2, 2)
        shown = system.command("dlq", "show", "control", "0").stdout
        assert "ff fe 20 6e" in shown
        assert "origin_offset" in shown

        mended = tmp_path / "mended.json"
        mended.write_bytes(event("StrategyMuted", source="s", muted=True))
        refused = system.command("dlq", "redrive", "control", "--all", "--yes")
        assert (refused.returncode, "would be dead again" in refused.stderr) == (1, True)
        redrive_once_and_again(system, log, mended)
        with closing(KafkaBox(settings)) as box:
            assert [one.position for one in box.letters("control")] == [0, 1]
            box.purge("control", 1)
            assert [one.position for one in box.letters("control")] == [1, 2]
        assert router.stop() == 0, router.tail()
