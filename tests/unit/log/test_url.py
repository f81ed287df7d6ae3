"""What --log may say, and what it is told when it says something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.log.archive import archive
from coordinator.log.combined import CombinedLog
from coordinator.log.errors import NotALog
from coordinator.log.memory import MemoryLog
from coordinator.log.open import open_live, open_reader
from coordinator.log.segments import export
from coordinator.log.url import KafkaPlace, local_paths, parse_log
from tests.support.cut_log import CutLog


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("kafka:", KafkaPlace(None, None, None)),
        ("kafka:?archive=old/sealed", KafkaPlace(None, None, Path("old/sealed"))),
        ("kafka:?archive=a%20b%26c", KafkaPlace(None, None, Path("a b&c"))),
        ("kafka:nope.", KafkaPlace(None, "nope.", None)),
        ("kafka:nope.?archive=a", KafkaPlace(None, "nope.", Path("a"))),
        ("kafka://one:9092", KafkaPlace("one:9092", "", None)),
        ("KAFKA://one:9092/", KafkaPlace("one:9092", "", None)),
        ("kafka://one:9092,two.org:9093/desk.", KafkaPlace("one:9092,two.org:9093", "desk.", None)),
        ("kafka://[::1]:9092/?archive=/a/b", KafkaPlace("[::1]:9092", "", Path("/a/b"))),
    ],
)
def test_a_url_names_brokers_prefix_and_archive(text: str, place: KafkaPlace) -> None:
    assert parse_log(text) == place


@pytest.mark.parametrize("text", ["run.sqlite", "a/b", "kafka.sqlite", "/x/kafka:", ".", "a?b=c"])
def test_anything_else_is_a_path(text: str) -> None:
    assert parse_log(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kafka:one:9092", "two slashes"),
        ("kafka:///prefix", "names no broker"),
        ("kafka://one", "'one' is no HOST:PORT"),
        ("kafka://one:0", "'one:0' is no HOST:PORT"),
        ("kafka://one:70000/", "no HOST:PORT"),
        ("kafka://one:9092,/", "'' is no HOST:PORT"),
        ("kafka://one:9092/a/b", "the prefix 'a/b'"),
        ("kafka://one:9092/?achive=x", "'achive' is no option"),
        ("kafka:?archive=", "names one folder"),
        ("kafka:?archive=a&archive=b", "names one folder"),
        ("http://one:9092/", "http is no kind of log"),
    ],
)
def test_a_wrong_url_is_told_what_to_write_instead(text: str, told: str) -> None:
    with pytest.raises(NotALog, match="kafka://HOST:PORT") as caught:
        open_reader(text)
    assert told in str(caught.value)


def test_a_password_in_a_url_is_refused_and_never_repeated() -> None:
    with pytest.raises(NotALog, match="settings") as caught:
        open_reader("kafka://me:hunter2@one:9092/")
    assert "hunter2" not in str(caught.value)


def test_what_a_log_reads_is_known_by_path(tmp_path: Path) -> None:
    assert local_paths("a.sqlite") == (Path("a.sqlite"),)
    assert local_paths("kafka:") == ()
    assert local_paths("kafka://one:9092/?archive=old") == (Path("old"),)


def test_topics_and_archive_open_as_one_log_without_asking_the_brokers(
    recorded: MemoryLog, tmp_path: Path
) -> None:
    archive(CutLog(recorded, broker_times=True), tmp_path / "a")
    with open_reader(f"kafka://127.0.0.1:1/desk.?archive={tmp_path / 'a'}") as reader:
        assert isinstance(reader, CombinedLog)
        assert reader.broker_times
    with pytest.raises(NotALog, match="none"):
        open_reader(f"kafka://127.0.0.1:1/?archive={tmp_path / 'none'}")


def test_settings_that_are_wrong_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_KAFKA__SECURITY_PROTOCOL", "TELNET")
    with pytest.raises(NotALog, match="security_protocol"):
        open_reader("kafka:")


def test_what_is_sealed_is_a_log_without_an_archive(recorded: MemoryLog, tmp_path: Path) -> None:
    export(recorded, tmp_path / "a")
    with open_live(tmp_path / "a") as reader:
        assert reader.partitions() == recorded.partitions()
    with pytest.raises(NotALog, match="--to"):
        open_live(f"kafka:?archive={tmp_path / 'a'}")


def test_nobody_pays_for_kafka_who_reads_a_file() -> None:
    code = (
        "import sys, coordinator.log.open, coordinator.cli.explain; "
        "sys.exit('aiokafka' in sys.modules or 'pydantic_settings' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
