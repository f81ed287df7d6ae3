"""Decisions on their way into the archive: the reader's rule is checked, nothing is left out.

Place in the flow: between a log and `archive`. Repeats stay where they stand, because the archive
holds what the topic held. It must never pass on an output that does not follow from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.core.chain import ChainBroken, follow
from coordinator.core.ports import Record
from coordinator.log.errors import CorruptRecord
from schemas.entries import GENESIS
from schemas.registry import SchemaError

__all__ = ["Followed"]


class Followed:
    """Records of a decisions topic, as they are, with the tip of their chain.

    seq, last_hash: of the last output before them, and after each record of the last one so far.
    before: outputs that records of the journal at or after this position brought about are left.
    """

    def __init__(
        self,
        records: Iterator[Record],
        *,
        seq: int = -1,
        last_hash: str = GENESIS,
        before: int | None = None,
        where: str = "",
    ) -> None:
        self._records = records
        self._before = before
        self._where = where
        self._seen: list[Record] = []
        self.seq = seq
        self.last_hash = last_hash

    def __iter__(self) -> Iterator[Record]:
        """The records. Raises CorruptRecord, naming the one that does not follow."""
        links = follow(self._tapped(), seq=self.seq, last_hash=self.last_hash)
        while True:
            try:
                link = next(links, None)
            except (ChainBroken, SchemaError) as error:
                raise self._broken(error) from error
            if link is None:
                yield from self._taken(len(self._seen))
                return
            # What stands before it repeats outputs up to the tip as it is now.
            yield from self._taken(len(self._seen) - 1)
            if self._before is not None and link.entry.position >= self._before:
                return
            self.seq, self.last_hash = link.entry.seq, link.entry.hash
            yield from self._taken(1)

    def _tapped(self) -> Iterator[Record]:
        for record in self._records:
            self._seen.append(record)
            yield record

    def _taken(self, count: int) -> list[Record]:
        taken, self._seen = self._seen[:count], self._seen[count:]
        return taken

    def _broken(self, error: Exception) -> CorruptRecord:
        last = self._seen[-1]
        what = f"the chain of outputs is broken: {error}"
        return CorruptRecord(last.topic, last.shard, last.position, where=self._where, what=what)
