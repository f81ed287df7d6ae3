"""Keeping: a shard's checkpoints on their way to the topic, which of them stay, and which go.

Place in the flow: in the owner's thread, which goes on while one is written. The newest two stay,
for the next recovery, and the state at the last seal: who verifies what was decided behind it
begins there. A topic is only ever cut at its beginning, so that one is written down again before it
would go. It must never delete a checkpoint before what replaces it is there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from coordinator.core.checkpoint import is_sealed
from coordinator.core.ports import Append, Log, Unreadable
from coordinator.core.shard import Shard, Snapshot
from coordinator.log.kafka.sending import Sent
from coordinator.shells.live.publishing import SendingLog

__all__ = ["CARRY_AFTER", "KEPT", "Checkpoints", "Kept", "KeptLog", "WritingLog", "sooner"]

TOPIC = "checkpoints"
KEPT = 2
CARRY_AFTER = 10
"""Behind a seal so many are waited for before older ones go: the seal's is rarely written again."""
GOLDEN = (5**0.5 - 1) / 2


def sooner(shard: int) -> float:
    """By what part of the interval a shard's first checkpoint comes sooner.

    Shards that began together write theirs apart: multiples of the golden ratio, modulo 1.
    """
    return shard * GOLDEN % 1


class KeptLog(Log, Protocol):
    """A log whose topics can be cut at their beginning."""

    def truncate(self, topic: str, shard: int, before: int) -> int:
        """Delete what lies before a position; returns where the topic begins then."""
        ...


class WritingLog(KeptLog, SendingLog, Protocol):
    """One that can also be told to append without waiting."""


class Kept:
    """The checkpoints of one shard. `find` those of a log, then `wrote` after each."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._there: deque[int] = deque()
        self._written = 0
        self._seal: int | None = None

    def find(self, log: KeptLog) -> None:
        """Find what is there, and the state at the last seal among it."""
        self._there.clear()
        self._written, self._seal = 0, None
        try:
            for record in log.read(TOPIC, self._shard):
                self._there.append(record.position)
                if is_sealed(record.payload.partition(b"\n")[2]):
                    self._seal = record.position
        except Unreadable:
            return  # what was found up to there is kept

    def wrote(self, log: KeptLog, position: int, *, sealed: bool) -> None:
        """A checkpoint stands there now; sealed: it is the state at a seal. Older ones go."""
        self._there.append(position)
        self._written += 1
        if sealed:
            self._seal = position
        enough = KEPT if self._seal is None else CARRY_AFTER
        # Those that others wrote go only for two of ours: what we wrote, we can read.
        if self._written < KEPT or len(self._there) <= enough:
            return
        while len(self._there) > KEPT + 1:
            self._there.popleft()
        before = self._there.popleft() + 1
        if self._seal is not None and self._seal < before:
            self._seal = self._carried(log, self._seal)
        log.truncate(TOPIC, self._shard, before)

    def _carried(self, log: KeptLog, position: int) -> int | None:
        """The same state once more; None where somebody else has deleted it."""
        for record in log.read(TOPIC, self._shard, position, position + 1):
            again = Append(TOPIC, self._shard, record.payload, record.journal_time)
            return log.append([again])[0]
        return None


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    """A checkpoint that was sent. arrived: when it was there, monotonic seconds, once it is.

    What the sending calls back must not know of this: it would hold the whole state until somebody
    searches for garbage, which a worker seldom does.
    """

    taken: Snapshot
    sealed: bool
    began: float
    sending: Future[list[Sent]]
    arrived: list[float]


class Checkpoints:
    """One shard's checkpoints, one at a time: `begin`, and `settle` until it is there.

    wake: called from another thread when it is. took: told how many seconds it was on its way.
    """

    def __init__(
        self,
        log: WritingLog,
        shard: Shard,
        *,
        wake: Callable[[], None] = lambda: None,
        took: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._log = log
        self._shard = shard
        self._wake = wake
        self._took = took
        self._kept = Kept(shard.number)
        self._kept.find(log)
        self._way: _OnItsWay | None = None

    def begin(self) -> None:
        """Write the state down as it is now; all that was said must have been published.

        Waits for the one before it. Raises LogUnavailable.
        """
        self.settle(wait=True)
        began = time.monotonic()
        sealed = self._shard.engine.state.sealed
        taken = self._shard.snapshot()
        arrived: list[float] = []
        wake = self._wake

        def through(_: Future[list[Sent]]) -> None:
            arrived.append(time.monotonic())
            wake()

        sending = self._log.append_soon([taken.append])
        self._way = _OnItsWay(taken, sealed, began, sending, arrived)
        sending.add_done_callback(through)

    def settle(self, *, wait: bool = False) -> None:
        """Once the log has it, older ones go, which the log is asked for and waited for.

        Raises LogUnavailable, also where the state did not get there.
        """
        way = self._way
        if way is None or not (wait or way.sending.done()):
            return
        (sent,) = way.sending.result()
        self._way = None
        self._shard.wrote(way.taken)
        self._kept.wrote(self._log, sent.offset, sealed=way.sealed)
        self._took((way.arrived or [time.monotonic()])[0] - way.began)
