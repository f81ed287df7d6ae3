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
LEAST_MS, LARGEST_MS = 50, 2_000
MARGIN = 1.5
"""Wider than measured, so that what has gathered is worked off."""
CLOSER = 0.7


class Pacer:
    """Watches how long records wait, and how fast the journal's time passes meanwhile.

    Behind, the spacing becomes as much wider as the journal took longer than it lasted; calm, it
    closes again step by step. What was asked for is not asked again before it had the time to work:
    it stands in the journal behind everything that waits.
    """

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._worst = 0
        self._looked_at = 0
        self._calm_since = 0
        self._behind = 0
        self._began: tuple[int, int] | None = None
        self._heard = 0
        self._asked_until = 0

    def waited(self, journal_time: int, now: int) -> None:
        """A record of that time got its turn now, ns."""
        self._worst = max(self._worst, now - journal_time)
        self._heard = journal_time
        if self._began is None:
            self._began = journal_time, now

    def wanted(self, pace_ms: int, now: int) -> int | None:
        """The spacing that is wanted instead of the present one, ms; None while it fits."""
        if now - self._looked_at < LOOK_EVERY:
            return None
        self._looked_at = now
        worst, self._worst = self._worst // MILLISECOND, 0
        self._behind = self._behind + 1 if worst > BEHIND_MS else 0
        if self._behind:
            self._calm_since = now
            return self._wider(pace_ms, now, worst) if self._behind >= BEHIND_LOOKS else None
        self._began = None
        if worst > CALM_MS or not self._calm_since:
            self._calm_since = now
        elif pace_ms and now - self._calm_since > CALM_FOR:
            self._calm_since = now
            closer = int(pace_ms * CLOSER)
            return closer if closer > LEAST_MS else 0
        return None

    def _wider(self, pace_ms: int, now: int, worst_ms: int) -> int | None:
        """As much wider as the journal took longer than it lasted since it is behind."""
        if self._began is None or now < self._asked_until:
            return None
        began_at, since = self._began
        took, lasted = now - since, max(self._heard - began_at, MILLISECOND)
        self._began = self._heard, now
        if took <= lasted:
            return None  # it is catching up
        wider = min(int(max(pace_ms, LEAST_MS) * min(took / lasted, 10.0) * MARGIN), LARGEST_MS)
        # It is reached when what waits now is done, and needs as long again to be felt.
        self._asked_until = now + int(2 * worst_ms * took / lasted) * MILLISECOND + LOOK_EVERY
        return wider if wider > pace_ms else None

    def entry(self, at: int, pace_ms: int) -> bytes:
        """The journal entry that says so."""
        event = RoundsPaced(event_id=f"pace {at}", event_time=at, round_spacing_ms=pace_ms)
        return encode_journal(Stamp("journal", "", 0, -1, at), event)
