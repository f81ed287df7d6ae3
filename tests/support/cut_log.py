"""A log as Kafka keeps it: no chain of its own, positions that skip, and a beginning that may go.

Place in the flow: tests only. Stands before any other log; what was cut off stays there, unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from coordinator.core.ports import Append, Log, Record
from coordinator.log.errors import LogUnreadable

__all__ = ["CutLog"]


class CutLog:
    """Reads and appends like the log within, but for what was truncated."""

    where = "cut"

    def __init__(self, log: Log, *, broker_times: bool = False) -> None:
        self.log = log
        self.broker_times = broker_times
        self.begins: dict[tuple[str, int], int] = {}
        self.on_read: Callable[[Record], Record | None] = lambda record: record
        self.reads: list[tuple[str, int, int, int | None]] = []

    def begin(self, topic: str, shard: int) -> int:
        return self.begins.get((topic, shard), 0)

    def truncate(self, topic: str, shard: int, before: int) -> int:
        self.begins[topic, shard] = max(before, self.begin(topic, shard))
        return self.begins[topic, shard]

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        begin = self.begin(topic, shard)
        if max(start, 0) < begin and topic in ("journal", "decisions"):
            raise LogUnreadable(self.where, f"{topic}/{shard} begins at position {begin}")
        self.reads.append((topic, shard, start, stop))
        found = self.log.read(topic, shard, max(start, begin), stop)
        return (one for record in found if (one := self.on_read(record)) is not None)

    def end(self, topic: str, shard: int) -> int:
        return self.log.end(topic, shard)

    def partitions(self) -> tuple[tuple[str, int], ...]:
        return self.log.partitions()

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        return self.log.append(batch)

    def close(self) -> None:
        self.log.close()
