"""Keeping: which of a shard's checkpoints stay in the topic, and which go.

Place in the flow: told by the owner of each checkpoint it wrote. The newest two stay, for the next
recovery, and the state at the last seal: who verifies what was decided behind it begins there. A
topic is only ever cut at its beginning, so that one is written down again before it would go. It
must never delete a checkpoint before what replaces it is there.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from coordinator.core.checkpoint import is_sealed
from coordinator.core.ports import Append, Log, Unreadable

__all__ = ["CARRY_AFTER", "KEPT", "Kept", "KeptLog"]

TOPIC = "checkpoints"
KEPT = 2
CARRY_AFTER = 10
"""Behind a seal so many are waited for before older ones go: the seal's is rarely written again."""


class KeptLog(Log, Protocol):
    """A log whose topics can be cut at their beginning."""

    def truncate(self, topic: str, shard: int, before: int) -> int:
        """Delete what lies before a position; returns where the topic begins then."""
        ...


class Kept:
    """The checkpoints of one shard. `begin` with a log, then `wrote` after each."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._there: deque[int] = deque()
        self._written = 0
        self._seal: int | None = None

    def begin(self, log: KeptLog) -> None:
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
