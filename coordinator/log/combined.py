"""A log that goes on, and the archive of what it no longer holds, read as one.

Place in the flow: what commands and replay get for a Kafka URL. Up to where the archive ends it is
read, every hash checked; the live log from there on. Where both hold the seam's record, it must be
the same. It must never pass over a hole between the two, nor append.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from itertools import chain

from coordinator.core.ports import LogReader, Record
from coordinator.log.archive import refuse_other_log
from coordinator.log.closing import Closing
from coordinator.log.errors import LogClosed, LogUnreadable
from coordinator.log.integrity import GENESIS, Chain, Link
from coordinator.log.live import begin_of, has_broker_times, is_expiring
from coordinator.log.segments import SegmentLog

__all__ = ["CombinedLog"]

Key = tuple[str, int]


class CombinedLog(Closing):
    """A ChainedReader over a live log and, where there is one, its archive. Closes both.

    Raises LogUnreadable when the live log begins behind the archive's end or is another log. Of
    dead letters what expired is missing without a word, of checkpoints all that is in either is
    read.
    """

    def __init__(self, live: LogReader, archive: SegmentLog | None = None) -> None:
        self._live = live
        self._archive = archive
        self._mutex = threading.Lock()
        self._seams: dict[Key, int] = {}
        self._links: dict[Key, Link] = {}
        self._closed = False
        self.where = str(getattr(live, "where", "live log"))
        if archive is not None and archive.partitions():
            self._refuse_other_times(archive)

    @property
    def broker_times(self) -> bool:
        """Whether every record carries the time at which the live log took it."""
        return has_broker_times(self._live)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """Records from the first position >= start up to `stop`, as of this call."""
        self._refuse_if_closed()
        end = self._live.end(topic, shard)
        end = end if stop is None else min(stop, end)
        seam = self._seam(topic, shard)
        if self._archive is None or not seam:
            return self._live.read(topic, shard, start, end)
        if topic == "checkpoints":
            return self._either(self._archive, shard, start, end)
        archived = self._archive.read(topic, shard, start, min(end, seam))
        if end <= seam:
            return archived
        if start > seam:
            return self._live.read(topic, shard, start, end)
        return chain(archived, self._from_live(topic, shard, seam, end))

    def end(self, topic: str, shard: int) -> int:
        """One past the last position; 0 when empty."""
        self._refuse_if_closed()
        return max(self._seam(topic, shard), self._live.end(topic, shard))

    def begin(self, topic: str, shard: int) -> int:
        """The first position that is in either; 0 where the archive holds the beginning."""
        self._refuse_if_closed()
        return 0 if self._seam(topic, shard) else begin_of(self._live, topic, shard)

    def partitions(self) -> tuple[Key, ...]:
        """Sorted (topic, shard) pairs that hold records in either."""
        self._refuse_if_closed()
        archived = self._archive.partitions() if self._archive is not None else ()
        return tuple(sorted({*archived, *self._live.partitions()}))

    def link_before(self, topic: str, shard: int, position: int) -> Link:
        """Where the chain stands before `position`: the archive's, and beyond it made by reading.

        A log that was cut and has no archive has a chain of its own, from where it begins.
        """
        self._refuse_if_closed()
        seam = self._seam(topic, shard)
        if self._archive is not None and seam and position <= seam:
            return self._archive.link_before(topic, shard, position)
        with self._mutex:
            link = self._links.get((topic, shard), GENESIS)
        if link.position >= position or link.position < seam - 1:
            link = GENESIS
            if self._archive is not None and seam:
                link = self._archive.link_before(topic, shard, seam)
        made = Chain(topic, shard, link.digest)
        at = max(link.position + 1, begin_of(self._live, topic, shard))
        last = link.position
        for record in self._live.read(topic, shard, at, position) if at < position else ():
            made.extend(record.position, record.journal_time, record.payload)
            last = record.position
        with self._mutex:
            self._links[topic, shard] = Link(last, made.digest)
        return Link(last, made.digest)

    def close(self) -> None:
        """Close both."""
        self._closed = True
        try:
            self._live.close()
        finally:
            if self._archive is not None:
                self._archive.close()

    def _seam(self, topic: str, shard: int) -> int:
        """Where the archive of a partition ends, checked once; 0 without one."""
        key = (topic, shard)
        with self._mutex:
            known = self._seams.get(key)
        if known is not None:
            return known
        seam = 0 if self._archive is None else self._archive.end(topic, shard)
        begin = begin_of(self._live, topic, shard)
        if self._archive is not None and not is_expiring(topic):
            if begin > seam:
                what = (
                    f"{topic}/{shard} is archived up to position {seam}, and the live log begins "
                    f"at {begin}: what lies between is in neither"
                )
                raise LogUnreadable(self._archive.where, what)
            if seam:
                end = self._live.end(topic, shard)
                refuse_other_log(self._live, self._archive, key, seam, begin=begin, end=end)
        with self._mutex:
            self._seams[key] = seam
        return seam

    def _from_live(self, topic: str, shard: int, start: int, stop: int) -> Iterator[Record]:
        """What follows the archive; asked for only when it is reached."""
        first = max(start, begin_of(self._live, topic, shard)) if is_expiring(topic) else start
        yield from self._live.read(topic, shard, first, stop)

    def _either(self, archive: SegmentLog, shard: int, start: int, stop: int) -> Iterator[Record]:
        """Checkpoints of both, each once."""
        first = max(start, begin_of(self._live, "checkpoints", shard))
        last = start - 1
        for record in heapq.merge(
            archive.read("checkpoints", shard, start, stop),
            self._live.read("checkpoints", shard, first, stop),
            key=lambda record: record.position,
        ):
            self._refuse_if_closed()
            if record.position > last:
                last = record.position
                yield record

    def _refuse_other_times(self, archive: SegmentLog) -> None:
        if archive.broker_times != has_broker_times(self._live):
            what = "it was sealed from another kind of log, whose records carry other times"
            raise LogUnreadable(archive.where, what)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogClosed(self.where)
