"""Damaging a log, and judging what its reader says: exactly what was written, or a named error.

Every byte that holds a record and a seeded sample of all others is flipped; files are cut at many
lengths. The number of offsets can be raised with LOG_FLIPS for a thorough run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from coordinator.core.ports import Append, LogReader, Record
from coordinator.log.errors import LogError, LogUnreadable
from coordinator.log.open import open_reader
from coordinator.log.segment_file import Segment
from coordinator.log.segments import SegmentLog

FLIPS = int(os.environ.get("LOG_FLIPS", "1000"))
MASKS = (0x01, 0x80, 0xFF)
PARTITIONS = (("decisions", 0), ("journal", 0), ("journal", 1))


def batch() -> list[Append]:
    seeded = random.Random(4)
    return [
        Append(*PARTITIONS[n % 3], seeded.randbytes(seeded.randrange(60)), journal_time=10**18 + n)
        for n in range(120)
    ] + [Append("journal", 1, seeded.randbytes(9_000), journal_time=10**18)]


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
