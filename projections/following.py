"""Reads a log onward from a projection's marks: records in, a batch of rows and new marks out.

Place in the flow: between any log and the projector. Of each shard the journal is read before the
outputs that follow from it, so that an output never comes before its cause. A signal stands in
every shard's journal; the copy of its source's home shard gives the row, because the verdicts of
record on it stand in that shard too, behind it. Reads a log only through its port, keeps nothing
but the marks, and must never skip what it cannot follow: it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol, runtime_checkable

from coordinator.core.chain import ChainBroken, follow
from coordinator.core.ports import LogReader, Record
from coordinator.core.shards import shard_of
from coordinator.log.live import begin_of
from projections.apply import apply
from projections.checkpoints import START, Mark, Marks, Part
from projections.errors import LogRefused
from projections.rows import AsOf, Row
from schemas.entries import JournalEntry, decode_journal, opening
from schemas.journal import EngineStarted
from schemas.orders import OrderCancelled, OrderFilled, OrderPartlyFilled, OrderRejected
from schemas.portfolios import PortfolioOpened
from schemas.registry import SchemaError
from schemas.signals import SignalIssued, SignalWithdrawn

__all__ = ["Batch", "Follower"]

_SIGNALS = opening(SignalIssued, SignalWithdrawn)
_READ = _SIGNALS + opening(
    EngineStarted, OrderFilled, OrderPartlyFilled, OrderCancelled, OrderRejected, PortfolioOpened
)
"""How journal entries begin that give a row or tell the number of shards; others stay undecoded."""
_SOURCE = b'"source":"'
_CHUNK = 1_000
"""Journal records read before the outputs that follow from them."""


@runtime_checkable
class _SaysEnds(Protocol):
    def ends(self) -> Mapping[Part, int]: ...


@dataclass(slots=True)
class Batch:
    """Rows, and the marks that they lead from and to; all of it is written, or nothing.

    before, after: of the partitions that were read on. records: read from the log. first, last:
    earliest and latest journal time among them, ns UTC.
    """

    rows: list[Row] = field(default_factory=list)
    before: dict[Part, Mark] = field(default_factory=dict)
    after: dict[Part, Mark] = field(default_factory=dict)
    records: int = 0
    first: int = 2**63
    last: int = 0

    def saw(self, record: Record) -> None:
        """Count a record."""
        self.records += 1
        self.first = min(self.first, record.journal_time)
        self.last = max(self.last, record.journal_time)


@dataclass(slots=True)
class Follower:
    """Where the reading of one log stands, beginning at a target's marks.

    target: for errors. stops: position per partition not to be read beyond, where one is set.
    """

    reader: LogReader
    target: str
    marks: dict[Part, Mark] = field(default_factory=dict)
    stops: dict[Part, int] | None = None
    _shards: tuple[int, ...] = ()
    _turn: int = 0
    _cut: set[int] = field(default_factory=set)
    """Shards whose outputs were not read up to their journal."""

    def find_shards(self) -> None:
        """Look which shards the log has by now."""
        parts = self.reader.partitions()
        self._shards = tuple(sorted({n for topic, n in parts if topic in ("journal", "decisions")}))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The partitions that are followed."""
        return tuple((topic, n) for n in self._shards for topic in ("journal", "decisions"))

    def lag(self, part: Part) -> int:
        """Positions of a partition that were not read."""
        return max(0, self.reader.end(*part) - self.marks.get(part, START).next)

    def oldest(self, part: Part) -> int | None:
        """When the first record was journaled that was not read; None where nothing waits."""
        there = self._records(part, self.marks.get(part, START).next)
        return next((record.journal_time for record in there), None)

    def reset(self, marks: Marks) -> None:
        """Go on at these marks."""
        self.marks = dict(marks)
        self._cut.clear()

    def batch(self, *, rows_max: int, until: Callable[[], bool]) -> Batch:
        """What comes next, of all shards in turn; empty when there is nothing new.

        Ends soon after rows_max rows or records, or when until() says so. The marks move on, so a
        batch that could not be written is lost here: reset to the marks that stand in the target.
        Raises LogRefused, and the log's own errors.
        """
        made = Batch()
        ends = self._ends()
        for offset in range(len(self._shards)):
            shard = self._shards[(self._turn + offset) % len(self._shards)]
            if self._has_more(shard, ends):
                self._read_shard(made, shard, rows_max)
            if max(len(made.rows), made.records) >= rows_max or until():
                self._turn += offset + 1
                break
        return made

    def _ends(self) -> Mapping[Part, int] | None:
        """Where all partitions end, from a log that can say so in one answer."""
        return self.reader.ends() if isinstance(self.reader, _SaysEnds) else None

    def _has_more(self, shard: int, ends: Mapping[Part, int] | None) -> bool:
        if ends is None:
            return True
        parts: tuple[Part, ...] = (("journal", shard), ("decisions", shard))
        return any(ends.get(part, 0) > self.marks.get(part, START).next for part in parts)

    def _read_shard(self, made: Batch, shard: int, rows_max: int) -> None:
        if shard not in self._cut:
            self._read_journal(made, shard)
        self._cut.discard(shard)
        self._read_outputs(made, shard, rows_max)

    def _records(self, part: Part, start: int) -> Iterator[Record]:
        stop = None if self.stops is None else self.stops.get(part, 0)
        return self.reader.read(*part, start, stop)

    def _read_journal(self, made: Batch, shard: int) -> None:
        part = ("journal", shard)
        mark = before = self.marks.get(part, START)
        offsets = {(topic, tid, number): offset for topic, tid, number, offset in mark.origins}
        for record in islice(self._records(part, mark.next), _CHUNK):
            if record.position > mark.next:
                self._refuse_truncated(part, mark.next)
            made.saw(record)
            mark = replace(mark, next=record.position + 1, time=record.journal_time)
            entry = _entry(record.payload, shard, mark.shards)
            if entry is None or _is_repeated(entry, offsets):
                continue
            if isinstance(entry.event, EngineStarted):
                mark = replace(mark, shards=entry.event.shards)
            made.rows += apply(entry, AsOf(shard, record.position))
        origins = tuple(sorted((*key, offset) for key, offset in offsets.items()))
        self._move(made, part, before, replace(mark, origins=origins))

    def _read_outputs(self, made: Batch, shard: int, rows_max: int) -> None:
        part = ("decisions", shard)
        mark = before = self.marks.get(part, START)
        applied = self.marks.get(("journal", shard), START).next
        taken = _Taken(self._records(part, mark.next), made)
        try:
            for link in follow(taken, seq=mark.seq, last_hash=mark.hash):
                if link.entry.position >= applied or len(made.rows) >= rows_max:
                    taken.give_back()
                    self._cut_short(shard, link.entry.position, applied)
                    break
                made.rows += apply(link.entry, AsOf(shard, link.entry.seq))
                mark = replace(mark, seq=link.entry.seq, hash=link.entry.hash)
        except (ChainBroken, SchemaError) as error:
            where = f"decisions shard {shard} after seq {mark.seq}"
            raise LogRefused(self.target, f"{where} cannot be followed: {error}") from error
        if taken.next is not None:
            mark = replace(mark, next=taken.next, time=taken.time)
        self._move(made, part, before, mark)

    def _cut_short(self, shard: int, cause: int, applied: int) -> None:
        """Outputs are left for the next batch; their cause must be in the journal by now."""
        if cause < applied:
            self._cut.add(shard)
        elif cause >= self.reader.end("journal", shard):
            what = f"an output of shard {shard} names journal position {cause} as its cause"
            raise LogRefused(self.target, f"{what}, which is beyond the journal's end")

    def _move(self, made: Batch, part: Part, before: Mark, after: Mark) -> None:
        if after != before:
            made.before.setdefault(part, before)
            made.after[part] = self.marks[part] = after

    def _refuse_truncated(self, part: Part, start: int) -> None:
        """Records between the mark and the first one there is would be missing in the views."""
        first = begin_of(self.reader, *part)
        if first > start:
            what = f"{part[0]} shard {part[1]} begins at {first}, but {start} is next"
            remedy = "read the archive and the topics as one log"
            raise LogRefused(self.target, f"{what}: what lies between was truncated; {remedy}")


class _Taken:
    """Counts the records that somebody takes; the last one taken may be given back."""

    def __init__(self, records: Iterator[Record], made: Batch) -> None:
        self._records = records
        self._made = made
        self._last: tuple[int | None, int] = (None, 0)
        self.next: int | None = None
        self.time = 0

    def __iter__(self) -> Iterator[Record]:
        for record in self._records:
            self._last = (self.next, self.time)
            self.next, self.time = record.position + 1, record.journal_time
            self._made.saw(record)
            yield record

    def give_back(self) -> None:
        """The last record was not used."""
        self.next, self.time = self._last
        self._made.records -= 1


def _entry(payload: bytes, shard: int, shards: int) -> JournalEntry | None:
    """The entry, if a view shows it and it is this shard's to show.

    One that cannot be decoded gives no row here: the engine quarantines it and says so.
    """
    if not payload.startswith(_READ):
        return None
    if payload.startswith(_SIGNALS) and not _is_home(payload, shard, shards):
        return None
    try:
        return decode_journal(payload)
    except SchemaError:
        return None


def _is_home(payload: bytes, shard: int, shards: int) -> bool:
    """Whether a signal's source is at home here; found without decoding, as most are not.

    No text in JSON holds an unescaped quote, so the field's name stands where the field is. A name
    with an escape in it is told apart by decoding.
    """
    _, _, rest = payload.partition(_SOURCE)
    raw, _, _ = rest.partition(b'"')
    if b"\\" in raw or not raw:
        try:
            event = decode_journal(payload).event
        except SchemaError:
            return False
        source = event.source if isinstance(event, SignalIssued | SignalWithdrawn) else ""
    else:
        source = raw.decode("utf-8", "replace")
    # A log that names no number of shards has one.
    return shard_of(source, shards or 1) == shard


def _is_repeated(entry: JournalEntry, offsets: dict[tuple[str, str, int], int]) -> bool:
    """Whether a router appended the input twice: the engine passes over it without a word."""
    stamp = entry.stamp
    if stamp.offset < 0:
        return False
    key = (stamp.topic, stamp.topic_id, stamp.partition)
    if stamp.offset <= offsets.get(key, -1):
        return True
    offsets[key] = stamp.offset
    return False
