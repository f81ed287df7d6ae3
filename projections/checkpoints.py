"""How far a projection has read: one mark per topic and shard, kept in the target beside its rows.

Place in the flow: a sink stores marks in the transaction of the rows they cover and gives them back
when it is opened. A mark must never be moved without its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

from schemas.entries import GENESIS

__all__ = ["START", "Mark", "Marks", "Origins", "Part", "mark_from", "mark_text"]

Part: TypeAlias = tuple[str, int]
"""(topic, shard): "journal" or "decisions"."""
Origins: TypeAlias = tuple[tuple[str, str, int, int], ...]
"""Highest offset read of each input partition, sorted: (topic, topic id, partition, offset)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one partition was read to.

    next: first position not read. time: journal time of the last record read, ns UTC; 0: none.
    seq, hash: the last output taken, by the reader's rule; of decisions only. shards: how many
    there are, as the journal said; 0: not yet. origins: of a journal, so that an input that a
    router repeated is told from a new one.
    """

    next: int = 0
    time: int = 0
    seq: int = -1
    hash: str = GENESIS
    shards: int = 0
    origins: Origins = ()

    def as_of(self, topic: str) -> int:
        """What rows of this partition are stamped with at most: a seq, or a position; -1: none."""
        return self.seq if topic == "decisions" else self.next - 1


START = Mark()
Marks: TypeAlias = Mapping[Part, Mark]


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    next: int
    time: int
    seq: int
    hash: str
    shards: int
    origins: list[tuple[str, str, int, int]]


def mark_text(mark: Mark) -> str:
    """A mark as JSON; the same mark gives the same text."""
    stored = _Stored(
        next=mark.next, time=mark.time, seq=mark.seq, hash=mark.hash, shards=mark.shards,
        origins=list(mark.origins),
    )  # fmt: skip
    return stored.model_dump_json()


def mark_from(text: str | bytes) -> Mark:
    """What mark_text wrote. Raises ValueError."""
    stored = _Stored.model_validate_json(text)
    return Mark(
        stored.next, stored.time, stored.seq, stored.hash, stored.shards, tuple(stored.origins)
    )
