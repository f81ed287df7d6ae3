"""A damaged SQLite log: every read is exact, or an error of ours that names a place."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from coordinator.core.ports import Append
from coordinator.log.errors import CorruptRecord, LogError, LogUnreadable
from coordinator.log.open import open_reader
from coordinator.log.sqlite import SqliteLog
from tests.support.log_damage import (
    all_records,
    batch,
    byte_flipped,
    flipped,
    flips,
    record_bytes,
    verdict,
    whole,
)


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "whole.sqlite"
    with SqliteLog(path) as log:
        log.append(batch())
    return path


def test_sqlite_flipped_byte_gives_the_same_records_or_a_named_error(
    sqlite_file: Path, tmp_path: Path
) -> None:
    content, wanted = sqlite_file.read_bytes(), whole(sqlite_file)
    holding = record_bytes(content, all_records(sqlite_file))
    assert len(holding) > 2_000
    verdicts: Counter[str] = Counter()
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(content)
    for offset, mask in flips(content, holding):
        with byte_flipped(path, offset, mask):
            verdicts[found := verdict(path, wanted)] += 1
        assert found == "named" or offset not in holding, f"byte {offset} mask {mask} unnoticed"
    assert verdicts["named"] > len(holding)


def test_sqlite_flipped_payload_is_named_by_topic_shard_and_position(
    sqlite_file: Path, tmp_path: Path
) -> None:
    content = sqlite_file.read_bytes()
    path = tmp_path / "damaged.sqlite"
    for record in all_records(sqlite_file):
        if len(record.payload) < 8:
            continue
        at = content.find(record.payload[:64])
        assert at > 0
        path.write_bytes(flipped(content, at + 3, 0x10))
        reader = open_reader(path)
        with pytest.raises(CorruptRecord) as caught:
            list(reader.read(record.topic, record.shard))
        reader.close()
        error = caught.value
        assert (error.topic, error.shard, error.position) == (
            record.topic,
            record.shard,
            record.position,
        )
        assert str(path) in str(error)


def test_sqlite_cut_at_any_length_gives_the_same_records_or_a_named_error(
    sqlite_file: Path, tmp_path: Path
) -> None:
    content, wanted = sqlite_file.read_bytes(), whole(sqlite_file)
    seeded = random.Random(2)
    path = tmp_path / "cut.sqlite"
    lengths = {0, 1, 15, 16, 99, 100, 101, len(content) - 1}
    lengths |= set(range(0, len(content), 512)) | set(seeded.sample(range(len(content)), 100))
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        assert verdict(path, wanted) == "named", f"cut at {length}"


@pytest.mark.parametrize(
    ("harm", "position"),
    [
        ("DELETE FROM records WHERE topic='journal' AND shard=0 AND position=5", 5),
        ("UPDATE records SET position=400 WHERE topic='journal' AND shard=0 AND position=5", 5),
        ("UPDATE records SET journal_time=1 WHERE topic='journal' AND shard=0 AND position=5", 5),
        ("UPDATE records SET bytes='x' WHERE topic='journal' AND shard=0 AND position=5", 5),
        ("UPDATE records SET hash=x'00' WHERE topic='journal' AND shard=0 AND position=5", 5),
        (
            (
                "UPDATE records SET bytes=(SELECT bytes FROM records r WHERE r.topic='journal' "
                "AND r.shard=1 AND r.position=5) WHERE topic='journal' AND shard=0 AND position=5"
            ),
            5,
        ),
    ],
)
def test_sqlite_changed_vanished_or_moved_record_is_named(
    sqlite_file: Path, tmp_path: Path, harm: str, position: int
) -> None:
    path = tmp_path / "harmed.sqlite"
    shutil.copy(sqlite_file, path)
    run_sql(path, harm)
    for start in (0, 3, 5):
        reader = open_reader(path)
        with pytest.raises(LogError) as caught:
            list(reader.read("journal", 0, start, 9))
        reader.close()
        error = caught.value
        # A record moved behind the end shows at the head before any record is read.
        if isinstance(error, CorruptRecord):
            assert (error.topic, error.shard, error.position) == ("journal", 0, position)
        else:
            assert "SET position=400" in harm


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM records WHERE topic='journal' AND shard=0 AND position>=30",
        "DELETE FROM records WHERE topic='journal' AND shard=0",
        "DELETE FROM heads WHERE topic='journal' AND shard=0",
        "UPDATE heads SET end=30 WHERE topic='journal' AND shard=0",
        "UPDATE heads SET shard=9 WHERE topic='journal' AND shard=0",
    ],
)
def test_sqlite_lost_tail_or_head_is_noticed(sqlite_file: Path, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "harmed.sqlite"
    shutil.copy(sqlite_file, path)
    run_sql(path, harm)
    reader = open_reader(path)
    for use in (
        lambda: reader.end("journal", 0),
        lambda: list(reader.read("journal", 0, 0, 10)),
    ):
        with pytest.raises(LogUnreadable, match="journal/0"):
            use()
    reader.close()
    writer = SqliteLog(path)
    with pytest.raises(LogUnreadable):
        writer.append([Append("journal", 0, b"on a broken chain")])
    writer.close()


def run_sql(path: Path, statement: str) -> None:
    """Go behind the log's back."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_sqlite_index_that_gives_more_than_asked_for_is_not_believed(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteLog(sqlite_file, readonly=True) as log:
        wanted = list(log.read("journal", 0, 3, 9))
        page = log._page
        # Seen with a flipped byte in an index page: the upper bound of the query did not hold.
        monkeypatch.setattr(
            SqliteLog, "_page", lambda _, topic, shard, start, stop: page(topic, shard, start, 12)
        )
        assert list(log.read("journal", 0, 3, 9)) == wanted
