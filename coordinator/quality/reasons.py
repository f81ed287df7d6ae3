"""Find one decision in a log, with all that was said about it, and explain it.

Place in the flow: reads the topic `decisions` only, through the log port; `explain` puts
what it finds in order. It must never re-decide: what it tells is what was said at the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import to_json

from coordinator.core.ports import LogReader, Record
from coordinator.core.shards import shards_in
from coordinator.quality.explain import Explanation, Place, explain
from schemas.decisions import AllocationDecided, ConflictDetected, RoundClosed
from schemas.entries import OutputEntry, decode_output, opening

__all__ = ["DecisionNotFound", "RoundWithoutDecision", "explain_decision"]

_NEAR = 5


class DecisionNotFound(LookupError):
    """No decision of that name in the log. near: names that look like it."""

    def __init__(self, decision_id: str, near: tuple[str, ...]) -> None:
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(
            f"no decision {decision_id!r} in this log{hint} "
            "(coordinator events --type AllocationDecided lists them)"
        )
        self.decision_id = decision_id
        self.near = near


class RoundWithoutDecision(LookupError):
    """The round is in the log but decided nothing. outcome: why."""

    def __init__(self, closed: RoundClosed) -> None:
        super().__init__(
            f"round {closed.decision_id!r} closed without a decision: {closed.outcome} "
            f"(trigger {closed.trigger}, {len(closed.signals_used)} signals used)"
        )
        self.outcome = closed.outcome


@dataclass(slots=True)
class _Found:
    """What the log says about one decision."""

    decision: AllocationDecided | None = None
    entry: OutputEntry | None = None
    record: Record | None = None
    closed: RoundClosed | None = None
    conflicts: tuple[ConflictDetected, ...] = ()


def explain_decision(reader: LogReader, decision_id: str) -> Explanation:
    """The reasons of one decision. Raises DecisionNotFound, RoundWithoutDecision, LogError."""
    found = _search(reader, decision_id)
    if found.decision is None or found.entry is None or found.record is None:
        if found.closed is not None:
            raise RoundWithoutDecision(found.closed)
        names = list(dict.fromkeys(_decision_ids(reader)))
        near = get_close_matches(decision_id, names, n=_NEAR, cutoff=0.6)
        raise DecisionNotFound(decision_id, tuple(near))
    entry = found.entry
    place = Place(
        shard=found.record.shard,
        position=entry.position,
        ordinal=entry.ordinal,
        seq=entry.seq,
        journal_time=found.record.journal_time,
        content=entry.content,
        entry=entry.hash,
    )
    return explain(found.decision, conflicts=found.conflicts, closed=found.closed, place=place)


def _search(reader: LogReader, decision_id: str) -> _Found:
    """Reads bytes, and decodes only what names the decision."""
    needle = b'"decision_id":' + to_json(decision_id)
    found = _Found()
    for record in _outputs(reader):
        if needle not in record.payload:
            continue
        entry = decode_output(record.payload)
        event = entry.event
        if isinstance(event, AllocationDecided):
            found.decision, found.entry, found.record = event, entry, record
        elif isinstance(event, RoundClosed):
            found.closed = event
        elif isinstance(event, ConflictDetected):
            found.conflicts += (event,)
    return found


def _decision_ids(reader: LogReader) -> Iterator[str]:
    decided = opening(AllocationDecided)
    for record in _outputs(reader):
        if record.payload.startswith(decided):
            event = decode_output(record.payload).event
            if isinstance(event, AllocationDecided):
                yield event.decision_id


def _outputs(reader: LogReader) -> Iterator[Record]:
    for shard in shards_in(reader, "decisions"):
        yield from reader.read("decisions", shard)
