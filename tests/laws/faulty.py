"""A log that breaks on purpose: a crash in the middle of publishing leaves part of the outputs.

Place in the flow: tests only. A broker may take some records of a batch and not the others; the
embedded logs never do, so the recovery is proven on this one.
"""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from tests.journals import zero_clock

__all__ = ["Crashed", "FaultyLog"]


class Crashed(Exception):
    """The process died here."""


class FaultyLog(MemoryLog):
    """A MemoryLog whose next batch of decisions is cut after `keep` records when that is set."""

    def __init__(self) -> None:
        super().__init__(clock=zero_clock)
        self.keep: int | None = None

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        if self.keep is None or not batch or batch[0].topic != "decisions":
            return super().append(batch)
        kept, self.keep = batch[: self.keep], None
        super().append(kept)
        raise Crashed
