"""Archive, truncation and one log of both, on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from coordinator.bootstrap import engine_started
from coordinator.cli.main import main
from coordinator.core.ports import LogReader, Record
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.archive import archive
from coordinator.log.errors import LogUnreadable
from coordinator.log.kafka import KafkaLog, declared
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.topics import apply, plan
from coordinator.log.open import open_reader
from coordinator.log.segments import SegmentLog
from coordinator.log.truncate import plan_cuts, truncate
from coordinator.settings import KafkaSettings
from replay import verify
from tests.journals import HOUR, Inputs, engine, tick_all

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_topics")]

SHARDS = 2


async def make_topics(settings: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
    await admin.start()
    try:
        topics = declared(shards=SHARDS, prefix=settings.prefix)
        await apply(admin, await plan(admin, topics), replication=1)
    finally:
        await admin.close()


@pytest.fixture
def settings(kafka_servers: str, kafka_prefix: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)


@pytest.fixture
def _topics(settings: KafkaSettings) -> None:
    asyncio.run(asyncio.wait_for(make_topics(settings), 60))


@pytest.fixture
def log(settings: KafkaSettings) -> Iterator[KafkaLog]:
    with KafkaLog(settings) as made:
        yield made


@pytest.fixture
def url(settings: KafkaSettings) -> str:
    return f"kafka://{settings.bootstrap}/{settings.prefix}"


class Life:
    """Inputs of now, and two shards that decide on them."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.make = Inputs()
        self.router = Router(log, shards=SHARDS)
        now = time.time_ns()
        begun = engine_started(at=now, shards=SHARDS)
        self.router.write(begun, shards=range(SHARDS), journal_time=now)
        self.made = [self.make.listed("A", now), self.make.registered("s", now)]
        self.made += [self.make.opened(name, now) for name in "pc"]
        self.made.append(self.make.close({"A": 10.0}, now))
        self.recover()

    def recover(self) -> None:
        self.owners = [Shard(self.log, engine(n, SHARDS), checkpoint_every=2) for n in (0, 1)]
        for owner in self.owners:
            owner.recover()

    def goes_on(self, rounds: int) -> None:
        for _ in range(rounds):
            now = time.time_ns()
            self.made.append(self.make.signal("s", "A", now, expires_at=now + HOUR))
            raws = [one.raw for one in self.made]
            self.router.accept(raws, journal_times=[now] * len(raws))
            self.made = []
            time.sleep(0.08)  # a window and a round's spacing, in the broker's time
            tick_all(self.log, shards=SHARDS, at=time.time_ns())
            for owner in self.owners:
                owner.pump()
        self.router.accept([self.make.raw("signals", now, b"no json").raw], journal_times=[now])


def everything(log: LogReader) -> list[Record]:
    return [
        record
        for topic, shard in log.partitions()
        if topic != "checkpoints"
        for record in log.read(topic, shard)
    ]


@pytest.mark.parametrize("chunk_bytes", [None, 700])
def test_topics_are_archived_truncated_and_read_on_as_one_log(
    log: KafkaLog, url: str, tmp_path: Path, chunk_bytes: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if chunk_bytes is not None:  # every decision and checkpoint in parts
        monkeypatch.setattr("coordinator.log.kafka.log.CHUNK_BYTES", chunk_bytes)
    life = Life(log)
    life.goes_on(5)
    whole = everything(log)
    assert verify(url).ok
    report = archive(log, tmp_path / "a")
    assert report.records == len(whole)
    combined = f"{url}?archive={tmp_path / 'a'}"
    with SegmentLog(tmp_path / "a") as sealed:
        assert everything(sealed) == whole
        assert sealed.broker_times
        deleted = truncate(log, sealed, plan_cuts(log, sealed))
        assert sum(cut.records for cut in deleted) > 10
        assert all(log.begin(cut.topic, cut.shard) == cut.before for cut in deleted if cut.records)
    assert verify(tmp_path / "a").ok
    life.recover()
    life.goes_on(3)
    with open_reader(combined) as both:
        found = everything(both)
        assert set(whole) < set(found)
        assert len(found) == len(whole) + len(everything_new(log, tmp_path / "a"))
    checked = verify(combined)
    assert checked.ok
    assert sum(one.decisions for one in checked.shards) > 6
    assert archive(log, tmp_path / "a").records == len(found) - len(whole)
    assert verify(combined).ok
    with pytest.raises(LogUnreadable, match="archived"):
        verify(url)
    assert verify(url, from_checkpoint=True).ok


def everything_new(log: KafkaLog, folder: Path) -> list[Record]:
    with SegmentLog(folder) as sealed:
        return [
            record
            for topic, shard in log.partitions()
            if topic != "checkpoints"
            for record in log.read(topic, shard, sealed.end(topic, shard))
        ]


def test_every_command_takes_the_url(
    log: KafkaLog, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = Life(log)
    life.goes_on(4)
    to = str(tmp_path / "a")
    words = ["archive", "--log", url, "--to", to, "--truncate", "--yes"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["records"] > 20
    assert sum(cut["records"] for cut in told["truncated"]) > 0
    both = f"{url}?archive={to}"
    assert main(["events", "--log", both, "--type", "AllocationDecided", "--json"]) == 0
    decided = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(decided) > 4
    assert main(["events", "--log", url, "--json"]) == 0
    assert capsys.readouterr().out
    name = decided[0]["event"]["decision_id"]
    assert main(["explain", name, "--log", both]) == 0
    assert name in capsys.readouterr().out
    assert main(["replay", "--verify", "--log", both]) == 0
    assert main(["audit", "lookahead", "--log", both, "--cuts", "1"]) == 0
    out = tmp_path / "out.sqlite"
    assert main(["backtest", "--log", both, "--out", str(out)]) == 0
    assert main(["backtest", "--log", both, "--out", to]) == 2
    assert "takes part in this run" in capsys.readouterr().err
    assert main(["events", "--log", "kafka://127.0.0.1:1/"]) == 1


def test_a_topic_that_was_made_anew_is_no_continuation(
    log: KafkaLog, settings: KafkaSettings, tmp_path: Path
) -> None:
    life = Life(log)
    life.goes_on(2)
    archive(log, tmp_path / "a")
    other = KafkaSettings(bootstrap=settings.bootstrap, prefix=f"{settings.prefix}other.")

    asyncio.run(asyncio.wait_for(make_topics(other), 60))
    with KafkaLog(other) as again:
        Life(again).goes_on(3)
        with pytest.raises(Exception, match=r"something else|another log"):
            archive(again, tmp_path / "a")
