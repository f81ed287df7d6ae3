"""The outputs' chain: how anybody reads decisions so that repeats and zombies do no harm.

Place in the flow: every reader of the decisions topic. The rule: take seq = last + 1 whose prev is
the last hash, pass over seq <= last, and stop at anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coordinator.core.ports import Record
from schemas.entries import GENESIS, OutputEntry, decode_output

__all__ = ["ChainBroken", "Link", "follow"]


class ChainBroken(Exception):
    """A decisions topic that is not one unbroken chain: names the position and why."""

    def __init__(self, record: Record, reason: str) -> None:
        super().__init__(f"decisions shard {record.shard} position {record.position}: {reason}")
        self.shard = record.shard
        self.position = record.position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Link:
    """One output in its place: the stored record and what it says."""

    record: Record
    entry: OutputEntry


def follow(records: Iterable[Record], *, seq: int = -1, last_hash: str = GENESIS) -> Iterator[Link]:
    """The outputs after (seq, last_hash), in order, each once. Raises ChainBroken."""
    for record in records:
        entry = decode_output(record.payload)
        if entry.seq <= seq:
            continue
        if entry.seq != seq + 1:
            raise ChainBroken(record, f"seq {entry.seq} after {seq}: an output is missing")
        if entry.prev != last_hash:
            raise ChainBroken(record, f"seq {entry.seq} does not follow from the output before it")
        seq, last_hash = entry.seq, entry.hash
        yield Link(record, entry)
