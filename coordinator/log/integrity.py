"""The hash that binds each record to the one before it, and the rules for what may be appended.

Place in the flow: adapters that store bytes outside this process (`sqlite`, `segments`) write the
chain with the records and check it while reading. A record that was changed, moved or taken out
breaks the chain at a position; a chain that stops short of the recorded head shows a lost tail. It
never repairs anything.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from coordinator.core.ports import Append, LogReader
from coordinator.log.errors import CorruptRecord, InvalidAppend

__all__ = [
    "DIGEST_BYTES",
    "GENESIS",
    "TIME_MAX",
    "TIME_MIN",
    "Chain",
    "ChainedReader",
    "Link",
    "check_append",
]

DIGEST_BYTES = 32
TIME_MIN = -(2**63)
TIME_MAX = 2**63 - 1
SHARD_MAX = 99_999  # five digits in a segment's file name
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,150}")
_PARTITION = struct.Struct(">HQ")
_FIELDS = struct.Struct(">qqQ")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain stands: the position and hash of its last record."""

    position: int
    digest: bytes


GENESIS = Link(position=-1, digest=bytes(DIGEST_BYTES))


class ChainedReader(LogReader, Protocol):
    """A reader that can also say where the chain stands before a position; closes as a context."""

    def __enter__(self) -> Self:
        """The reader itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        ...

    def link_before(self, topic: str, shard: int, position: int) -> Link:
        """The last record before `position`; GENESIS when there is none."""
        ...


class Chain:
    """The running hash of one (topic, shard).

    hash = blake2b-256(length of topic, shard, topic, hash before, position, journal_time, length of
    payload, payload): every variable part has its length before it, so no two records share their
    bytes.
    """

    __slots__ = ("_base", "digest", "shard", "topic")

    def __init__(self, topic: str, shard: int, digest: bytes = GENESIS.digest) -> None:
        name = topic.encode()
        self.topic = topic
        self.shard = shard
        self.digest = digest
        self._base = hashlib.blake2b(
            _PARTITION.pack(len(name), shard) + name,
            digest_size=DIGEST_BYTES,
            person=b"log.record.v1",
        )

    def extend(self, position: int, journal_time: int, payload: bytes) -> bytes:
        """Take one more record into the chain; returns its hash."""
        state = self._base.copy()
        state.update(self.digest + _FIELDS.pack(position, journal_time, len(payload)))
        state.update(payload)
        self.digest = state.digest()
        return self.digest

    def check(
        self, position: int, journal_time: int, payload: bytes, stored: bytes, *, where: str
    ) -> None:
        """Extend by a stored record; raises CorruptRecord unless it has the right hash."""
        try:
            true = self.extend(position, journal_time, payload)
        except (TypeError, struct.error) as error:
            # A damaged file can hand over a field of another type.
            raise self._corrupt(position, where, "a field has the wrong type") from error
        if true != stored:
            what = "its hash does not match its content and the record before it"
            raise self._corrupt(position, where, what)

    def _corrupt(self, position: object, where: str, what: str) -> CorruptRecord:
        named = position if isinstance(position, int) else -1
        return CorruptRecord(self.topic, self.shard, named, where=where, what=what)


def check_append(item: Append) -> None:
    """Raise InvalidAppend unless every log can hold this record.

    Topics follow Kafka's alphabet and are at most 150 characters, so that they can stand in file
    names.
    """
    if not _TOPIC.fullmatch(item.topic) or item.topic in {".", ".."}:
        raise InvalidAppend(f"topic {item.topic!r} must be 1 to 150 of A-Z a-z 0-9 . _ -")
    if not 0 <= item.shard <= SHARD_MAX:
        raise InvalidAppend(f"shard {item.shard} of {item.topic} must be 0 to {SHARD_MAX}")
    if not isinstance(item.payload, bytes):
        raise InvalidAppend(f"payload of {item.topic}/{item.shard} must be bytes")
    if item.journal_time is not None and not TIME_MIN <= item.journal_time <= TIME_MAX:
        raise InvalidAppend(f"journal_time {item.journal_time} does not fit in 64 bits")
