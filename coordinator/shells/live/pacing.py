"""Pacer: when a shard's rounds have to lie further apart, because they take longer than there is.

Place in the flow: beside a shard's owner. What it measures becomes `RoundsPaced` in the journal,
and only that has an effect: a replay has the same rounds. It must never slow a shard down that
keeps up.
"""

from __future__ import annotations

import threading
import time

from schemas.entries import Stamp, encode_journal
from schemas.journal import RoundsPaced

__all__ = ["Pacer", "Turn"]

MILLISECOND = 1_000_000
LOOK_EVERY = 100 * MILLISECOND
BUSY, BUSY_LOOKS = 0.8, 2
"""Of so much of the time, in so many looks in a row, somebody decided: there is no room for more.
What comes at once and is soon done is no overload."""
AIM = 0.65
"""The share of the time that is to be spent: above it what comes waits for what came before."""
CALM, CALM_FOR = 0.4, 500 * MILLISECOND
CLOSER_MIN = 0.5
LEAST_MS, LARGEST_MS = 50, 2_000
LATE = 100 * MILLISECOND
"""Records that wait longer have gathered, and have to be worked off, too."""
GATHERED = 1.5
SHRINKS = 5 * MILLISECOND
ASK_AGAIN = 10_000 * MILLISECOND


class Turn:
    """A lock that one shard of a process holds while it decides; it knows for how long it was held.

    Two that decide at once would only take the interpreter from each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0
        self.held = 0
        """Nanoseconds it was held altogether."""

    def __enter__(self) -> None:
        self._lock.acquire()
        self._since = time.monotonic_ns()

    def __exit__(self, *_: object) -> None:
        self.held += time.monotonic_ns() - self._since
        self._lock.release()


class Pacer:
    """Watches which share of the time is spent deciding, by all shards of the process.

    Near all of it, the spacing becomes as much wider as is needed to aim at less, and more where
    records have gathered, unless they become fewer already; far below, it closes again step by
    step. What was asked for has to come into effect first: it stands in the journal behind
    everything that waits.
    """

    def __init__(self, shard: int, turn: Turn, now: int) -> None:
        self._shard = shard
        self._turn = turn
        self._looked_at = now
        self._held = turn.held
        self._busy = 0
        self._worst = self._worst_before = 0
        self._calm_since = now
        self._calm_share = 0.0
        self._asked: tuple[int, int] | None = None

    def waited(self, nanoseconds: int) -> None:
        """A record waited so long for its turn."""
        self._worst = max(self._worst, nanoseconds)

    def wanted(self, pace_ms: int, now: int) -> int | None:
        """The spacing that is wanted instead of the present one, ms; None while it fits.

        now: of a clock that never goes back, ns.
        """
        passed = now - self._looked_at
        if passed < LOOK_EVERY:
            return None
        share = (self._turn.held - self._held) / passed
        before, worst = self._worst_before, self._worst
        self._looked_at, self._held = now, self._turn.held
        self._worst_before, self._worst = worst, 0
        shrinks = worst > LATE and worst < before - SHRINKS
        self._busy = self._busy + 1 if share > BUSY and not shrinks else 0
        if share > CALM:
            self._calm_since, self._calm_share = now, 0.0
        else:
            self._calm_share = max(self._calm_share, share)
        if self._pending(pace_ms, now):
            return None
        if self._busy >= BUSY_LOOKS:
            wider = max(pace_ms, LEAST_MS) * share / AIM * (GATHERED if worst > LATE else 1.0)
            return self._ask(pace_ms, min(int(wider), LARGEST_MS), now)
        if pace_ms and now - self._calm_since > CALM_FOR:
            closer = int(pace_ms * max(self._calm_share / AIM, CLOSER_MIN))
            return self._ask(pace_ms, closer if closer > LEAST_MS else 0, now)
        return None

    def _pending(self, pace_ms: int, now: int) -> bool:
        """Whether what was asked for has not come into effect yet."""
        if self._asked is None:
            return False
        asked, at = self._asked
        if pace_ms != asked and now - at < ASK_AGAIN:
            return True
        self._asked, self._busy, self._calm_since, self._calm_share = None, 0, now, 0.0
        return False

    def _ask(self, pace_ms: int, wanted: int, now: int) -> int | None:
        if wanted == pace_ms:
            return None
        self._asked = wanted, now
        return wanted

    def entry(self, at: int, pace_ms: int) -> bytes:
        """The journal entry that says so."""
        event = RoundsPaced(event_id=f"pace {at}", event_time=at, round_spacing_ms=pace_ms)
        return encode_journal(Stamp("journal", "", 0, -1, at), event)
