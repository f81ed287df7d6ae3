"""A damaged log: every read gives exactly what was written, or an error of ours that names a place.

Every byte that holds a record and a seeded sample of all others is flipped; files are cut at many
lengths. The number of offsets can be raised with LOG_FLIPS for a thorough run.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from coordinator.core.ports import Append, LogReader, Record
from coordinator.log.errors import CorruptRecord, LogError, LogUnreadable
from coordinator.log.memory import MemoryLog
from coordinator.log.open import open_reader
from coordinator.log.segment_file import Segment, open_segment, parse_name
from coordinator.log.segments import SegmentLog, export
from coordinator.log.sqlite import SqliteLog

FLIPS = int(os.environ.get("LOG_FLIPS", "1500"))
MASKS = (0x01, 0x80, 0xFF)
PARTITIONS = (("decisions", 0), ("journal", 0), ("journal", 1))


def batch() -> list[Append]:
    seeded = random.Random(4)
    return [
        Append(*PARTITIONS[n % 3], seeded.randbytes(seeded.randrange(90)), journal_time=10**18 + n)
        for n in range(120)
    ] + [Append("journal", 1, seeded.randbytes(9_000), journal_time=10**18)]


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "whole.sqlite"
    with SqliteLog(path) as log:
        log.append(batch())
    return path


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "sealed"
    with MemoryLog() as log:
        log.append(batch())
        export(log, folder)
    return folder


def as_found(segment: Segment, found: LogUnreadable) -> LogError:
    """Locates nothing: a child process for each of thousands of flips would take too long."""
    return found


def open_quick(path: Path) -> LogReader:
    return SegmentLog(path, locate=as_found) if path.is_dir() else open_reader(path)


Whole = dict[str, object]


def read_all(
    reader: LogReader, topic: str, shard: int, start: int, stop: int | None
) -> list[Record]:
    return list(reader.read(topic, shard, start, stop))


def answers(reader: LogReader) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every question a reader can be asked, each to be answered on its own."""
    yield "partitions", reader.partitions
    for topic, shard in PARTITIONS:
        yield f"end {topic}/{shard}", partial(reader.end, topic, shard)
        for start, stop in ((0, None), (17, None), (3, 9)):
            yield (
                f"read {topic}/{shard} {start}:{stop}",
                partial(read_all, reader, topic, shard, start, stop),
            )


def whole(path: Path) -> Whole:
    reader = open_quick(path)
    try:
        return {name: ask() for name, ask in answers(reader)}
    finally:
        reader.close()


def named(error: LogError) -> str:
    assert error.where in str(error)
    return "named"


def verdict(path: Path, wanted: Whole) -> str:
    """ "same" or "named"; anything else fails the test that asked."""
    try:
        reader = open_quick(path)
    except LogError as error:
        return named(error)
    found = "same"
    try:
        for name, ask in answers(reader):
            try:
                assert ask() == wanted[name], f"{name} gave something else"
            except LogError as error:
                found = named(error)
    finally:
        reader.close()
    return found


def flips(content: bytes, holding: set[int]) -> list[tuple[int, int]]:
    """Offsets and masks: each byte in `holding`, and a sample of the others, one mask each."""
    seeded = random.Random(11)
    others = [offset for offset in range(len(content)) if offset not in holding]
    chosen = sorted(holding) + sorted(seeded.sample(others, min(FLIPS, len(others))))
    return [(offset, seeded.choice(MASKS)) for offset in chosen]


def flipped(content: bytes, offset: int, mask: int) -> bytes:
    damaged = bytearray(content)
    damaged[offset] ^= mask
    return bytes(damaged)


@contextmanager
def byte_flipped(path: Path, offset: int, mask: int) -> Iterator[None]:
    """The file with one byte changed, in place; whole again afterwards."""
    with path.open("r+b", buffering=0) as file:
        true = os.pread(file.fileno(), 1, offset)
        os.pwrite(file.fileno(), bytes([true[0] ^ mask]), offset)
        yield
        os.pwrite(file.fileno(), true, offset)


def record_bytes(content: bytes, records: list[Record]) -> set[int]:
    """Offsets of payloads that stand in the file as they are (long ones: every 16th byte)."""
    found: set[int] = set()
    for record in records:
        at = content.find(record.payload) if len(record.payload) >= 8 else -1
        step = 16 if len(record.payload) > 1_000 else 1
        found.update(range(at, at + len(record.payload), step) if at >= 0 else ())
    return found


def all_records(path: Path) -> list[Record]:
    reader = open_quick(path)
    try:
        return [record for key in PARTITIONS for record in reader.read(*key)]
    finally:
        reader.close()


def test_sqlite_flipped_byte_gives_the_same_records_or_a_named_error(
    sqlite_file: Path, tmp_path: Path
) -> None:
    content, wanted = sqlite_file.read_bytes(), whole(sqlite_file)
    holding = record_bytes(content, all_records(sqlite_file))
    assert len(holding) > 3_000
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
    import sqlite3  # noqa: PLC0415  Only here the tests go behind the log's back.

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


def test_segments_flipped_byte_in_any_file_gives_the_same_records_or_a_named_error(
    sealed: Path, tmp_path: Path
) -> None:
    wanted = whole(sealed)
    folder = tmp_path / "flipped"
    shutil.copytree(sealed, folder)
    for source in sorted(sealed.iterdir()):
        content = source.read_bytes()
        sample = flips(content, set())
        for offset, mask in random.Random(3).sample(sample, min(len(sample), FLIPS // 20)):
            with byte_flipped(folder / source.name, offset, mask):
                found = verdict(folder, wanted)
            assert found == "named", f"{source.name} byte {offset} mask {mask}"


def test_no_flipped_byte_of_a_segment_ever_reaches_the_decoder(
    sealed: Path, tmp_path: Path
) -> None:
    (source,) = sealed.glob("journal-00000-*.parquet")
    content, path = source.read_bytes(), tmp_path / source.name
    segment = parse_name(path)
    assert segment is not None
    path.write_bytes(content)
    for offset in range(len(content)):
        with (
            byte_flipped(path, offset, MASKS[offset % 3]),
            pytest.raises(LogUnreadable, match="not those that were sealed"),
        ):
            open_segment(segment)


def test_segments_cut_at_any_length_are_named(sealed: Path, tmp_path: Path) -> None:
    wanted = whole(sealed)
    folder = tmp_path / "cut"
    shutil.copytree(sealed, folder)
    for source in sorted(sealed.iterdir()):
        content = source.read_bytes()
        for length in {0, 1, 4, 12, len(content) - 1, *range(0, len(content), 997)}:
            (folder / source.name).write_bytes(content[:length])
            assert verdict(folder, wanted) == "named", f"{source.name} cut at {length}"
        (folder / source.name).write_bytes(content)
    assert verdict(folder, wanted) == "same"


def test_segments_flipped_payload_is_named_by_position(tmp_path: Path) -> None:
    payloads = [random.Random(n).randbytes(700) for n in range(40)]
    with MemoryLog(skip=lambda position: position + position % 2) as log:
        log.append([Append("journal", 2, payload) for payload in payloads])
        export(log, tmp_path)
        position = [record.position for record in log.read("journal", 2)][23]
    (path,) = tmp_path.glob("*.parquet")
    content = path.read_bytes()
    # Random bytes do not compress, so that they stand in the file as they are.
    path.write_bytes(flipped(content, content.find(payloads[23][:64]) + 9, 0x04))
    with SegmentLog(tmp_path) as reader, pytest.raises(CorruptRecord) as caught:
        list(reader.read("journal", 2))
    error = caught.value
    assert (error.topic, error.shard, error.position) == ("journal", 2, position)
    assert path.name in str(error)


def test_segments_whose_decoder_dies_are_still_named(sealed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dead"
    shutil.copytree(sealed, folder)
    path = min(folder.glob("journal-00001*"))
    content = path.read_bytes()
    # The metadata at the end, all of it: no decoder gets past that.
    path.write_bytes(content[:-300] + bytes(292) + content[-8:])
    with SegmentLog(folder) as reader:
        assert len(list(reader.read("journal", 0))) == 40
        with pytest.raises(LogUnreadable, match=r"positions 0 to 40 of journal/1"):
            list(reader.read("journal", 1))


def three_segments(folder: Path) -> list[Path]:
    with MemoryLog(skip=lambda position: position + position % 2) as log:
        for n in range(3):
            log.append([Append("journal", 0, b"%d" % (10 * n + k)) for k in range(10)])
            export(log, folder)
    return sorted(folder.glob("*.parquet"))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_lost_segment_is_named_wherever_it_stood(tmp_path: Path, lost: int) -> None:
    paths = three_segments(tmp_path)
    with SegmentLog(tmp_path) as reader:
        positions = [record.position for record in reader.read("journal", 0)]
    paths[lost].unlink()
    with pytest.raises(LogError, match=r"journal/0") as caught, SegmentLog(tmp_path) as reader:
        list(reader.read("journal", 0, positions[5], positions[13]))
    if lost == 1:
        assert isinstance(caught.value, CorruptRecord)
        assert positions[9] < caught.value.position <= positions[10]


def test_lost_middle_is_noticed_by_a_read_that_ends_in_the_hole(tmp_path: Path) -> None:
    paths = three_segments(tmp_path)
    with SegmentLog(tmp_path) as reader:
        positions = [record.position for record in reader.read("journal", 0)]
    paths[1].unlink()
    with SegmentLog(tmp_path) as reader:
        assert len(list(reader.read("journal", 0, 0, positions[9] + 1))) == 10
        for start, stop in (
            (0, positions[12]),
            (positions[12], positions[15]),
            (positions[12], 99),
        ):
            with pytest.raises(CorruptRecord):
                list(reader.read("journal", 0, start, stop))
        with pytest.raises(CorruptRecord):
            reader.link_before("journal", 0, positions[15])


def test_overlapping_foreign_or_renamed_segments_are_named(tmp_path: Path) -> None:
    paths = three_segments(tmp_path)
    stranger = tmp_path / "stranger.parquet"
    stranger.write_bytes(paths[0].read_bytes())
    with pytest.raises(LogUnreadable, match=r"stranger\.parquet"):
        SegmentLog(tmp_path)
    stranger.unlink()
    shutil.copy(paths[0], tmp_path / paths[0].name.replace("-00000-", "-00007-"))
    with SegmentLog(tmp_path) as reader, pytest.raises(LogUnreadable, match="renamed"):
        list(reader.read("journal", 7))
    overlapping = paths[0].name.replace("0000000000000000000-", "0000000000000000001-", 1)
    shutil.copy(paths[0], tmp_path / overlapping)
    with pytest.raises(LogUnreadable, match="overlaps"):
        SegmentLog(tmp_path)
