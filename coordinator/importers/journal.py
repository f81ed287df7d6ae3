"""Journal: messages in order of time go through the router into a new log.

Place in the flow: last step of an import. The same router as live, under simulated journal times.
Every journal begins with EngineStarted; input topics get one id, made of the files' content, and
offsets of their own. Never reorders what a generator gives: generators are in order of time.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from coordinator.core.ports import Log
from coordinator.core.route import Raw, Router
from coordinator.importers.errors import ImportFailed
from coordinator.importers.messages import Message
from coordinator.importers.rejects import Rejects
from schemas.journal import EngineStarted

__all__ = ["Progress", "Writer"]

Progress = Callable[[int, int], None]
"""Told (messages done, messages expected)."""

_BATCH_BYTES = 4 << 20
_BATCH_MESSAGES = 4_000


class Writer:
    """Writes one import to an empty log; counts: messages by event."""

    def __init__(self, log: Log, *, shards: int, topic_id: str) -> None:
        if log.partitions():
            raise ImportFailed("log", "it is not empty", remedy="import into a new one")
        self.counts: Counter[str] = Counter()
        self._router = Router(log, shards=shards)
        self._shards = shards
        self._topic_id = topic_id
        self._offsets: Counter[str] = Counter()

    def start(self, engine: EngineStarted, *, at: int) -> None:
        """Begin every journal."""
        self._router.write(engine, shards=range(self._shards), journal_time=at)

    def append(self, messages: Iterable[Message], *, expected: int, progress: Progress) -> int:
        """Route all messages in order; returns the last journal time."""
        last = 0
        for batch in _batches(messages):
            last = self._flush(batch)
            progress(self.counts.total(), expected)
        return last

    def bury(self, rejects: Iterable[Rejects], *, at: int) -> None:
        """Keep bad rows on the dead-letter topics."""
        letters = itertools.chain.from_iterable(item.letters() for item in rejects)
        while batch := list(itertools.islice(letters, _BATCH_MESSAGES)):
            self._router.bury(batch, journal_time=at)

    def _flush(self, batch: Sequence[Message]) -> int:
        raws = [self._raw(item) for item in batch]
        done = self._router.accept(raws, journal_times=[item.known_at for item in batch])
        if done.dead:
            # What the importers accept is valid; anything else is their fault and must not pass.
            raise ImportFailed(
                "import", f"the router refused {done.dead} records made here", remedy="report it"
            )
        self.counts.update(item.event for item in batch)
        return batch[-1].known_at

    def _raw(self, item: Message) -> Raw:
        topic = item.topic
        offset = self._offsets[topic]
        self._offsets[topic] = offset + 1
        return Raw(topic, self._topic_id, 0, offset, item.known_at, item.payload)


def _batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Runs of messages, bounded in number and in bytes."""
    batch: list[Message] = []
    size = 0
    for item in messages:
        batch.append(item)
        size += len(item.payload)
        if size > _BATCH_BYTES or len(batch) >= _BATCH_MESSAGES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
