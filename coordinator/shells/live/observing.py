"""Observer: what one shard's owner measures, from the bytes that go in and out.

Place in the flow: told by the owner, tells the metrics. Decodes as little as it can. It must never
change, hold up or be asked by a decision.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from coordinator.core.clock import SECOND
from coordinator.core.ports import Record
from coordinator.telemetry.metrics import Metrics
from schemas.decisions import AllocationDecided, ConflictsDetected, RoundClosed
from schemas.entries import opening
from schemas.signals import SignalIssued
from schemas.verdicts import InputRejected, SignalRejected

__all__ = ["Observer"]

_SIGNAL = opening(SignalIssued)
_ROUND = opening(RoundClosed)
_DECIDED = opening(AllocationDecided)
_CONFLICTS = opening(ConflictsDetected)
_REJECTED = (opening(SignalRejected), opening(InputRejected))
_APPENDED_AT = re.compile(rb'"appended_at":(\d+)')
_NUMBERS = {
    name: re.compile(rb'"%s":(\d+)' % name.encode()) for name in ("decided_at", "opened_at")
}
_WORDS = {
    name: re.compile(rb'"%s":"([a-z_ ]*)"' % name.encode()) for name in ("reason", "rung", "status")
}
_KIND = re.compile(rb'\{"kind":"([a-z_]+)"')
"""How the line of a conflict begins; a quote within a text is never bare."""
WAITING_MAX = 10_000


class Observer:
    """Measures one shard. Used by its owner's thread.

    now: the time that journal times are compared with, ns UTC.
    """

    def __init__(
        self, shard: int, metrics: Metrics, *, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._now = now
        self._shard = str(shard)
        self._metrics = metrics
        stage = metrics.stage_seconds.labels
        self._ingest, self._queue, self._window = stage("ingest"), stage("queue"), stage("window")
        self._solve, self._publish, self._total = stage("solve"), stage("publish"), stage("total")
        self._applied = metrics.records.labels("applied")
        self._published = metrics.records.labels("published")
        self._arrived: dict[int, int] = {}
        self._arrived_max = WAITING_MAX
        # Of outputs not acknowledged yet: which one it is since the recovery, when it was said, and
        # of a round when its first signal arrived.
        self._waiting: deque[tuple[int, int, int | None]] = deque()
        self._said = self._through = 0
        self._recovering = False
        self._since = 0

    def applied(
        self, record: Record, said: Sequence[bytes], began: int, *, portfolios: int = 1
    ) -> None:
        """A record was applied, from `began` (ns) until now, and made the engine say these.

        What is applied to recover has waited for that, not for a stage: it has none. Nor has a
        signal of a shard without portfolios: it is on its way to no decision.
        """
        now = self._now()
        self._applied.inc()
        if self._recovering:
            for entry in said:
                self._name(entry)
            return
        if portfolios and record.payload.startswith(_SIGNAL):
            found = _APPENDED_AT.search(record.payload)
            if found is not None:
                appended_at = int(found.group(1))
                self._ingest.observe(max(0, record.journal_time - appended_at) / SECOND)
                self._queue.observe(max(0, began - record.journal_time) / SECOND)
                self._arrived.setdefault(record.journal_time, appended_at)
                self._forget(record.journal_time)
        rounds = sum(entry.startswith(_ROUND) for entry in said)
        for entry in said:
            arrived = self._count(entry) if entry.startswith(_ROUND) else None
            if arrived is None:
                self._name(entry)
            if len(self._waiting) < WAITING_MAX:  # what is said beyond that is not measured
                self._waiting.append((self._said, now, arrived))
            self._said += 1
        for _ in range(rounds):
            self._solve.observe(max(0, now - began) / SECOND / rounds)

    def _count(self, entry: bytes) -> int | None:
        """A round's window; when its first signal arrived, where a signal opened it."""
        decided, opened = (_NUMBERS[name].search(entry) for name in ("decided_at", "opened_at"))
        if decided is None or opened is None or int(opened.group(1)) < self._since:
            return None
        self._window.observe(max(0, int(decided.group(1)) - int(opened.group(1))) / SECOND)
        return self._arrived.get(int(opened.group(1)))

    def _name(self, entry: bytes) -> None:
        """Count what a person would ask for."""
        if entry.startswith(_DECIDED):
            self._metrics.solver_status.labels(_word(entry, "rung"), _word(entry, "status")).inc()
        elif entry.startswith(_CONFLICTS):
            for kind, count in Counter(_KIND.findall(entry)).items():
                self._metrics.conflicts.labels(kind.decode()).inc(count)
        else:
            for kind, begins in zip(("signal", "input"), _REJECTED, strict=True):
                if entry.startswith(begins):
                    self._metrics.rejections.labels(kind, _word(entry, "reason")).inc()

    def _forget(self, now: int) -> None:
        """Arrivals of a minute ago open no round any more; also where there never is a round.

        Not looked through before a fifth of them can have gone.
        """
        if len(self._arrived) > self._arrived_max:
            self._arrived = {at: a for at, a in self._arrived.items() if at > now - 60 * SECOND}
            self._arrived_max = max(WAITING_MAX, len(self._arrived) * 5 // 4)

    def published(self, count: int) -> None:
        """So many outputs more were acknowledged by the log."""
        now = self._now()
        self._published.inc(count)
        if self._recovering:
            return
        self._through += count
        while self._waiting and self._waiting[0][0] < self._through:
            _, said, arrived = self._waiting.popleft()
            self._publish.observe(max(0, now - said) / SECOND)
            if arrived is not None:
                self._total.observe(max(0, now - arrived) / SECOND)

    def repeated(self, count: int) -> None:
        """Another owner of this shard wrote so many outputs beside ours."""
        self._metrics.repeats.labels(self._shard).inc(count)

    def recovering(self) -> None:
        """What is applied from now on was journaled before, or while the shard had no owner."""
        self._recovering, self._since = True, self._now()
        self._arrived.clear()

    def recovered(self, seconds: float) -> None:
        """The shard decides again, and all that it had said is acknowledged."""
        self._recovering = False
        self._waiting.clear()
        self._said = self._through = 0
        self._metrics.recovery_seconds.observe(seconds)

    def checkpointed(self, seconds: float) -> None:
        """A checkpoint was written."""
        self._metrics.stage_seconds.labels("checkpoint").observe(seconds)

    def diverged(self) -> None:
        """The log holds something else than the engine says."""
        self._metrics.divergence.labels(self._shard).inc()


def _word(entry: bytes, name: str) -> str:
    """A field's value; it stands once, and nearer to the end of a long entry."""
    found = _WORDS[name].match(entry, max(0, entry.rfind(b'"%s":"' % name.encode())))
    return found.group(1).decode() if found is not None else "unknown"
