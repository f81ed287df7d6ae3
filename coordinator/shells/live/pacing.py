"""Pacer: when a shard's rounds have to lie further apart, because they take longer than there is.

Place in the flow: beside a shard's owner. What it measures becomes `RoundsPaced` in the journal,
and only that has an effect: a replay has the same rounds. It must never slow a shard down that
keeps up.
"""

from __future__ import annotations

from schemas.entries import Stamp, encode_journal
from schemas.journal import RoundsPaced

__all__ = ["Pacer"]

MILLISECOND = 1_000_000
BEHIND_MS = 200
"""A record that waited longer than this for its turn was behind."""
BEHIND_LOOKS = 4
"""So many looks in a row must find that: what comes at once and is soon done is no overload."""
CALM_MS = 25
LOOK_EVERY = 250 * MILLISECOND
CALM_FOR = 3_000 * MILLISECOND
FIRST_MS, LARGEST_MS = 100, 1_000


class Pacer:
    """Watches how long records wait: doubles the spacing while it is too long, and halves it later.

    What was asked for is not asked again before it had the time to work: it stands in the journal
    behind everything that waits.
    """

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._worst = 0
        self._looked_at = 0
        self._calm_since = 0
        self._behind = 0
        self._asked_ms, self._asked_at = 0, 0

    def waited(self, journal_time: int, now: int) -> None:
        """A record of that time got its turn now, ns."""
        self._worst = max(self._worst, now - journal_time)

    def wanted(self, pace_ms: int, now: int) -> int | None:
        """The spacing that is wanted instead of the present one, ms; None while it fits."""
        if now - self._looked_at < LOOK_EVERY:
            return None
        self._looked_at = now
        worst, self._worst = self._worst // MILLISECOND, 0
        self._behind = self._behind + 1 if worst > BEHIND_MS else 0
        if self._behind:
            self._calm_since = now
            if self._behind < BEHIND_LOOKS:
                return None
            wider = FIRST_MS if pace_ms == 0 else min(2 * pace_ms, LARGEST_MS)
            again = wider == self._asked_ms and now - self._asked_at < CALM_FOR
            if wider == pace_ms or again:
                return None
            self._asked_ms, self._asked_at = wider, now
            return wider
        if worst > CALM_MS or not self._calm_since:
            self._calm_since = now
            return None
        if pace_ms and now - self._calm_since > CALM_FOR:
            self._calm_since, self._asked_ms = now, 0
            return pace_ms // 2 if pace_ms > FIRST_MS else 0
        return None

    def entry(self, at: int, pace_ms: int) -> bytes:
        """The journal entry that says so."""
        event = RoundsPaced(event_id=f"pace {at}", event_time=at, round_spacing_ms=pace_ms)
        return encode_journal(Stamp("journal", "", 0, -1, at), event)
