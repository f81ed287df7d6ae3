"""Recorded checkpoints, held against the state that the journal leads to.

Place in the flow: verify asks at the start and after each record. A checkpoint that is not the
state would make every later start from it another history, so each one that the log holds is either
the state at a position of the journal, byte for byte, or a difference. Who asks how things stood
begins at the newest that is there. It must never restore anything itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TypeAlias

from pydantic_core import from_json

from coordinator.core.engine import Engine
from coordinator.core.ports import LogReader, Record, Unreadable
from coordinator.log.live import begin_of
from replay.divergence import ABSENT, Difference, Json, differences_of_bytes

__all__ = ["RecordedStates"]

_POSITION_DIGITS = 19
_Place: TypeAlias = tuple[int, int]
"""Of a checkpoint record: one past the one before, and its own position."""


class RecordedStates:
    """A shard's checkpoints, by the journal position that each one claims.

    broker_times: whether their journal times are the log's own, and say nothing of the engine.
    """

    def __init__(self, reader: LogReader, shard: int, *, broker_times: bool = False) -> None:
        self._reader = reader
        self._shard = shard
        self._broker_times = broker_times
        self._waiting: dict[int, list[_Place]] = {}  # journal position to checkpoint records
        self._unreadable: list[int] = []
        after = self._begin()
        for record in self._listed(after):
            position = _position(record.payload)
            if position is None:
                self._unreadable.append(record.position)
            else:
                self._waiting.setdefault(position, []).append((after, record.position))
            after = record.position + 1

    def claims(self, position: int) -> bool:
        """Whether a checkpoint that was not compared yet is of that journal position."""
        return position in self._waiting

    def beyond(self, position: int) -> bool:
        """Whether a checkpoint that was not compared yet is of that journal position or later."""
        return any(one >= position for one in self._waiting)

    def newest(self, position: int) -> Iterator[bytes]:
        """States of no later than a journal position, the latest first."""
        for one in sorted(self._waiting, reverse=True):
            if one <= position:
                yield from (state for state, _ in self.at(one))

    def at(self, position: int) -> Iterator[tuple[bytes, int]]:
        """The states of a journal position, newest first, each with where its outputs go on."""
        for place in reversed(self._waiting.get(position, [])):
            record = self._record(place)
            if record is None:
                continue
            head, _, body = record.payload.partition(b"\n")
            if head.isdigit() and len(head) <= _POSITION_DIGITS:
                yield body, int(head)

    def forget(self, first: int, last: int) -> None:
        """Leave out what another engine wrote down about these positions, in whatever format."""
        for position in [one for one in self._waiting if first <= one <= last]:
            del self._waiting[position]
        self._unreadable.clear()

    def differences(self, engine: Engine, decisions: tuple[int, int]) -> tuple[Difference, ...]:
        """What differs between the engine and the checkpoints at its position; empty without one.

        decisions: least and largest position at which the next output may stand.
        """
        places = self._waiting.pop(engine.position, ())
        if not places:
            return ()
        derived = engine.checkpoint()
        return tuple(
            found
            for record in map(self._record, places)
            if record is not None
            for found in _apart(record, derived, self._clock(engine), decisions)
        )

    def _begin(self) -> int:
        return begin_of(self._reader, "checkpoints", self._shard)

    def _listed(self, start: int) -> Iterator[Record]:
        """All that are there; a live system takes old ones away while they are read."""
        while True:
            try:
                for record in self._reader.read("checkpoints", self._shard, start):
                    start = record.position + 1
                    yield record
            except Unreadable:
                begin = self._begin()
                if begin <= start:
                    raise
                start = begin
            else:
                return

    def _record(self, place: _Place) -> Record | None:
        """The checkpoint, read from where the one before it ends: a large one begins there.

        None: it was taken away since it was listed, as a live system does with old ones.
        """
        after, position = place
        found = None
        try:
            for record in self._reader.read("checkpoints", self._shard, after, position + 1):
                found = record
        except Unreadable:
            if self._begin() <= after:
                raise
            return None
        return found if found is not None and found.position == position else None

    def _clock(self, engine: Engine) -> int | None:
        return None if self._broker_times else engine.clock

    def left_over(self, after: int) -> tuple[Difference, ...]:
        """Checkpoints that cannot be read, and those of positions > after that never came."""
        unreadable = [
            Difference(_named(place), "no checkpoint that can be read", ABSENT)
            for place in self._unreadable
        ]
        unmatched = [
            Difference(_named(place), f"a state at position {position}", ABSENT)
            for position, places in sorted(self._waiting.items())
            if position > after
            for _, place in places
        ]
        return (*unreadable, *unmatched)


def _named(place: int) -> str:
    return f"checkpoint record {place}"


def _position(payload: bytes) -> int | None:
    """The journal position in a checkpoint's head, None when there is none to be read."""
    head = payload.partition(b"\n")[2].partition(b"\n")[0]
    try:
        position = from_json(head)["position"]
    except (ValueError, KeyError, TypeError):
        return None
    return position if type(position) is int else None


def _apart(
    record: Record, derived: bytes, clock: int | None, decisions: tuple[int, int]
) -> Iterator[Difference]:
    offset, _, body = record.payload.partition(b"\n")
    if not _is_between(offset, *decisions):
        yield Difference("decisions offset", offset.decode("ascii", "replace"), decisions[0])
    if body != derived:
        yield from _apart_in_parts(body, derived)
    if clock is not None and record.journal_time != clock:
        yield Difference("journal_time", record.journal_time, clock)


def _is_between(offset: bytes, least: int, largest: int) -> bool:
    """Whether the offset is one of these numbers in its one spelling."""
    if not offset.isdigit() or len(offset) > _POSITION_DIGITS:
        return False
    return least <= int(offset) <= largest and offset == b"%d" % int(offset)


def _apart_in_parts(recorded: bytes, derived: bytes) -> Iterator[Difference]:
    """By part; of the head, which repeats the parts' hashes, only where no part says it better."""
    heads, *rest = zip_longest(recorded.split(b"\n"), derived.split(b"\n"))
    names = [name for name, _ in from_json(heads[1])["parts"]]
    found = [
        Difference(f"state[{name or 'of no part'}].{one.path}", one.recorded, one.derived)
        for name, (left, right) in zip_longest(names, rest)
        if left != right
        for one in _of_part(left, right)
    ]
    yield from found or [
        Difference(f"state[head].{one.path}", one.recorded, one.derived) for one in _of_part(*heads)
    ]


def _of_part(left: bytes | None, right: bytes | None) -> tuple[Difference, ...]:
    if left is None or right is None:
        return (Difference("", _text(left), _text(right)),)
    return differences_of_bytes(left, right)


def _text(part: bytes | None) -> Json:
    return ABSENT if part is None else part.decode("utf-8", "backslashreplace")
