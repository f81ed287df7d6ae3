"""Find one decision in a log, with all that was said about it, and explain it.

Place in the flow: reads the topic `decisions` only, through the log port; `explain` puts
what it finds in order. It must never re-decide: what it tells is what was said at the time, and
only what stands in the chain of a shard. Where the log says two things it refuses to choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import to_json

from coordinator.core.chain import ChainBroken, Link, follow
from coordinator.core.ports import LogReader, Record
from coordinator.core.shards import shards_in
from coordinator.quality.explain import Explanation, Place, explain
from coordinator.quality.moved import Moved, moved_by
from schemas.decisions import (
    AllocationDecided,
    ConflictLine,
    ConflictsDetected,
    QualityScored,
    RoundClosed,
)
from schemas.entries import OutputEntry, decode_output, opening
from schemas.sleeves import SleevesBooked
from schemas.verdicts import ParametersAdapted

__all__ = [
    "DecisionNotFound",
    "ExplainError",
    "NothingDecided",
    "RoundWithoutDecision",
    "Told",
    "Unfounded",
    "explain_decision",
    "told_of",
]

_NEAR = 5
_ONCE = opening(AllocationDecided, QualityScored, RoundClosed, SleevesBooked)
"""What is said once of each decision."""


NO_DECISIONS = (
    "the log holds no decisions: coordinator backtest makes some, or a worker once it is ready"
)


class ExplainError(LookupError):
    """A decision cannot be explained: which and why."""


class NothingDecided(ExplainError):
    """The log holds inputs only."""

    def __init__(self) -> None:
        super().__init__(NO_DECISIONS)


class Unfounded(ExplainError):
    """What the log says of the decision does not stand, once, in the chain of one of its shards."""

    def __init__(self, decision_id: str, reason: str) -> None:
        super().__init__(
            f"decision {decision_id!r}: {reason}; coordinator replay --verify shows what follows "
            "from the inputs"
        )
        self.decision_id = decision_id


class DecisionNotFound(ExplainError):
    """No decision of that name in the log. near: names that look like it."""

    def __init__(self, decision_id: str, near: tuple[str, ...]) -> None:
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(
            f"no decision {decision_id!r} in this log{hint} "
            "(coordinator events --type AllocationDecided lists them)"
        )
        self.decision_id = decision_id
        self.near = near


class RoundWithoutDecision(ExplainError):
    """The round is in the log but decided nothing. outcome: why."""

    def __init__(self, closed: RoundClosed) -> None:
        used = _counted(len(closed.signals_used))
        super().__init__(
            f"round {closed.decision_id!r} closed without a decision: {closed.outcome} "
            f"(trigger {closed.trigger}, {used} used{_dropped(closed)})"
        )
        self.outcome = closed.outcome


_WHY_DROPPED = {
    "nothing_to_do": "no instrument of theirs has a price in the portfolio's currency",
    "no_prices": "something that the portfolio holds has no price, so its value is not known",
    "no_value": "the portfolio's value is not positive",
}
"""What each outcome says of every signal dropped: such a round never came to weigh them singly."""


def _counted(number: int) -> str:
    return "1 signal" if number == 1 else f"{number} signals"


def _dropped(closed: RoundClosed) -> str:
    names = closed.signals_dropped
    if not names:
        return ""
    left = len(names) - _NEAR
    shown = ", ".join(names[:_NEAR]) + (f" and {left} more" if left > 0 else "")
    why = _WHY_DROPPED.get(closed.outcome)
    return f"; {_counted(len(names))} dropped: {shown}" + (f": {why}" if why else "")


@dataclass(frozen=True, slots=True)
class Told:
    """What the log says of one decision. closed: absent where the log has no books of its round.

    entry: the decision's own, in the chain; record: it as stored.
    """

    decision: AllocationDecided
    closed: RoundClosed | None
    conflicts: tuple[ConflictLine, ...]
    quality: QualityScored | None
    sleeves: SleevesBooked | None
    entry: OutputEntry
    record: Record


@dataclass(slots=True)
class _Found:
    """What the log says about one decision."""

    decision: AllocationDecided | None = None
    entry: OutputEntry | None = None
    record: Record | None = None
    closed: RoundClosed | None = None
    conflicts: tuple[ConflictLine, ...] = ()
    quality: QualityScored | None = None
    sleeves: SleevesBooked | None = None


def explain_decision(reader: LogReader, decision_id: str) -> Explanation:
    """The reasons of one decision.

    Raises DecisionNotFound, RoundWithoutDecision, NothingDecided, Unfounded, SchemaError, LogError.
    """
    found = told_of(reader, decision_id)
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
    return explain(
        found.decision,
        conflicts=found.conflicts,
        closed=found.closed,
        quality=found.quality,
        sleeves=found.sleeves,
        place=place,
        moved=_moved(reader, found.decision),
    )


def _moved(reader: LogReader, decision: AllocationDecided) -> tuple[Moved, ...]:
    """What moved the multipliers of a decision; most have none, and need no second reading."""
    return moved_by(decision, _moves(reader)) if decision.tilt else ()


def _moves(reader: LogReader) -> Iterator[ParametersAdapted]:
    moves = opening(ParametersAdapted)
    for record in _outputs(reader):
        if record.payload.startswith(moves):
            event = decode_output(record.payload).event
            if isinstance(event, ParametersAdapted):
                yield event


def told_of(reader: LogReader, decision_id: str) -> Told:
    """What the log says of one decision. Raises as `explain_decision`."""
    found = _search(reader, decision_id)
    if found.decision is None or found.entry is None or found.record is None:
        if found.closed is not None:
            raise RoundWithoutDecision(found.closed)
        if not shards_in(reader, "decisions"):
            raise NothingDecided
        names = list(dict.fromkeys(_decision_ids(reader)))
        near = get_close_matches(decision_id, names, n=_NEAR, cutoff=0.6)
        raise DecisionNotFound(decision_id, tuple(near))
    return Told(
        found.decision,
        found.closed,
        found.conflicts,
        found.quality,
        found.sleeves,
        found.entry,
        found.record,
    )


def _search(reader: LogReader, decision_id: str) -> _Found:
    """What names the decision, in the order of the chain. Bytes first, to decode one shard only."""
    needle = b'"decision_id":' + to_json(decision_id)
    naming = [record for record in _outputs(reader) if needle in record.payload]
    found = _Found()
    if not naming:
        return found
    shard = _one_place(reader, decision_id, naming)
    left = {record.payload for record in naming}
    try:
        for link in follow(reader.read("decisions", shard, 0, naming[-1].position + 1)):
            if link.record.payload in left:
                left.discard(link.record.payload)
                _take(found, link)
    except ChainBroken as error:
        raise Unfounded(decision_id, str(error)) from error
    if left:
        raise Unfounded(decision_id, f"a record stands outside the chain of shard {shard}")
    return found


def _take(found: _Found, link: Link) -> None:
    event = link.entry.event
    if isinstance(event, AllocationDecided):
        found.decision, found.entry, found.record = event, link.entry, link.record
    elif isinstance(event, RoundClosed):
        found.closed = event
    elif isinstance(event, ConflictsDetected):
        found.conflicts = event.conflicts
    elif isinstance(event, QualityScored):
        found.quality = event
    elif isinstance(event, SleevesBooked):
        found.sleeves = event


def _one_place(reader: LogReader, decision_id: str, naming: list[Record]) -> int:
    """The one shard of these records. Raises Unfounded where two of them contradict each other."""
    first: dict[bytes, Record] = {}
    for record in naming:
        kind = next((one for one in _ONCE if record.payload.startswith(one)), None)
        other = first.setdefault(kind, record) if kind is not None else record
        if other.payload != record.payload or other.shard != record.shard:
            places = " and ".join(
                f"decisions/{one.shard} position {one.position}" for one in (other, record)
            )
            raise Unfounded(decision_id, f"two records tell of it, {places}")
    shards = sorted({record.shard for record in naming})
    journals = shards_in(reader, "journal")
    if len(shards) > 1 or (journals and shards[0] not in journals):
        named = ", ".join(f"decisions/{shard}" for shard in shards)
        raise Unfounded(decision_id, f"told in {named}, which is no one shard's chain")
    return shards[0]


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
