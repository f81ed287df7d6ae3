"""Broker time: what the log's clock says now, as far as its answers told us.

Place in the flow: beside a shard's owner, and in a router. Deadlines and ages are in the time that
the broker gives to records; this machine's clock may be wrong, and may jump. It is the first guess;
each append that is acknowledged corrects it, and between two of them only the monotonic clock
counts. It must never give an event its time: only the broker's append does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from coordinator.core.clock import MILLISECOND

__all__ = ["BrokerTime"]


class BrokerTime:
    """An estimate, ns. monotonic: a clock that never jumps; guess: of this machine, asked once."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], int] = time.monotonic_ns,
        guess: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic = monotonic
        self._ahead = guess() - monotonic()
        self.known = False
        """Whether it was told: until then it is what this machine's clock says."""

    def now(self) -> int:
        """The broker's time."""
        return self._monotonic() + self._ahead

    def sending(self) -> int:
        """When something is sent, for `told`."""
        return self._monotonic()

    def told(self, at: int, sent: int) -> None:
        """What was sent then is acknowledged now, and was appended at that time of the broker.

        The broker's clock was there in between, or up to a millisecond further: topics know no
        smaller ones. An estimate that agrees stays.
        """
        self.known = True
        earliest, latest = at - self._monotonic(), at + MILLISECOND - sent
        self._ahead = min(max(self._ahead, earliest), latest)

    def heard(self, at: int) -> None:
        """A record of that time was read: the broker's clock is there, at least."""
        self._ahead = max(self._ahead, at - self._monotonic())
