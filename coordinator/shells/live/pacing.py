"""Pace: how far apart rounds have to lie, because they take longer than there is time.

Place in the flow: beside the shards' owners of one process. What is measured here becomes
`RoundsPaced` in a shard's journal, and only that has an effect: a replay has the same rounds. It
must never slow a process down that keeps up.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from coordinator.core.clock import MILLISECOND
from schemas.entries import Stamp, encode_journal
from schemas.journal import RoundsPaced

__all__ = ["Pace", "Pacer"]

LOOK_EVERY = 50 * MILLISECOND
AIM = 0.65
"""The share of the time that is to be spent: above it what comes waits for what came before."""
ROOM_MIN = 0.2
LEAST_MS, LARGEST_MS = 50, 2_000
AT_ONCE, ON_END, SOME = 2, 2, 0.3
"""A round no later than so many spacings after the last one had waited for its turn. Where some
decide like that so often on end, all go on doing so: what comes at once and is soon done is no
overload."""
ACTIVE = 1_000 * MILLISECOND
"""Who has not decided for so long, or for three spacings, has stopped."""
COST_FADE, RECORDS_FADE = 0.06, 0.15
"""Weights of a new measurement beside those before it."""
LATE, LATE_MOST = 150 * MILLISECOND, 1_000 * MILLISECOND
"""Records that waited longer than the first have gathered and are to be worked off: up to twice
the spacing where they waited the second longer."""
FIRST = 1.4
"""The first time by so much more: what gathers until it has an effect is worked off, too."""
CLOSER, CLOSER_AFTER = 0.85, 1_500 * MILLISECOND
"""Rounds close up by no more than that, and not sooner after the last change."""
DIFFERS = 0.1
ASK_AGAIN = 10_000 * MILLISECOND
REMEMBERED_MAX = 100_000


class Pace:
    """The spacing that a process needs: one for all its shards, which share the time to decide.

    All portfolios that decide without a pause, each once in a spacing, are to take what records
    leave of the aim.
    """

    def __init__(self, now: int | None = None) -> None:
        self._lock = threading.Lock()
        self.spacing_ms = 0
        """Between two rounds of a portfolio, where the parameters have less; 0: theirs alone."""
        self._last: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._deciding: OrderedDict[bytes, tuple[int, bool]] = OrderedDict()
        self._cost = 0.0
        self._worst = self._late = 0
        self._records_took = 0
        self._records = 0.0
        self._looked_at = time.monotonic_ns() if now is None else now
        self._changed_at = self._looked_at

    def stepped(
        self, portfolios: Sequence[bytes], took: int, *, journal_time: int, now: int
    ) -> None:
        """A record took so long, ns, with the rounds of these portfolios, and that ended now."""
        with self._lock:
            if not portfolios:
                self._records_took += took
                return
            near = AT_ONCE * max(self.spacing_ms, LEAST_MS) * MILLISECOND
            each = took / len(portfolios)
            for name in portfolios:
                self._cost += COST_FADE * (each - self._cost) if self._cost else each
                before, on_end = self._last.get(name, (0, 0))
                on_end = on_end + 1 if journal_time - before <= near else 0
                self._last[name] = journal_time, on_end
                self._last.move_to_end(name)
                self._deciding[name] = now, on_end >= ON_END
                self._deciding.move_to_end(name)
            while len(self._last) > REMEMBERED_MAX:
                self._last.popitem(last=False)

    def waited(self, nanoseconds: int) -> None:
        """A record waited so long for its turn."""
        with self._lock:
            self._worst = max(self._worst, nanoseconds)

    def look(self, now: int) -> None:
        """Judge what passed since the last look. now: of a clock that never goes back, ns."""
        with self._lock:
            passed = now - self._looked_at
            if passed < LOOK_EVERY:
                return
            self._records += RECORDS_FADE * (self._records_took / passed - self._records)
            self._records_took = 0
            self._late, self._worst = max(0, self._worst - LATE), 0
            self._looked_at = now
            needed = self._needed(now)
            wider = needed > self.spacing_ms * (1 + DIFFERS)
            closer = needed < self.spacing_ms * CLOSER and now - self._changed_at > CLOSER_AFTER
            if wider or closer or not self._deciding:
                least = int(self.spacing_ms * CLOSER) if self._deciding else 0
                spacing = max(needed, least)
                self.spacing_ms = spacing if spacing > LEAST_MS else 0
                self._changed_at = now

    def _needed(self, now: int) -> int:
        """Spacing at which rounds take what they may, ms; 0 if the least will do."""
        active = now - max(ACTIVE, 3 * self.spacing_ms * MILLISECOND)
        while self._deciding and next(iter(self._deciding.values()))[0] < active:
            self._deciding.popitem(last=False)
        if sum(steady for _, steady in self._deciding.values()) < SOME * len(self._deciding):
            return 0
        room = max(AIM - self._records, ROOM_MIN)
        needed = len(self._deciding) * self._cost / room / MILLISECOND
        if needed <= LEAST_MS:
            return 0
        gathered = 1 + min(self._late / LATE_MOST, 1.0)
        return min(int(needed * max(gathered, 1.0 if self.spacing_ms else FIRST)), LARGEST_MS)


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
