"""Deciding: what whoever owns a shard needs of its engine, wherever that runs.

Place in the flow: between an owner (`shard`, `fold`, the shells) and an engine, which may live in a
process of its own. It must never ask for more of the state than can be sent along with an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from coordinator.core.ports import Record

__all__ = ["NO_FAILURES", "Deciding", "Standing"]

NO_FAILURES: Mapping[str, str] = MappingProxyType({})


class Standing(Protocol):
    """How an engine stands: the part of its state that an owner acts on."""

    @property
    def shard(self) -> int:
        """Which shard."""
        ...

    @property
    def position(self) -> int:
        """Journal position applied last, -1 before the first."""
        ...

    @property
    def build(self) -> str:
        """Which build decides; empty before the journal has said so."""
        ...

    @property
    def dependencies(self) -> str:
        """With which libraries."""
        ...

    @property
    def fingerprint(self) -> str:
        """On which arithmetic."""
        ...

    @property
    def sealed(self) -> bool:
        """Whether that build was drained."""
        ...

    @property
    def pace_ms(self) -> int:
        """Rounds of a portfolio lie this far apart, at least; 0: as the parameters say."""
        ...

    @property
    def stagger_ms(self) -> int:
        """Rounds that wait for that lie so far apart from each other."""
        ...


class Deciding(Protocol):
    """An engine, here or elsewhere; `coordinator.core.engine.Engine` tells what each does."""

    @property
    def state(self) -> Standing:
        """How it stands after the last step."""
        ...

    @property
    def position(self) -> int:
        """Journal position applied last, -1 before the first."""
        ...

    @property
    def seq(self) -> int:
        """Outputs said so far."""
        ...

    @property
    def last_hash(self) -> str:
        """Hash of the last output entry."""
        ...

    @property
    def clock(self) -> int:
        """The engine's time, ns."""
        ...

    @property
    def decisions(self) -> int:
        """Allocations decided so far."""
        ...

    @property
    def portfolios(self) -> int:
        """Portfolios of this shard."""
        ...

    @property
    def ahead(self) -> bool:
        """Whether records that were expected are decided, and their outputs not taken yet."""
        ...

    @property
    def took(self) -> int:
        """Nanoseconds of the last step, where it was measured; otherwise 0."""
        ...

    def next_deadline(self) -> int | None:
        """When the earliest timer is due, ns."""
        ...

    def next_begin(self) -> int | None:
        """From when on a record may open a round, ns; None while none can."""
        ...

    def expect(self, records: Sequence[Record]) -> None:
        """These are stepped next, in this order: they may be decided together."""
        ...

    def step(self, record: Record, *, failures: Mapping[str, str] = NO_FAILURES) -> list[bytes]:
        """Apply one journal record; returns its output entries."""
        ...

    def reset(self) -> None:
        """Back to the beginning of the journal."""
        ...

    def checkpoint(self) -> bytes:
        """The whole state, to restore from."""
        ...

    def restore(self, checkpoint: bytes) -> None:
        """Start from a checkpoint."""
        ...
