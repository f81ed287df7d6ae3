"""Damaged or lost segments: every read is exact, or an error of ours that names a place."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from coordinator.core.ports import Append
from coordinator.log.errors import CorruptRecord, LogError, LogUnreadable
from coordinator.log.memory import MemoryLog
from coordinator.log.segment_file import open_segment, parse_name
from coordinator.log.segments import SegmentLog, export
from tests.support.log_damage import (
    FLIPS,
    MASKS,
    batch,
    byte_flipped,
    flipped,
    flips,
    verdict,
    whole,
)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "sealed"
    with MemoryLog() as log:
        log.append(batch())
        export(log, folder)
    return folder


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
