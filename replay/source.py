"""What replays read from: a log's shards, its span of time, and how they are opened.

Place in the flow: shared by backtest, verify and the audits; reads through the log port only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from coordinator.core.engine import Engine
from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from coordinator.log.open import open_reader
from replay.errors import NothingToReplay

__all__ = ["EngineFactory", "Progress", "Watch", "opened", "shards_of", "span"]

Progress = Callable[[int, int, int], None]
"""Called with records done, records there are, and the journal time reached (ns UTC)."""
_PROGRESS_RECORDS = 64


class EngineFactory(Protocol):
    """Makes a fresh engine of one shard."""

    def __call__(self, *, shard: int, shards: int) -> Engine:
        """The engine of `shard` of `shards`."""
        ...


@contextmanager
def opened(log: LogReader | str | Path) -> Iterator[LogReader]:
    """A reader of the log: opened and closed here for a path, the caller's own otherwise."""
    if not isinstance(log, (str, Path)):
        yield log
        return
    reader = open_reader(log)
    try:
        yield reader
    finally:
        reader.close()


def shards_of(reader: LogReader) -> int:
    """How many shards the log was written with. Raises NothingToReplay when it has no journal."""
    return max(_journals(reader)) + 1


def span(reader: LogReader) -> tuple[int, int]:
    """Journal times of the first and the last record of any shard, ns UTC."""
    firsts, lasts = [], []
    for shard in _journals(reader):
        firsts.append(next(iter(reader.read("journal", shard))).journal_time)
        end = reader.end("journal", shard)
        lasts.append(next(iter(reader.read("journal", shard, end - 1))).journal_time)
    return min(firsts), max(lasts)


def _journals(reader: LogReader) -> tuple[int, ...]:
    found = shards_in(reader, "journal")
    if not found:
        raise NothingToReplay("the log holds no journal; import your files, or give another log")
    return found


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
