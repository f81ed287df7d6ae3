"""Inbox: what was delivered to a shard and is not applied yet, bounded, between two threads.

Place in the flow: the delivery puts records in, the shard's thread takes them out. A record for
which there is no room is left out and remembered as a hole: the log has it, and it is read again
from there. It must never make the delivery wait.
"""

from __future__ import annotations

import threading
from collections import deque

from coordinator.core.ports import Record

__all__ = ["Inbox"]


class Inbox:
    """Delivered records in order."""

    def __init__(self, *, records_max: int) -> None:
        self._records: deque[Record] = deque()
        self._largest = records_max
        self._changed = threading.Condition()
        self._woken = False
        self._wanted = 1
        self._beyond = -1

    def put(self, *records: Record) -> None:
        """Deliver records in order, from any thread; who waits is woken once for all it wants."""
        with self._changed:
            for record in records:
                if len(self._records) < self._largest:
                    self._records.append(record)
                else:
                    self._beyond = max(self._beyond, record.position)
            if len(self._records) >= self._wanted:
                self._changed.notify()

    def wake(self) -> None:
        """Let `take` return, from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(
        self, *, most: int, timeout_s: float, gather_s: float = 0.0, linger_s: float = 0.0
    ) -> list[Record]:
        """Up to `most` records; waits for the first one, a wake, or the timeout.

        gather_s: for so long it waits for `most` of them: whoever has nothing to do with one of
        them yet need not be woken for it. linger_s: the same, from the first one on.
        """
        most = min(most, self._largest)
        with self._changed:
            self._wait(most, min(gather_s, timeout_s))
            self._wait(1, timeout_s - gather_s)
            if linger_s and self._records:
                self._wait(most, linger_s)
            self._woken = False
            count = min(most, len(self._records))
            return [self._records.popleft() for _ in range(count)]

    def _wait(self, wanted: int, timeout_s: float) -> None:
        """For so many records, with the mutex held."""
        if timeout_s > 0 and len(self._records) < wanted and not self._woken:
            self._wanted = wanted
            self._changed.wait(timeout_s)
            self._wanted = 1

    @property
    def waiting(self) -> int:
        """Records that are in here."""
        return len(self._records)

    def beyond(self, position: int) -> bool:
        """Whether a record after that position was left out, once nothing waits."""
        with self._changed:
            return not self._records and self._beyond > position
