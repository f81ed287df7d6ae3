"""An engine of the deciding process as its owner sees it, and what is said between the two.

Place in the flow: between a shard's owner and `decider`, which answers. It must never decide, nor
change what comes back.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from coordinator.core.checkpoint import CheckpointError
from coordinator.core.deciding import NO_FAILURES
from coordinator.core.engine import (
    EngineError,
    EngineSealedError,
    EvolveFailed,
    NotStarted,
    WrongShards,
)
from coordinator.core.ports import Record
from schemas.entries import GENESIS

__all__ = ["Done", "Failure", "RemoteEngine", "Replaced", "Seen", "failure", "raised"]

TOGETHER_MAX = 256
TOGETHER_BYTES = 1 << 20


class Replaced(EngineError):
    """The shard has another owner in this worker now: this one hung, and is to say nothing more."""


class Seen(NamedTuple):
    """How an engine stood after a step: `coordinator.core.deciding.Standing`, and more."""

    shard: int
    position: int = -1
    seq: int = 0
    last_hash: str = GENESIS
    clock: int = 0
    decisions: int = 0
    build: str = ""
    dependencies: str = ""
    fingerprint: str = ""
    sealed: bool = False
    pace_ms: int = 0
    stagger_ms: int = 0
    portfolios: int = 0
    deadline: int | None = None
    begins: int | None = None


class Done(NamedTuple):
    """What a record led to."""

    outputs: list[bytes]
    seen: Seen | None
    """None for one that said nothing, changed neither seal nor build, and has others behind it."""
    took: int


class Failure(NamedTuple):
    """What was raised over there."""

    kind: str
    message: str
    evolve: tuple[int, str, str] | None = None


_KINDS: Mapping[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        CheckpointError,
        EngineError,
        EngineSealedError,
        NotStarted,
        Replaced,
        WrongShards,
        MemoryError,
        OSError,
    )
}


def failure(error: BaseException) -> Failure:
    """What can be sent of an error: an engine's own kinds as they are, others with their trace."""
    if isinstance(error, EvolveFailed):
        return Failure("", "", (error.position, error.unit, error.error))
    name = type(error).__name__
    if name in _KINDS:
        return Failure(name, str(error))
    return Failure("", "".join(traceback.format_exception(error)))


def raised(found: Failure) -> Exception:
    """The error as it was over there."""
    if found.evolve is not None:
        return EvolveFailed(*found.evolve)
    return _KINDS.get(found.kind, RuntimeError)(found.message)


class RemoteEngine:
    """An engine of the deciding process, as its owner sees it: `coordinator.core.deciding`.

    ask: what, of which shard, who asks, and more. number: who we are. For one thread.
    """

    def __init__(self, ask: Callable[..., Any], shard: int, number: int, shards: int) -> None:
        self._ask = ask
        self._shard = shard, number
        self._expected: deque[Record] = deque()
        self._done: deque[Done] = deque()
        self._failed: Failure | None = None
        self._took = 0
        self._seen: Seen = ask("make", *self._shard, shards)

    @property
    def state(self) -> Seen:
        """How it stood after the last step."""
        return self._seen

    @property
    def position(self) -> int:
        """Journal position applied last, -1 before the first."""
        return self._seen.position

    @property
    def seq(self) -> int:
        """Outputs said so far."""
        return self._seen.seq

    @property
    def last_hash(self) -> str:
        """Hash of the last output entry."""
        return self._seen.last_hash

    @property
    def clock(self) -> int:
        """The engine's time, ns."""
        return self._seen.clock

    @property
    def decisions(self) -> int:
        """Allocations decided so far."""
        return self._seen.decisions

    @property
    def portfolios(self) -> int:
        """Portfolios of this shard."""
        return self._seen.portfolios

    @property
    def ahead(self) -> bool:
        """Whether records that were expected are decided, and their outputs not taken yet."""
        return bool(self._done)

    @property
    def took(self) -> int:
        """Nanoseconds of the last step, over there."""
        return self._took

    def next_deadline(self) -> int | None:
        """When the earliest timer is due, ns."""
        return self._seen.deadline

    def next_begin(self) -> int | None:
        """From when on a record may open a round, ns; None while none can."""
        return self._seen.begins

    def expect(self, records: Sequence[Record]) -> None:
        """These are stepped next: as far as they follow each other they are sent together."""
        if self._done:
            raise RuntimeError("expected records are not all taken yet")
        self._expected.clear()
        size, position = 0, self.position
        for record in records:
            if record.position <= position and not self._expected:
                continue
            size += len(record.payload)
            full = len(self._expected) >= TOGETHER_MAX or (self._expected and size > TOGETHER_BYTES)
            if record.position != position + 1 or full:
                break
            self._expected.append(record)
            position += 1

    def step(self, record: Record, *, failures: Mapping[str, str] = NO_FAILURES) -> list[bytes]:
        """Apply one journal record; returns its output entries."""
        if not self._done and self._failed is None:
            self._send(record, failures)
        if not self._done:
            failed, self._failed = self._failed, None
            if failed is None:
                raise RuntimeError("the deciding process gave no answer")
            raise raised(failed)
        outputs, seen, self._took = self._done.popleft()
        self._seen = self._seen._replace(position=record.position) if seen is None else seen
        return outputs

    def _send(self, record: Record, failures: Mapping[str, str]) -> None:
        if failures or not self._expected or self._expected[0].position != record.position:
            self._expected.clear()
            self._expected.append(record)
        batch = [(one.position, one.journal_time, one.payload) for one in self._expected]
        done, self._failed = self._ask("step", *self._shard, batch, dict(failures))
        self._done.extend(done)
        for _ in range(len(done) + (self._failed is not None)):
            self._expected.popleft()

    def reset(self) -> None:
        """Back to the beginning of the journal."""
        self._forget()
        self._seen = self._ask("reset", *self._shard)

    def restore(self, checkpoint: bytes) -> None:
        """Start from a checkpoint. Raises CheckpointError."""
        self._forget()
        self._seen = self._ask("restore", *self._shard, checkpoint)

    def checkpoint(self) -> bytes:
        """The whole state, to restore from."""
        if self._done:
            raise RuntimeError("outputs of expected records are not taken yet")
        state: bytes = self._ask("checkpoint", *self._shard)
        return state

    def _forget(self) -> None:
        self._expected.clear()
        self._done.clear()
        self._failed = None
