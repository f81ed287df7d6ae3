"""Pace: how far apart rounds have to lie, because they take longer than there is time.

Place in the flow: beside the shards' owners of one process. What is measured here becomes
`RoundsPaced` in a shard's journal, and only that has an effect: a replay has the same rounds. It
must never slow a process down that keeps up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from schemas.entries import Stamp, encode_journal
from schemas.journal import RoundsPaced

__all__ = ["Pace", "Pacer"]

MILLISECOND = 1_000_000
LOOK_EVERY = 50 * MILLISECOND
BUSY, BUSY_LOOKS = 0.8, 4
"""Of so much of the time, in so many looks on end, somebody decided: there is no room for more.
What comes at once and is soon done is no overload."""
AIM = 0.7
"""The share of the time that is to be spent: above it what comes waits for what came before."""
CALM, CALM_FOR = 0.45, 500 * MILLISECOND
CLOSER_MIN = 0.5
LEAST_MS, LARGEST_MS = 50, 2_000
ROOM_MIN = 0.2
FADE = 0.1
"""Weight of a new measurement beside those before it."""
ACTIVE = 3_000 * MILLISECOND
"""Who decided within that time, or two spacings, goes on doing so."""
DIFFERS = 0.1
ASK_AGAIN = 10_000 * MILLISECOND


class Pace:
    """The turn to decide, which one shard of a process holds at a time, and the spacing it needs.

    Two that decide at once would only take the interpreter from each other. All portfolios that
    decide now, each once in a spacing, are to take the aim's share of the time.
    """

    def __init__(self, now: int | None = None) -> None:
        self._lock = threading.Lock()
        self._since = 0
        self.held = 0
        """Nanoseconds the turn was held altogether."""
        self.spacing_ms = 0
        """Between two rounds of a portfolio, where the parameters have less; 0: theirs alone."""
        self._deciding: dict[bytes, int] = {}
        self._cost = 0.0
        self._rounds_held = 0
        self._records = 0.0
        self._looked_at = time.monotonic_ns() if now is None else now
        self._held_then = self._rounds_then = 0
        self._busy = 0
        self._calm_since = self._looked_at
        self._calm_share = 0.0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._since = time.monotonic_ns()

    def __exit__(self, *_: object) -> None:
        self.held += time.monotonic_ns() - self._since
        self._lock.release()

    def decided(self, portfolios: Sequence[bytes], took: int, now: int) -> None:
        """Rounds of these took so long altogether, ns, and ended now."""
        with self._lock:
            self._rounds_held += took
            for name in portfolios:
                self._deciding.pop(name, None)  # the newest stands last
                self._deciding[name] = now
                each = took / len(portfolios)
                self._cost += FADE * (each - self._cost) if self._cost else each

    def look(self, now: int) -> None:
        """Judge what passed since the last look. now: of a clock that never goes back, ns."""
        with self._lock:
            passed = now - self._looked_at
            if passed < LOOK_EVERY:
                return
            share = (self.held - self._held_then) / passed
            records = share - (self._rounds_held - self._rounds_then) / passed
            self._records += FADE * (max(0.0, records) - self._records)
            self._looked_at, self._held_then = now, self.held
            self._rounds_then = self._rounds_held
            self._busy = self._busy + 1 if share > BUSY else 0
            if share > CALM:
                self._calm_since, self._calm_share = now, 0.0
            else:
                self._calm_share = max(self._calm_share, share)
            if self._busy >= BUSY_LOOKS:
                self._busy = 0
                self.spacing_ms = max(self.spacing_ms, self._needed(now))
            elif self.spacing_ms and now - self._calm_since > CALM_FOR:
                self._calm_since, share = now, self._calm_share
                self._calm_share = 0.0
                closer = int(self.spacing_ms * max(share / AIM, CLOSER_MIN))
                self.spacing_ms = closer if closer > LEAST_MS else 0

    def _needed(self, now: int) -> int:
        """Spacing at which rounds take what records leave of the aim, ms; 0 if the least will do.

        Who has not decided for long is forgotten.
        """
        active = now - max(ACTIVE, 2 * self.spacing_ms * MILLISECOND)
        while self._deciding and next(iter(self._deciding.values())) < active:
            del self._deciding[next(iter(self._deciding))]
        room = max(AIM - self._records, ROOM_MIN)
        needed = int(len(self._deciding) * self._cost / room / MILLISECOND)
        return min(needed, LARGEST_MS) if needed > LEAST_MS else 0


class Pacer:
    """Tells one shard's journal the pace of its process.

    What was told has to come into effect before anything else is told: it stands in the journal
    behind everything that waits.
    """

    def __init__(self, shard: int, pace: Pace) -> None:
        self._shard = shard
        self._pace = pace
        self._asked: tuple[int, int] | None = None

    def wanted(self, pace_ms: int, now: int) -> int | None:
        """The spacing that is wanted instead of the shard's present one, ms; None while it fits."""
        self._pace.look(now)
        if self._asked is not None:
            asked, at = self._asked
            if pace_ms != asked and now - at < ASK_AGAIN:
                return None
            self._asked = None
        wanted = self._pace.spacing_ms
        if wanted == pace_ms or (wanted and abs(wanted - pace_ms) <= DIFFERS * pace_ms):
            return None
        self._asked = wanted, now
        return wanted

    def entry(self, at: int, pace_ms: int) -> bytes:
        """The journal entry that says so."""
        event = RoundsPaced(event_id=f"pace {at}", event_time=at, round_spacing_ms=pace_ms)
        return encode_journal(Stamp("journal", "", 0, -1, at), event)
