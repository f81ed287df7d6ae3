"""Sealed Parquet segments: a folder of them is a log to read, keep and query, not to append to.

Place in the flow: `export` seals what another log holds; `SegmentLog` reads it back behind
`core.ports.LogReader`; polars and DuckDB read the same `*.parquet` directly. A file appears under
its name only when it is whole, on the disk and read back. `heads.json` says how far each partition
reaches at least, so that a lost last segment is noticed. It must never write over or delete a
segment.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from coordinator.core.ports import Record
from coordinator.log.closing import Closing
from coordinator.log.errors import CorruptRecord, LogClosed, LogError, LogUnreadable
from coordinator.log.integrity import GENESIS, ChainedReader, Link
from coordinator.log.locate import damage_in
from coordinator.log.lock import WriterLock
from coordinator.log.segment_file import (
    SUFFIX,
    Segment,
    SegmentFile,
    encode,
    open_segment,
    parse_name,
)
from coordinator.log.segment_heads import (
    begin_folder,
    publish,
    read_heads,
    write_heads,
    write_partial,
)

__all__ = ["SegmentLog", "export", "write_sealed", "write_segment"]

_SEGMENT_RECORDS_MAX = 200_000
_SEGMENT_BYTES_MAX = 32 * 2**20


class SegmentLog(Closing):
    """A LogReader over the sealed segments of one folder, as they are when it is opened.

    Opening lists names; content is checked when it is read. Raises NotALog, LogUnreadable (gaps,
    overlaps, foreign Parquet files, a lost last segment). locate: makes the error of a damaged file
    more exact.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        locate: Callable[[Segment, LogUnreadable], LogError] = damage_in,
    ) -> None:
        self._directory = Path(directory)
        self.where = str(directory)
        self._locate = locate
        self._closed = False
        self._mutex = threading.Lock()
        self._recent: SegmentFile | None = None
        self._heads = read_heads(self._directory)
        self._segments = _listed(self._directory)
        for key in self._heads.ends:
            self._check_reach(key)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """Records from the first position >= start up to `stop`, each one verified.

        Raises CorruptRecord, LogUnreadable (also when records before the first segment are asked
        for), LogClosed.
        """
        self._refuse_if_closed()
        segments = self._segments.get((topic, shard), ())
        end = segments[-1].last + 1 if segments else 0
        end = end if stop is None else min(stop, end)
        index = bisect_left(segments, start, key=lambda segment: segment.last)
        if start >= end or index == len(segments):
            return iter(())
        return self._stream(segments, index, start, end)

    def link_before(self, topic: str, shard: int, position: int) -> Link:
        """Where the chain stands before `position`."""
        self._refuse_if_closed()
        segments = self._segments.get((topic, shard), ())
        if not segments:
            return GENESIS
        index = bisect_left(segments, position, key=lambda segment: segment.last)
        file = self._open(segments[min(index, len(segments) - 1)])
        self._check_start(segments, min(index, len(segments) - 1), file, position)
        return file.link_before(position)

    def end(self, topic: str, shard: int) -> int:
        """One past the last position; 0 when empty. The last segment is checked to say so."""
        self._refuse_if_closed()
        segments = self._segments.get((topic, shard), ())
        return self._open(segments[-1]).footer.last + 1 if segments else 0

    def partitions(self) -> tuple[tuple[str, int], ...]:
        """Sorted (topic, shard) pairs that hold records."""
        self._refuse_if_closed()
        return tuple(sorted(self._segments))

    @property
    def broker_times(self) -> bool:
        """Whether records of all topics carry the time of the log they were sealed from."""
        return self._heads.broker_times

    def notes(self, topic: str, shard: int) -> dict[str, str]:
        """What was noted when the last segment of a partition was sealed."""
        self._refuse_if_closed()
        segments = self._segments.get((topic, shard), ())
        return self._open(segments[-1]).notes if segments else {}

    def close(self) -> None:
        """Let go of what is held in memory."""
        self._closed = True
        self._recent = None

    def _stream(
        self, segments: tuple[Segment, ...], index: int, start: int, stop: int
    ) -> Iterator[Record]:
        before: Link | None = None
        for at in range(index, len(segments)):
            file = self._open(segments[at])
            if before is None:
                self._check_start(segments, at, file, start)
            elif file.footer.before != before:
                raise self._gap(file, before)
            before = file.footer.after
            for record in file.read(start, stop):
                self._refuse_if_closed()
                yield record
            # Else the next segment is opened, if only to see that none is missing between.
            if stop <= before.position + 1:
                return

    def _check_start(
        self, segments: tuple[Segment, ...], index: int, file: SegmentFile, start: int
    ) -> None:
        """Raise unless `file`, segment `index`, follows right after what stands before `start`."""
        if max(start, 0) > file.footer.previous_position:
            return
        if index > 0:
            raise self._gap(file, self._open(segments[index - 1]).footer.after)
        footer = file.footer
        what = (
            f"{footer.topic}/{footer.shard} begins at position {footer.first} in this folder, "
            f"what lies before (up to {footer.previous_position}) is elsewhere"
        )
        raise LogUnreadable(self.where, what)

    def _gap(self, file: SegmentFile, before: Link) -> CorruptRecord:
        footer = file.footer
        what = (
            f"records are missing between the segments: one ends at {before.position}, "
            f"the next continues from {footer.previous_position}"
        )
        return CorruptRecord(
            footer.topic, footer.shard, before.position + 1, where=str(file.segment.path), what=what
        )

    def _check_reach(self, key: tuple[str, int]) -> None:
        end = self._heads.ends[key]
        last = self._segments[key][-1].last if key in self._segments else -1
        if last + 1 < end:
            topic, shard = key
            what = f"{topic}/{shard} was sealed up to position {end - 1}, segments reach {last}"
            raise LogUnreadable(
                self.where, what, last_good=(topic, shard, last) if last >= 0 else None
            )

    def _open(self, segment: Segment) -> SegmentFile:
        with self._mutex:
            if self._recent is None or self._recent.segment != segment:
                self._recent = self._loaded(segment)
            return self._recent

    def _loaded(self, segment: Segment) -> SegmentFile:
        try:
            return open_segment(segment)
        except LogUnreadable as error:
            raise self._locate(segment, error) from error

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogClosed(self.where)


def write_segment(
    reader: ChainedReader, directory: str | Path, topic: str, shard: int, start: int, stop: int
) -> Segment:
    """Seal the records of [start, stop) as one segment; held in memory once while it is made.

    Raises ValueError when there are none, LogFull, LogLocked, and what reading raises.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder, folder / ".lock")
    try:
        return _seal(reader, folder, (topic, shard), start, stop)
    finally:
        lock.release()


def export(reader: ChainedReader, directory: str | Path) -> tuple[Segment, ...]:
    """Seal everything of a log that the folder does not hold yet; returns the new segments.

    Can be interrupted at any moment and run again. Raises like write_segment, and LogUnreadable
    when the folder holds another log.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder, folder / ".lock")
    try:
        begin_folder(folder)
        with SegmentLog(folder) as sealed:
            starts = {key: _continue_at(reader, sealed, *key) for key in reader.partitions()}
        return tuple(
            _seal(reader, folder, key, first, stop)
            for key, start in starts.items()
            for first, stop in _cuts(reader, *key, start)
        )
    finally:
        lock.release()


def _continue_at(reader: ChainedReader, sealed: SegmentLog, topic: str, shard: int) -> int:
    end = sealed.end(topic, shard)
    if end and sealed.link_before(topic, shard, end) != reader.link_before(topic, shard, end):
        what = f"the segments of {topic}/{shard} up to position {end - 1} are of another log"
        raise LogUnreadable(sealed.where, what)
    return end


def _cuts(reader: ChainedReader, topic: str, shard: int, start: int) -> Iterator[tuple[int, int]]:
    """Ranges of positions that make segments of bounded size."""
    count = size = 0
    first = after = start
    for record in reader.read(topic, shard, start):
        count += 1
        size += len(record.payload)
        after = record.position + 1
        if count >= _SEGMENT_RECORDS_MAX or size >= _SEGMENT_BYTES_MAX:
            yield first, after
            first, count, size = after, 0, 0
    if count:
        yield first, after


def _seal(
    reader: ChainedReader, folder: Path, key: tuple[str, int], start: int, stop: int
) -> Segment:
    topic, shard = key
    begin_folder(folder)
    records = list(reader.read(topic, shard, start, stop))
    if not records:
        raise ValueError(f"{topic}/{shard} has no records from {start} to {stop}: nothing to seal")
    before = reader.link_before(topic, shard, records[0].position)
    name, content, after = encode(records, before)
    if after != reader.link_before(topic, shard, records[-1].position + 1):
        what = "what was read does not end the chain as the source does"
        raise CorruptRecord(topic, shard, records[-1].position, where=str(folder), what=what)
    segment = write_sealed(folder / name, content, records)
    write_heads(folder, read_heads(folder).moved(key, after.position + 1))
    return segment


def write_sealed(
    path: Path,
    content: bytes,
    records: list[Record],
    confirm: Callable[[], None] | None = None,
) -> Segment:
    """Write, read back and compare under a temporary name; only then let it be seen.

    confirm: asked before that whether they may be seen; it raises where not.
    """
    segment = parse_name(path)
    if segment is None:
        raise LogUnreadable(str(path), "no segment can have this name")
    named = f"positions {segment.first} to {segment.last} of {segment.topic}/{segment.shard}"
    partial = write_partial(path, content, unwritten=named)
    written = open_segment(replace(segment, path=partial))
    if list(written.read(segment.first, segment.last + 1)) != records:
        raise LogUnreadable(str(partial), "what was written does not read back")
    if confirm is not None:
        confirm()
    publish(partial, path)
    return segment


def _listed(folder: Path) -> dict[tuple[str, int], tuple[Segment, ...]]:
    """The segments of a folder by partition, in order; LogUnreadable for strangers and overlaps."""
    found: dict[tuple[str, int], list[Segment]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        segment = parse_name(path)
        if segment is None:
            raise LogUnreadable(str(path), "its name is not a segment's; move it elsewhere")
        found.setdefault((segment.topic, segment.shard), []).append(segment)
    for segments in found.values():
        segments.sort(key=lambda segment: segment.first)
        for one, other in pairwise(segments):
            if other.first <= one.last:
                what = f"it overlaps {one.path.name} at position {other.first}"
                raise LogUnreadable(str(other.path), what)
    return {key: tuple(segments) for key, segments in sorted(found.items())}
