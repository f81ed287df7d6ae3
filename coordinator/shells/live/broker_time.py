"""Broker time: what the log's clock says now, as far as its answers told us.

Place in the flow: beside a shard's owner, and in a router, for as long as they live. Deadlines and
ages are in the time that the broker gives to records; this machine's clock may be wrong, and may
jump. It is asked once, for a first guess; what is acknowledged or read bounds the broker's, and
between two answers only the monotonic clock counts. It must never order anything: only the broker's
append does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from coordinator.core.clock import MILLISECOND

__all__ = ["BrokerTime"]


class BrokerTime:
    """An estimate, ns UTC. For one thread.

    monotonic: a clock that never jumps; guess: what this machine believes, asked once.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], int] = time.monotonic_ns,
        guess: Callable[[], int] | None = None,
    ) -> None:
        self.monotonic = monotonic
        """The clock that `told` and `at` are told by, ns."""
        self._ahead = (guess or time.time_ns)() - monotonic()
        self.known = False
        """Whether an answer has told it; until then it rests on the guess, and on what was read."""

    def now(self) -> int:
        """The broker's time, ns UTC."""
        return self.at(self.monotonic())

    def at(self, monotonic: int) -> int:
        """The broker's time when the monotonic clock said so, as known today, ns UTC."""
        return monotonic + self._ahead

    def told(self, *, appended_at: int, sent: int) -> None:
        """An append is acknowledged now. appended_at: its time, ns UTC; sent: monotonic, ns.

        The broker's clock was there in between, or up to a millisecond further: topics know no
        smaller ones. An estimate that agrees stays.
        """
        earliest, latest = appended_at - self.monotonic(), appended_at + MILLISECOND - sent
        self._ahead = min(max(self._ahead, earliest), latest)
        self.known = True

    def heard(self, journal_time: int) -> None:
        """A record of that time was read: the broker's clock is there, at least."""
        self._ahead = max(self._ahead, journal_time - self.monotonic())
