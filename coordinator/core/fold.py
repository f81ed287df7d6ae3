"""Fold: feeds a journal to an engine, and survives records on which the engine breaks.

Place in the flow: between a log and an engine, in every shell and in replay. When applying an event
raised, the state may be half changed: it is built again from the log, and what failed is
quarantined.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from coordinator.core.checkpoint import CheckpointError, checkpoint_position, is_sealed
from coordinator.core.deciding import Deciding
from coordinator.core.engine import EvolveFailed
from coordinator.core.ports import LogReader, Record, Unreadable

__all__ = ["Fold", "checkpoints"]

NOTHING: Mapping[str, str] = {}
POSITION_DIGITS = 19
"""A position fits in 64 bits; more digits are no position, and too many not even a number."""
SKIPS_MAX = 16
"""Places in a row that cannot be read before what lies behind them is given up."""


class Fold:
    """One shard's engine on one log's journal."""

    def __init__(self, reader: LogReader, engine: Deciding) -> None:
        self._reader = reader
        self.engine = engine
        self._failures: dict[int, dict[str, str]] = {}
        self._base: bytes | int | None = None

    def start(self, checkpoint: bytes | None) -> None:
        """Begin at a checkpoint, or at the journal's beginning."""
        self._base = checkpoint
        self.engine.reset()
        if checkpoint is not None:
            self.engine.restore(checkpoint)

    def rebase(self, position: int) -> None:
        """Rebuild from the log's checkpoint of this state when a later record breaks.

        position: of the journal, where the state stands. It is read again then: what is nearly
        never needed is not kept in memory by every shard.
        """
        self._base = position

    def step(self, record: Record) -> list[bytes]:
        """The record's outputs. Raises EngineError when the engine must not go on."""
        while True:
            known = self._failures.get(record.position, NOTHING)
            try:
                return self.engine.step(record, failures=known)
            except EvolveFailed as failure:
                if failure.unit in known:
                    raise
                self._failures[record.position] = {**known, failure.unit: failure.error}
                self._rebuild(record.position)

    def _rebuild(self, before: int) -> None:
        """The state as it was before a position."""
        base = self._base
        self.start(self._again(base) if isinstance(base, int) else base)
        self._base = base
        for record in self.journal(stop=before):
            self.step(record)

    def _again(self, position: int) -> bytes:
        """The checkpoint of that state, wherever it is: a zombie may write older ones behind it.

        Where it is gone, whoever deleted it goes on from later ones.
        """
        for record in _readable(self._reader, self.engine.state.shard):
            body = record.payload.partition(b"\n")[2]
            if checkpoint_position(body) == position:
                return body
        raise CheckpointError(f"the checkpoint of position {position} is gone, or damaged")

    def journal(self, *, stop: int | None = None) -> Iterator[Record]:
        """Journal records the engine has not applied."""
        shard = self.engine.state.shard
        return self._reader.read("journal", shard, self.engine.position + 1, stop)


def checkpoints(reader: LogReader, shard: int) -> list[tuple[bytes, int]]:
    """The two newest checkpoints, newest first: the state, and the decisions position to read from.

    More are not kept for recovery; who can use neither starts from the journal's beginning. One
    that cannot be read, or does not begin with a position, is passed over: an older one leads to
    the same state. So is a seal's that stands behind one of a later state: its owner wrote it down
    once more, for those who verify. What follows the position is for `restore` to judge.
    """
    newest: deque[tuple[bytes, bytes]] = deque(maxlen=2)
    last = -1
    for record in _readable(reader, shard):
        head, _, body = record.payload.partition(b"\n")
        position = checkpoint_position(body)
        if position < last and is_sealed(body):
            continue
        last = position
        newest.append((head, body))
    return [
        (body, int(head))
        for head, body in reversed(newest)
        if head.isdigit() and len(head) <= POSITION_DIGITS
    ]


def _readable(reader: LogReader, shard: int) -> Iterator[Record]:
    """The checkpoints in order, without those that are damaged."""
    start = skipped = 0
    while skipped < SKIPS_MAX:
        try:
            for record in reader.read("checkpoints", shard, start):
                start, skipped = record.position + 1, 0
                yield record
        except Unreadable as damage:
            # Where the link to what is missing is missing too, the place named is an earlier one.
            start = max(start, damage.position or 0) + 1
            skipped += 1
        else:
            return
