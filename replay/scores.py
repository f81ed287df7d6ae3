"""Scores: how good a portfolio's late decisions were, as they were scored at the time.

Place in the flow: after the fact, from the topic `decisions` alone. It must never score anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from coordinator.core.ports import LogReader
from coordinator.log.live import begin_of
from schemas.base import Model
from schemas.decisions import QualityScored
from schemas.entries import decode_output, opening

__all__ = ["LATE", "LateScores", "late_scores"]

LATE = 20
"""How many decisions are late ones."""
_SCORED = opening(QualityScored)


class LateScores(Model):
    """Means over a portfolio's last scored decisions."""

    count: int
    score: float
    parts: tuple[tuple[str, float], ...]
    """Name and mean of each part that all of them have, by name."""


def late_scores(
    reader: LogReader, shard: int, portfolio: str, *, position: int
) -> LateScores | None:
    """Of the last LATE decisions that records up to a journal position led to; None without any."""
    late = deque(_scored(reader, shard, portfolio, position), maxlen=LATE)
    if not late:
        return None
    parts = [dict(one.parts) for one in late]
    names = [name for name in sorted(parts[-1]) if all(name in one for one in parts)]
    return LateScores(
        count=len(late),
        score=_mean([one.score for one in late]),
        parts=tuple((name, _mean([one[name] for one in parts])) for name in names),
    )


def _scored(
    reader: LogReader, shard: int, portfolio: str, position: int
) -> Iterator[QualityScored]:
    """In their order; a repeat is passed over, as every reader of the chain does."""
    said = -1
    for record in reader.read("decisions", shard, begin_of(reader, "decisions", shard)):
        if not record.payload.startswith(_SCORED):
            continue
        entry = decode_output(record.payload)
        if entry.position > position:
            return
        event = entry.event
        if entry.seq > said and isinstance(event, QualityScored) and event.portfolio == portfolio:
            said = entry.seq
            yield event


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
