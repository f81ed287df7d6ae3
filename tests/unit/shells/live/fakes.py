"""A log that can be told to append without waiting, in memory: what owners and publishers need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Self

from coordinator.core.ports import Append, Record
from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.sending import Sent
from coordinator.log.memory import MemoryLog

__all__ = ["FakeLog", "HeldLog"]


class FakeLog:
    """What several owners see of one MemoryLog, as KafkaLog shows it.

    refuse: asked before every append and read; what it raises, they raise.
    """

    broker_times = True

    def __init__(
        self, memory: MemoryLog, *, refuse: Callable[[str], None] = lambda _: None
    ) -> None:
        self.memory = memory
        self.refuse = refuse
        self.truncated: list[tuple[str, int, int]] = []
        self.closed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        self.refuse("append")
        return self.memory.append([Append(a.topic, a.shard, a.payload) for a in batch])

    def append_soon(self, batch: Sequence[Append]) -> Future[list[Sent]]:
        done: Future[list[Sent]] = Future()
        try:
            positions = self.append(batch)
        except LogUnavailable as error:
            done.set_exception(error)
            return done
        done.set_result([self._sent(a, p) for a, p in zip(batch, positions, strict=True)])
        return done

    def _sent(self, item: Append, position: int) -> Sent:
        (record,) = self.memory.read(item.topic, item.shard, position, position + 1)
        return Sent(position, record.journal_time)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        self.refuse(f"read {topic}")
        return self.memory.read(topic, shard, start, stop)

    def end(self, topic: str, shard: int) -> int:
        self.refuse("end")
        return self.memory.end(topic, shard)

    def partitions(self) -> tuple[tuple[str, int], ...]:
        return self.memory.partitions()

    def truncate(self, topic: str, shard: int, before: int) -> int:
        self.truncated.append((topic, shard, before))
        return before

    def close(self) -> None:
        self.closed += 1


class HeldLog(FakeLog):
    """One whose appends are through only when the test says so."""

    def __init__(self, memory: MemoryLog) -> None:
        super().__init__(memory)
        self.sends: list[tuple[list[Append], Future[list[Sent]]]] = []

    def append_soon(self, batch: Sequence[Append]) -> Future[list[Sent]]:
        future: Future[list[Sent]] = Future()
        self.sends.append((list(batch), future))
        return future

    @property
    def in_flight(self) -> int:
        return sum(not future.done() for _, future in self.sends)

    def through(self) -> None:
        """The oldest send that is on its way arrives."""
        batch, future = next(one for one in self.sends if not one[1].done())
        positions = self.append(batch)
        future.set_result([self._sent(a, p) for a, p in zip(batch, positions, strict=True)])

    def fail(self) -> None:
        """The oldest send that is on its way does not."""
        future = next(future for _, future in self.sends if not future.done())
        future.set_exception(LogUnavailable("fake", "lost"))
