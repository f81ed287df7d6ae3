"""Ticker: when a shard has to be told the time, by its deadline or because it idled.

Place in the flow: beside a shard's owner. The engine's time is the broker's. An early tick does no
harm: the rest is waited for, and one millisecond more. It must never make time itself: only the
broker's append does.
"""

from __future__ import annotations

from coordinator.core.clock import MILLISECOND, SECOND
from coordinator.core.deciding import Deciding
from coordinator.shells.live.broker_time import BrokerTime
from schemas.entries import Stamp, encode_journal
from schemas.journal import ClockTicked

__all__ = ["Ticker"]

IDLE_TICK = 10 * SECOND
"""An idle shard is told the time this often, so that its clock never lies far behind."""
DEAF_MAX_S = 0.04
"""Verdicts and figures do not wait for longer, whatever can be decided."""


class Ticker:
    """The time of one shard, as the broker's clock has it."""

    def __init__(self, broker_time: BrokerTime) -> None:
        self._now = broker_time.now
        self._not_before = 0

    def seconds_until(self, engine: Deciding) -> float:
        """How long nothing has to be said, seconds; 0 when a tick is due."""
        return max(0.0, (self._due_at(engine) - self._now()) / SECOND)

    def seconds_deaf(self, engine: Deciding) -> float:
        """For so long no record opens a round, or lets one end: they may wait for each other, s."""
        ends = (engine.next_begin(), engine.next_deadline())
        sooner = min((end for end in ends if end is not None), default=None)
        if sooner is None:
            return DEAF_MAX_S
        left = sooner - MILLISECOND - self._now()
        return min(max(0.0, left / SECOND), DEAF_MAX_S)

    def due(self, engine: Deciding) -> bool:
        """Whether a tick is due now."""
        return self._now() >= self._due_at(engine)

    def _due_at(self, engine: Deciding) -> int:
        """When, by the broker's clock."""
        deadline = engine.next_deadline()
        at = engine.clock + IDLE_TICK
        if deadline is not None:
            # Topics know milliseconds, and a timer fires with the first record after it.
            at = min(at, (deadline // MILLISECOND + 1) * MILLISECOND)
        return max(at, self._not_before)

    def entry(self) -> bytes:
        """The tick's journal entry."""
        at = self._now()
        event = ClockTicked(event_id=f"tick {at}", event_time=at)
        return encode_journal(Stamp("journal", "", 0, -1, at), event)

    def rest(self, at_least: int) -> None:
        """Say nothing for so long, ns: what was said is still on its way to the engine."""
        self._not_before = max(self._not_before, self._now() + at_least)

    def ticked(self, engine: Deciding, journal_time: int) -> None:
        """A tick was appended at that time; one that was too early waits for what is missing."""
        deadline = engine.next_deadline()
        missing = 0 if deadline is None else deadline - journal_time
        self._not_before = self._now() + max(0, min(missing, IDLE_TICK)) + MILLISECOND
