"""Recorded checkpoints, held against the state that the journal leads to.

Place in the flow: verify asks after each record. A checkpoint that is not the state would make
every later start from it another history. It must never restore anything: it only compares.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import from_json

from coordinator.core.engine import Engine
from coordinator.core.ports import LogReader
from replay.divergence import Difference, differences_of_bytes

__all__ = ["RecordedStates"]


class RecordedStates:
    """A shard's checkpoints in order; one that cannot be read is passed over."""

    def __init__(self, reader: LogReader, shard: int) -> None:
        self._states = self._read(reader, shard)
        self._next = next(self._states, None)

    def differences(self, engine: Engine) -> tuple[Difference, ...]:
        """What differs between the engine and the checkpoint at its position; empty without one."""
        while self._next is not None and self._next[0] < engine.position:
            self._next = next(self._states, None)
        if self._next is None or self._next[0] != engine.position:
            return ()
        recorded = self._next[1].split(b"\n")
        derived = engine.checkpoint().split(b"\n")
        names = ["head", *(name for name, _ in from_json(derived[0])["parts"])]
        return tuple(
            Difference(f"state[{name}].{one.path}", one.recorded, one.derived)
            for name, left, right in zip(names, recorded, derived, strict=False)
            # The head repeats the hashes of the parts; the parts say what is in them.
            if name != "head" or len(recorded) != len(derived)
            for one in (differences_of_bytes(left, right) if left != right else ())
        )

    @staticmethod
    def _read(reader: LogReader, shard: int) -> Iterator[tuple[int, bytes]]:
        for record in reader.read("checkpoints", shard):
            _, _, body = record.payload.partition(b"\n")
            head, _, _ = body.partition(b"\n")
            try:
                position = from_json(head)["position"]
            except (ValueError, KeyError, TypeError):
                continue
            yield int(position), body
