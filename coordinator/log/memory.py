"""A log that lives in this process: for tests, and for runs that nobody wants to keep.

Place in the flow: behind `core.ports.Log` like any other adapter, held to the same contract. It
must never be taken for durable: everything is gone with the object.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from coordinator.core.ports import Append, Record
from coordinator.log.closing import Closing
from coordinator.log.errors import LogClosed
from coordinator.log.integrity import GENESIS, Chain, Link, check_append

__all__ = ["MemoryLog"]

_WHERE = "memory"


class _Partition:
    """One (topic, shard): records, their positions, and the chain as far as it was asked for."""

    __slots__ = ("_chain", "_digests", "positions", "records")

    def __init__(self, topic: str, shard: int) -> None:
        self.records: list[Record] = []
        self.positions: list[int] = []
        self._chain = Chain(topic, shard)
        self._digests: list[bytes] = []

    def link_at(self, index: int) -> Link:
        """The link before record `index`; hashes are made only when somebody asks."""
        for record in self.records[len(self._digests) : index]:
            self._digests.append(
                self._chain.extend(record.position, record.journal_time, record.payload)
            )
        return Link(self.positions[index - 1], self._digests[index - 1]) if index else GENESIS


class MemoryLog(Closing):
    """An in-memory Log.

    clock: integer nanoseconds UTC, asked when an append brings no time of its own. skip: given the
    next free position returns the one to use (the same or a later one), so that tests can have
    gaps.
    """

    def __init__(
        self, *, clock: Callable[[], int] = time.time_ns, skip: Callable[[int], int] | None = None
    ) -> None:
        self._clock = clock
        self._skip = skip
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._mutex = threading.Lock()
        self._closed = False

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        """Append all of batch in order; returns the positions. Raises InvalidAppend, LogClosed."""
        for item in batch:
            check_append(item)
        with self._mutex:
            self._refuse_if_closed()
            now = self._clock()
            return tuple(self._store(item, now) for item in batch)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """Records from the first position >= start up to `stop`, as of this call."""
        self._refuse_if_closed()
        partition = self._partitions.get((topic, shard))
        if partition is None:
            return iter(())
        first = bisect_left(partition.positions, start)
        last = len(partition.records)
        if stop is not None:
            last = bisect_left(partition.positions, stop)
        return self._stream(partition, first, last)

    def link_before(self, topic: str, shard: int, position: int) -> Link:
        """Where the chain stands before `position`."""
        self._refuse_if_closed()
        with self._mutex:
            partition = self._partitions.get((topic, shard))
            if partition is None:
                return GENESIS
            return partition.link_at(bisect_left(partition.positions, position))

    def end(self, topic: str, shard: int) -> int:
        """One past the last position; 0 when empty."""
        self._refuse_if_closed()
        partition = self._partitions.get((topic, shard))
        return partition.positions[-1] + 1 if partition is not None else 0

    def partitions(self) -> tuple[tuple[str, int], ...]:
        """Sorted (topic, shard) pairs that hold records."""
        self._refuse_if_closed()
        return tuple(sorted(self._partitions))

    def close(self) -> None:
        """Forget nothing yet, but answer no more."""
        self._closed = True

    def _store(self, item: Append, now: int) -> int:
        key = (item.topic, item.shard)
        partition = self._partitions.get(key)
        if partition is None:
            partition = _Partition(item.topic, item.shard)
        position = partition.positions[-1] + 1 if partition.positions else 0
        if self._skip is not None:
            position = max(position, self._skip(position))
        journal_time = item.journal_time
        if journal_time is None:
            # Time of a partition never goes back, whatever the clock does.
            journal_time = (
                max(now, partition.records[-1].journal_time) if partition.records else now
            )
        partition.records.append(
            Record(item.topic, item.shard, position, journal_time, item.payload)
        )
        partition.positions.append(position)
        # Listed last: a reader in another thread never meets an empty partition.
        self._partitions[key] = partition
        return position

    def _stream(self, partition: _Partition, first: int, last: int) -> Iterator[Record]:
        for index in range(first, last):
            self._refuse_if_closed()
            yield partition.records[index]

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogClosed(_WHERE)
