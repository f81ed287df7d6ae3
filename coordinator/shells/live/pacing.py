"""Pace: how far apart rounds have to lie, because they take longer than there is time.

Place in the flow: beside the shards' owners of one process. What is measured here becomes
`RoundsPaced` in a shard's journal, and only that has an effect: a replay has the same rounds. It
must never slow a process down that keeps up.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.core.clock import MILLISECOND
from schemas.entries import Stamp, encode_journal
from schemas.journal import RoundsPaced

__all__ = ["Pace", "Pacer", "Told"]

LOOK_EVERY = 50 * MILLISECOND
AIM = 0.75
"""The share of the time that is to be spent: above it what comes waits for what came before."""
ROOM_MIN = 0.2
LEAST_MS, LARGEST_MS = 50, 2_000
AT_ONCE, ON_END, SOME = 2, 2, 0.3
"""A round no later than so many spacings after the last one had waited for its turn. Where some
decide like that so often on end, all go on doing so: what comes at once and is soon done is no
overload, and makes nothing wider."""
ACTIVE = 1_000 * MILLISECOND
"""Who has not decided for so long, or for three spacings, has stopped."""
COST_FADE, RECORDS_RISE, RECORDS_FADE = 0.06, 0.5, 0.15
"""Weights of a new measurement beside those before it; more of what comes is believed sooner."""
LATE, LATE_MOST = 150 * MILLISECOND, 1_000 * MILLISECOND
"""Records that waited longer than the first have gathered and are to be worked off: up to twice
the spacing where they waited the second longer."""
FIRST = 1.4
"""The first time by so much more: what gathers until it has an effect is worked off, too."""
CLOSER, CLOSER_AFTER = 0.85, 1_500 * MILLISECOND
"""Rounds close up by no more than that, and not sooner after the last change."""
DIFFERS = 0.1
STAGGER_DIFFERS = 0.25
TURNS = 0.9
"""Rounds of one shard take their turns within this part of the spacing, so that none drifts."""
ASK_AGAIN = 10_000 * MILLISECOND
REMEMBERED_MAX = 100_000


class Told(NamedTuple):
    """A shard's pace, as its journal has it."""

    spacing_ms: int = 0
    stagger_ms: int = 0


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
        self._deciding: OrderedDict[bytes, tuple[int, bool, int]] = OrderedDict()
        self._decided = False
        self._shares: Counter[int] = Counter()
        self._cost = 0.0
        self._worst = self._late = 0
        self._records_took = 0
        self._records = self._records_before = 0.0
        self._looked_at = time.monotonic_ns() if now is None else now
        self._changed_at = self._looked_at

    def stepped(
        self, portfolios: Sequence[bytes], took: int, *, shard: int, journal_time: int, now: int
    ) -> None:
        """A record took so long, ns, with the rounds of these portfolios, and that ended now."""
        with self._lock:
            if not portfolios:
                self._records_took += took
                return
            self._decided = True
            # One that takes turns may have to wait for one more spacing.
            near = (AT_ONCE * max(self.spacing_ms, LEAST_MS) + self.spacing_ms) * MILLISECOND
            each = took / len(portfolios)
            for name in portfolios:
                self._cost += COST_FADE * (each - self._cost) if self._cost else each
                before, on_end = self._last.get(name, (0, 0))
                on_end = on_end + 1 if journal_time - before <= near else 0
                self._last[name] = journal_time, on_end
                self._last.move_to_end(name)
                self._deciding[name] = now, on_end >= ON_END, shard
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
            share, before = self._records_took / passed, self._records_before
            self._records_before = share
            more = min(share, before) - self._records  # one look alone is no trend
            self._records += (RECORDS_RISE if more > 0 else RECORDS_FADE) * more
            self._records_took = 0
            self._late, self._worst = max(0, self._worst - LATE), 0
            self._looked_at = now
            if not self._decided:
                return
            self._decided = False
            needed = self._needed(now)
            wider = needed > self.spacing_ms * (1 + DIFFERS)
            closer = needed < self.spacing_ms * CLOSER and now - self._changed_at > CLOSER_AFTER
            if wider or closer:
                spacing = max(needed, int(self.spacing_ms * CLOSER))
                self.spacing_ms = spacing if spacing > LEAST_MS else 0
                self._changed_at = now

    def stagger_ms(self, shard: int) -> int:
        """Between two rounds of that shard that wait for their spacing: each has its time."""
        here = self._shares.get(shard, 0)
        return int(self.spacing_ms * TURNS / here) if here else 0

    def _needed(self, now: int) -> int:
        """Spacing at which rounds take what they may, ms; 0 if the least will do.

        No wider than it is while few decide again and again: they may only close up.
        """
        active = now - max(ACTIVE, 3 * self.spacing_ms * MILLISECOND)
        while self._deciding and next(iter(self._deciding.values()))[0] < active:
            self._deciding.popitem(last=False)
        self._shares = Counter(shard for _, _, shard in self._deciding.values())
        room = max(AIM - self._records, ROOM_MIN)
        needed = len(self._deciding) * self._cost / room / MILLISECOND
        if needed <= LEAST_MS:
            return 0
        steady = sum(on_end for _, on_end, _ in self._deciding.values())
        if steady < SOME * len(self._deciding):
            return min(int(needed), self.spacing_ms)
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
        self._asked: tuple[Told, int] | None = None
        self._told_at = -CLOSER_AFTER

    def wanted(self, told: Told, now: int) -> Told | None:
        """What is wanted instead of the shard's present pace; None while that fits."""
        self._pace.look(now)
        if self._asked is not None:
            asked, at = self._asked
            if told != asked and now - at < ASK_AGAIN:
                return None
            self._asked = None
        spacing, stagger = self._pace.spacing_ms, self._pace.stagger_ms(self._shard)
        if not _differs(spacing, told.spacing_ms, DIFFERS):
            soon = now - self._told_at < CLOSER_AFTER
            if soon or not _differs(stagger, told.stagger_ms, STAGGER_DIFFERS):
                return None
            spacing = told.spacing_ms
        wanted = Told(spacing, stagger)
        if wanted == told:
            return None
        self._asked, self._told_at = (wanted, now), now
        return wanted

    def entry(self, at: int, wanted: Told) -> bytes:
        """The journal entry that says so."""
        event = RoundsPaced(
            event_id=f"pace {at}", event_time=at, round_spacing_ms=wanted.spacing_ms,
            stagger_ms=wanted.stagger_ms,
        )  # fmt: skip
        return encode_journal(Stamp("journal", "", 0, -1, at), event)


def _differs(wanted: int, told: int, part: float) -> bool:
    return wanted != told and (not wanted or abs(wanted - told) > part * told)
