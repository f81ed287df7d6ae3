"""Archive: seals what a log holds into a folder of segments, verified, by shard and time.

Place in the flow: beside a log that goes on, a Kafka log above all. Sealed are the journal,
decisions and dead letters as they are, and of the checkpoints those that a sealed build left: the
next build's decisions begin there. A segment gets its name, and so counts, only after the log was
read again and said the same. Positions and times are the log's own; the chain of hashes, which a
topic does not have, is made as records are read and goes on from the folder's last link. It must
never write over a segment, nor delete anything from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile, zip_longest
from pathlib import Path
from time import perf_counter

from coordinator.core.checkpoint import checkpoint_position, is_sealed
from coordinator.core.ports import LogReader, Record
from coordinator.log.errors import CorruptRecord, LogUnreadable
from coordinator.log.following import Followed
from coordinator.log.integrity import GENESIS, Link
from coordinator.log.live import begin_of, has_broker_times, is_expiring
from coordinator.log.lock import WriterLock
from coordinator.log.segment_file import encode
from coordinator.log.segment_heads import SHEET, begin_folder, read_heads, write_heads
from coordinator.log.segments import SegmentLog, write_sealed
from schemas.entries import GENESIS as GENESIS_HASH

__all__ = [
    "DAY_NS",
    "ArchiveReport",
    "Progress",
    "SealedRange",
    "SegmentSize",
    "archive",
    "refuse_differences",
    "refuse_other_log",
]

DAY_NS = 86_400 * 1_000_000_000
TOPICS = ("journal", "decisions", "checkpoints")
_PROGRESS_RECORDS = 1_000

Key = tuple[str, int]
Progress = Callable[[int, int, str], None]
"""Called with positions done, positions there are, and the partition."""


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """Where one segment ends and the next begins: whatever comes first.

    time_ns: a segment holds records of one such span of time, counted from 1970, as a UTC day is.
    """

    records_max: int = 200_000
    bytes_max: int = 32 * 2**20
    time_ns: int = DAY_NS


@dataclass(frozen=True, slots=True)
class SealedRange:
    """What one run sealed of a partition, or would seal: positions start up to stop.

    bytes: of the payloads. missing: positions that expired before anybody archived them (dead
    letters). first_time, last_time: journal times, ns UTC; None without records.
    """

    topic: str
    shard: int
    start: int
    stop: int
    records: int = 0
    bytes: int = 0
    segments: int = 0
    missing: int = 0
    first_time: int | None = None
    last_time: int | None = None


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What one run sealed. seconds: wall time, reading twice and writing included."""

    ranges: tuple[SealedRange, ...]
    seconds: float

    @property
    def records(self) -> int:
        """Records sealed and verified."""
        return sum(one.records for one in self.ranges)


def archive(
    reader: LogReader,
    folder: str | Path,
    *,
    until: int | None = None,
    shards: Collection[int] | None = None,
    size: SegmentSize | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Seal what the folder does not hold yet; killed at any moment, it can be run again.

    until: only journal records before this time (ns UTC), and the decisions they brought about.
    shards: of the journal, decisions and checkpoints; with them dead letters are left for another
    run. dry_run: read and count, write nothing.
    Raises LogUnreadable when the folder is of another log or the log has lost what it lacks,
    CorruptRecord when decisions are no unbroken chain or the log says something else when read
    again, LogLocked, LogFull.
    """
    started = perf_counter()
    target = Path(folder)
    run = _Run(reader, target, until, size or SegmentSize(), dry_run=dry_run, progress=progress)
    if dry_run and not (target / SHEET).exists():
        return ArchiveReport(run.every(shards, None), perf_counter() - started)
    if dry_run:
        with SegmentLog(target) as sealed:
            return ArchiveReport(run.every(shards, sealed), perf_counter() - started)
    target.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(target, target / ".lock")
    try:
        begin_folder(target, broker_times=has_broker_times(reader))
        with SegmentLog(target) as sealed:
            _refuse_other_times(reader, sealed)
            return ArchiveReport(run.every(shards, sealed), perf_counter() - started)
    finally:
        lock.release()


def _refuse_other_times(reader: LogReader, sealed: SegmentLog) -> None:
    if sealed.partitions() and sealed.broker_times != has_broker_times(reader):
        what = "it was sealed from another kind of log, whose records carry other times"
        raise LogUnreadable(sealed.where, what)


class _Run:
    """One archiving of one log."""

    def __init__(
        self,
        reader: LogReader,
        folder: Path,
        until: int | None,
        size: SegmentSize,
        *,
        dry_run: bool,
        progress: Progress | None,
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._until = until
        self._size = size
        self._dry_run = dry_run
        self._progress = progress
        self._done = self._total = 0
        self._states: frozenset[int] = frozenset()

    def every(
        self, shards: Collection[int] | None, sealed: SegmentLog | None
    ) -> tuple[SealedRange, ...]:
        """Seal every partition that is wanted, a shard's journal before its decisions."""
        keys = [key for key in self._reader.partitions() if _is_wanted(key, shards)]
        keys.sort(key=lambda key: (key[0] not in TOPICS, key[1], _order(key[0]), key[0]))
        ends = {key: self._reader.end(*key) for key in keys}
        starts = {key: self._start(key, ends[key], sealed) for key in keys}
        self._total = sum(ends[key] - starts[key] for key in keys)
        found: list[SealedRange] = []
        journal_stop = {key[1]: 0 for key in keys}
        for key in keys:
            before = journal_stop[key[1]] if key[0] == "decisions" else None
            one = self._seal_partition(key, starts[key], ends[key], sealed, before)
            if key[0] == "journal":
                journal_stop[key[1]] = one.stop
            found.append(one)
        return tuple(found)

    def _start(self, key: Key, end: int, sealed: SegmentLog | None) -> int:
        """Where sealing goes on. Raises LogUnreadable for a hole, or for another log."""
        at = 0 if sealed is None else sealed.end(*key)
        begin = begin_of(self._reader, *key)
        if begin > at and not is_expiring(key[0]):
            what = (
                f"{key[0]}/{key[1]} is sealed up to position {at}, and the log begins at {begin}: "
                "what lies between is in neither; restore the folder from a copy"
            )
            raise LogUnreadable(str(self._folder), what)
        if sealed is not None and at:
            refuse_other_log(self._reader, sealed, key, at, begin=begin, end=end)
        return at

    def _seal_partition(
        self, key: Key, start: int, end: int, sealed: SegmentLog | None, before: int | None
    ) -> SealedRange:
        """Cut the records into segments and seal each."""
        begin = max(start, begin_of(self._reader, *key))
        if key[0] == "checkpoints":
            self._states = _states_in(sealed, key[1])
        records = self._records(key, begin, end)
        followed = None
        if key[0] == "decisions":
            seq, last_hash = _tip(sealed, key[1])
            followed = Followed(
                records, seq=seq, last_hash=last_hash, before=before, where=str(self._folder)
            )
            records = iter(followed)
        found = SealedRange(*key, start=start, stop=start, missing=begin - start)
        link = GENESIS if sealed is None else sealed.link_before(*key, start)
        waiting: list[Record] = []
        waiting_bytes, notes = 0, dict[str, str]()
        for record in records:
            if waiting and self._is_full(waiting, waiting_bytes, record):
                link, found = self._sealed(found, waiting, link, notes)
                waiting, waiting_bytes = [], 0
            waiting.append(record)
            waiting_bytes += len(record.payload)
            if followed is not None:
                notes = {"seq": str(followed.seq), "last_hash": followed.last_hash}
        if waiting:
            link, found = self._sealed(found, waiting, link, notes)
        return found

    def _records(self, key: Key, start: int, end: int) -> Iterator[Record]:
        """What is to be sealed of a partition, as it is read."""
        records = self._counted(key, self._reader.read(*key, start, end))
        if key[0] == "checkpoints":
            return (record for record in records if self._is_new_state(record))
        if self._until is None or key[0] == "decisions":
            return records
        until = self._until
        return takewhile(lambda record: record.journal_time < until, records)

    def _counted(self, key: Key, records: Iterator[Record]) -> Iterator[Record]:
        for count, record in enumerate(records, 1):
            yield record
            if self._progress is not None and count % _PROGRESS_RECORDS == 0:
                self._done += _PROGRESS_RECORDS
                self._progress(self._done, self._total, f"{key[0]}/{key[1]}")

    def _is_full(self, waiting: list[Record], waiting_bytes: int, record: Record) -> bool:
        size = self._size
        # Times of a partition may step back a little; that begins no span of its own.
        later = record.journal_time // size.time_ns > waiting[0].journal_time // size.time_ns
        return later or len(waiting) >= size.records_max or waiting_bytes >= size.bytes_max

    def _sealed(
        self, found: SealedRange, records: list[Record], link: Link, notes: dict[str, str]
    ) -> tuple[Link, SealedRange]:
        """Seal one segment; where the chain stands then, and what was sealed so far."""
        if not self._dry_run:
            confirm = partial(self._confirm, records, link.position + 1)
            name, content, link = encode(records, link, notes)
            write_sealed(self._folder / name, content, records, confirm)
            key = (found.topic, found.shard)
            write_heads(self._folder, read_heads(self._folder).moved(key, records[-1].position + 1))
        first = records[0].journal_time if found.first_time is None else found.first_time
        return link, replace(
            found,
            stop=records[-1].position + 1,
            records=found.records + len(records),
            bytes=found.bytes + sum(len(record.payload) for record in records),
            segments=found.segments + 1,
            first_time=first,
            last_time=records[-1].journal_time,
        )

    def _confirm(self, records: list[Record], after: int) -> None:
        """The log, read again, says what is written. Raises CorruptRecord.

        after: one past the record before; a large record begins before its own position.
        """
        topic, shard = records[0].topic, records[0].shard
        start = max(after, begin_of(self._reader, topic, shard))
        again = self._reader.read(topic, shard, start, records[-1].position + 1)
        if topic == "checkpoints":
            again = (record for record in again if self._is_new_state(record))
        refuse_differences(iter(records), again, where=str(self._folder))

    def _is_new_state(self, record: Record) -> bool:
        """Whether a checkpoint is what a sealed build left, and not archived yet.

        A topic holds the last one once more from time to time: its owner carries it on.
        """
        body = record.payload.partition(b"\n")[2]
        return is_sealed(body) and checkpoint_position(body) not in self._states


def refuse_differences(sealed: Iterator[Record], live: Iterator[Record], *, where: str) -> None:
    """Raise CorruptRecord at the first record that the log does not hold as it was sealed."""
    for one, other in zip_longest(sealed, live):
        record = one if one is not None else other
        if record is not None and one != other:
            what = "the log says something else than what was sealed"
            raise CorruptRecord(record.topic, record.shard, record.position, where=where, what=what)


def refuse_other_log(
    reader: LogReader, sealed: SegmentLog, key: Key, at: int, *, begin: int, end: int
) -> None:
    """The last sealed record must be the log's own, where the log still has it."""
    previous = sealed.link_before(*key, at - 1).position
    if end < at:
        what = f"it is sealed up to position {at - 1}, the log ends at {end - 1}: another log"
        raise LogUnreadable(sealed.where, f"{key[0]}/{key[1]}: {what}")
    if key[0] == "checkpoints" or begin > max(previous + 1, 0):
        return
    refuse_differences(
        sealed.read(*key, at - 1, at),
        reader.read(*key, max(previous + 1, begin), at),
        where=sealed.where,
    )


def _tip(sealed: SegmentLog | None, shard: int) -> tuple[int, str]:
    """Where the sealed decisions' own chain stands: as noted, else by following all of it."""
    if sealed is None:
        return -1, GENESIS_HASH
    notes = sealed.notes("decisions", shard)
    if "seq" in notes and "last_hash" in notes:
        return int(notes["seq"]), notes["last_hash"]
    followed = Followed(sealed.read("decisions", shard), where=sealed.where)
    for _ in followed:
        pass
    return followed.seq, followed.last_hash


def _is_wanted(key: Key, shards: Collection[int] | None) -> bool:
    topic, shard = key
    if topic in TOPICS:
        return shards is None or shard in shards
    return shards is None and topic.endswith(".dlq")


def _states_in(sealed: SegmentLog | None, shard: int) -> frozenset[int]:
    """The journal positions whose states the archive holds."""
    records = () if sealed is None else sealed.read("checkpoints", shard)
    return frozenset(checkpoint_position(r.payload.partition(b"\n")[2]) for r in records)


def _order(topic: str) -> int:
    return TOPICS.index(topic) if topic in TOPICS else len(TOPICS)
