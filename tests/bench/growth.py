"""Whether something grows: the slope of samples over time, once it is warm.

Place in the flow: pure; asked by long benchmarks. It must never look at a process itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Points", "memory", "slope_per_hour", "warm_up"]

Points: TypeAlias = Sequence[tuple[float, float]]
"""(seconds since the beginning, megabytes)."""
WARM_UP_S = 300.0


def warm_up(seconds: float) -> float:
    """What a run of so many seconds leaves out of its slope: 5 minutes, or a sixth when shorter."""
    return min(WARM_UP_S, seconds / 6)


def slope_per_hour(points: Points) -> float:
    """The least-squares line through the points, per hour; 0 where there is no line."""
    count = len(points)
    if count < 2:
        return 0.0
    at = sum(t for t, _ in points) / count
    value = sum(v for _, v in points) / count
    spread = sum((t - at) ** 2 for t, _ in points)
    return 3600 * sum((t - at) * (v - value) for t, v in points) / spread if spread else 0.0


def memory(points: Points, *, warm_s: float) -> dict[str, float]:
    """What becomes of a process's memory: when it is warm, at most, at the end, and its slope."""
    after = [one for one in points if one[0] >= warm_s]
    if not after:
        return {}
    return {
        "rss_warm_mb": round(after[0][1], 1),
        "rss_max_mb": round(max(value for _, value in points), 1),
        "rss_end_mb": round(points[-1][1], 1),
        "slope_mb_per_hour": round(slope_per_hour(after), 2),
    }
