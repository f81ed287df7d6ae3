"""What replays read from: a log's shards, its span of time, and how they are opened.

Place in the flow: shared by backtest, verify and the audits; reads through the log port only. What
a log must be before anything is decided from it is settled here: all its shards are there, and its
times are times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordinator.core.engine import Engine
from coordinator.core.ports import LogReader, Record
from coordinator.core.shards import shards_in
from coordinator.log.live import begin_of, has_broker_times
from coordinator.log.open import open_reader
from coordinator.quality.reasons import NO_DECISIONS
from replay.divergence import ABSENT, Difference
from replay.errors import NothingToReplay, TimeOutOfRange
from schemas.base import TIME_MAX
from schemas.entries import decode_journal, opening
from schemas.journal import EngineStarted
from schemas.portfolios import PortfolioOpened
from schemas.registry import SchemaError

__all__ = [
    "NO_DECISIONS",
    "EngineFactory",
    "Layout",
    "Progress",
    "Watch",
    "layout_of",
    "opened",
    "openings_in",
    "portfolios_in",
    "shards_of",
    "span",
]

Progress = Callable[[int, int, int], None]
"""Called with records done, records there are, and the journal time reached (ns UTC)."""
_NO_JOURNAL = "the log holds no journal: import your files, start a worker, or give another log"
_PROGRESS_RECORDS = 64
_NAMED_MAX = 5
_OURS = ("journal", "decisions", "checkpoints")
"""Topics that each shard has for itself."""


class EngineFactory(Protocol):
    """Makes a fresh engine of one shard."""

    def __call__(self, *, shard: int, shards: int) -> Engine:
        """The engine of `shard` of `shards`."""
        ...


@contextmanager
def opened(log: LogReader | str | Path) -> Iterator[LogReader]:
    """A reader of the log: opened and closed here for a path, the caller's own otherwise.

    Reading a journal record whose time is none raises TimeOutOfRange.
    """
    if not isinstance(log, (str, Path)):
        yield _InTime(log)
        return
    reader = open_reader(log)
    try:
        yield _InTime(reader)
    finally:
        reader.close()


class _InTime:
    """A reader whose journal holds only times that events can have."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.broker_times = has_broker_times(reader)
        self.end = reader.end
        self.partitions = reader.partitions
        self.close = reader.close

    def begin(self, topic: str, shard: int) -> int:
        """The first position that the reader within has."""
        return begin_of(self._reader, topic, shard)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """As of the reader within."""
        records = self._reader.read(topic, shard, start, stop)
        return self._checked(records) if topic == "journal" else records

    @staticmethod
    def _checked(records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            if not 0 <= record.journal_time < TIME_MAX:
                raise TimeOutOfRange(record.shard, record.position, record.journal_time)
            yield record


@dataclass(frozen=True, slots=True)
class Layout:
    """How many shards a log has by its own word, and which partitions do not fit to that.

    journals: shards whose journal is there and belongs there. odd: paths are "topic/shard"; a
    journal that is missing, or a partition of no shard.
    """

    shards: int
    journals: tuple[int, ...]
    odd: tuple[Difference, ...]


def layout_of(reader: LogReader) -> Layout:
    """A log's layout. Raises NothingToReplay when it holds nothing of any shard."""
    partitions = [one for one in reader.partitions() if one[0] in _OURS]
    if not partitions:
        raise NothingToReplay(_NO_JOURNAL)
    journals = shards_in(reader, "journal")
    shards = _declared(reader, journals)
    there = tuple(shard for shard in journals if shard < shards)
    named = f"a journal of {shards} shards"
    missing = [
        Difference(f"journal/{shard}", ABSENT, named)
        for shard in sorted(set(range(shards)) - set(there))
    ]
    stray = [
        Difference(f"{topic}/{shard}", f"records up to {reader.end(topic, shard) - 1}", ABSENT)
        for topic, shard in partitions
        if shard >= shards
    ]
    return Layout(shards, there, (*missing, *stray))


def _declared(reader: LogReader, journals: tuple[int, ...]) -> int:
    """What the first journal's first record says; as many as there are where it says nothing."""
    if not journals:
        return 0
    begin = begin_of(reader, "journal", journals[0])
    try:
        event = decode_journal(next(iter(reader.read("journal", journals[0], begin))).payload).event
    except SchemaError:
        event = None
    return event.shards if isinstance(event, EngineStarted) else max(journals) + 1


def portfolios_in(reader: LogReader) -> tuple[str, ...]:
    """Names of all portfolios that were opened in what the log still has, sorted."""
    return tuple(name for name, _ in openings_in(reader))


def openings_in(reader: LogReader) -> tuple[tuple[str, int], ...]:
    """The same, each with the journal time of its first opening, ns UTC."""
    needles = opening(PortfolioOpened)
    found: dict[str, int] = {}
    for topic, shard in reader.partitions():
        if topic != "journal":
            continue
        for record in reader.read(topic, shard, begin_of(reader, topic, shard)):
            if record.payload.startswith(needles):
                event = decode_journal(record.payload).event
                if isinstance(event, PortfolioOpened):
                    found.setdefault(event.portfolio, record.journal_time)
    return tuple(sorted(found.items()))


def shards_of(reader: LogReader) -> int:
    """How many shards the log was written with.

    Raises NothingToReplay when it has no journal, lacks a shard's, or holds what is of no shard.
    """
    layout = layout_of(reader)
    if not layout.shards:
        raise NothingToReplay(_NO_JOURNAL)
    if layout.odd:
        named = ", ".join(
            f"{one.path} is {'missing' if one.recorded == ABSENT else 'of no shard'}"
            for one in layout.odd[:_NAMED_MAX]
        )
        more = len(layout.odd) - _NAMED_MAX
        rest = f" and {more} more" if more > 0 else ""
        raise NothingToReplay(f"the log is laid out for {layout.shards} shards: {named}{rest}")
    return layout.shards


def span(reader: LogReader) -> tuple[int, int]:
    """Journal times of the first and the last record of any shard, ns UTC."""
    firsts, lasts = [], []
    for shard in shards_in(reader, "journal"):
        firsts.append(next(iter(reader.read("journal", shard))).journal_time)
        end = reader.end("journal", shard)
        lasts.append(next(iter(reader.read("journal", shard, end - 1))).journal_time)
    if not firsts:
        raise NothingToReplay(_NO_JOURNAL)
    return min(firsts), max(lasts)


class Watch:
    """Tells the progress callback of a long replay now and then."""

    def __init__(self, reader: LogReader, shards: int, progress: Progress | None) -> None:
        self._progress = progress
        self._total = sum(reader.end("journal", shard) for shard in range(shards))
        self._done = 0

    def saw(self, time: int) -> None:
        """One more record was replayed."""
        self._done += 1
        if self._progress is not None and self._done % _PROGRESS_RECORDS == 0:
            self._progress(self._done, self._total, time)
