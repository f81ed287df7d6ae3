"""Standstill: since when one shard has had something to do and did none of it.

Place in the flow: the worker's watch tells it what it sees of a shard, once a second. It must never
count time in which there was nothing to do.
"""

from __future__ import annotations

from coordinator.shells.live.owner import Phase

__all__ = ["Standstill"]

RECOVERY_FACTOR = 10
"""A recovery also reads what moves nothing: a checkpoint, the decisions' tail."""


class Standstill:
    """One shard's. Times are monotonic seconds. stall_s: how long a running shard may stand."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._lag_since: float | None = None
        self._phase: tuple[Phase, float] | None = None

    def unknown(self) -> None:
        """Nobody told how far the journal is: what stands meanwhile has the same reason."""
        self._phase = None

    def lagging_s(self, lag: int, moved_at: float, now: float) -> float:
        """For how long there have been records before it of which it applied none."""
        if not lag:
            self._lag_since = None
            return 0.0
        if self._lag_since is None:
            self._lag_since = now
        return now - max(moved_at, self._lag_since)

    def standing_s(self, phase: Phase, lag: int, moved_at: float, now: float) -> float:
        """For how long it has stood still, when that is too long; 0 as long as it is not."""
        if self._phase is None or self._phase[0] is not phase:
            self._phase = (phase, now)
        lagging_s = self.lagging_s(lag, moved_at, now)
        since_s = now - max(moved_at, self._phase[1])
        if phase is Phase.RUNNING:
            still_s = min(lagging_s, since_s)
            return still_s if still_s > self._stall_s else 0.0
        if phase is Phase.RECOVERING:
            return since_s if since_s > self._stall_s * RECOVERY_FACTOR else 0.0
        return 0.0
