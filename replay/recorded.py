"""A shard's recorded outputs, read by the rule of every reader: repeats are passed over.

Place in the flow: verify takes one for each output that the engine gives. A log may grow while it
is verified. It must never pass over what is no repeat, byte for byte, of an output it has given.
"""

from __future__ import annotations

import hashlib
from array import array

from coordinator.core.ports import LogReader, Record
from replay.reported import head_of

__all__ = ["RecordedOutputs"]

_MARK_BYTES = 8
_EVENT = b',"event":'


class RecordedOutputs:
    """Outputs from a position of the decisions on. seq: of the first one that counts.

    after: one past the last one taken. repeats: passed over so far.
    """

    def __init__(self, reader: LogReader, shard: int, start: int, *, seq: int) -> None:
        self._reader = reader
        self._shard = shard
        self._first = self._next = seq
        self._marks = array("Q")  # of the outputs taken, from seq on
        self.after = self._read_to = start
        self.repeats = 0
        self._records = reader.read("decisions", shard, start)
        self._waiting = self._another()

    def take(self) -> Record | None:
        """The next one that repeats nothing, None when there is none any more."""
        taken = self.peek()
        if taken is None:  # the log may have grown since
            self._records = self._reader.read("decisions", self._shard, self._read_to)
            self._waiting = self._another()
            taken = self.peek()
        if taken is not None:
            self.after = taken.position + 1
            self._marks.append(_mark(taken.payload))
            self._next += 1
            self._waiting = self._another()
        return taken

    def peek(self) -> Record | None:
        """What `take` would give, as far as it was there when it was read."""
        while self._waiting is not None and self._is_repeat(self._waiting.payload):
            self.repeats += 1
            self._waiting = self._another()
        return self._waiting

    @property
    def places(self) -> tuple[int, int]:
        """Least and largest position at which the next one may stand: positions may skip."""
        waiting = self.peek()
        if waiting is not None:
            return self.after, waiting.position
        return self.after, max(self.after, self._read_to)

    def _is_repeat(self, payload: bytes) -> bool:
        """Whether it says again, to the byte, what was taken under its seq."""
        if not self._next:
            return False
        seq = head_of(payload.partition(_EVENT)[0] + b"}").get("seq")
        if type(seq) is not int or not 0 <= seq < self._next:
            return False
        # Before the first one that counts nothing is known: another range's, or another reader's.
        return seq < self._first or self._marks[seq - self._first] == _mark(payload)

    def _another(self) -> Record | None:
        record = next(self._records, None)
        if record is not None:
            self._read_to = record.position + 1
        return record


def _mark(payload: bytes) -> int:
    return int.from_bytes(hashlib.sha256(payload).digest()[:_MARK_BYTES], "big")
