"""Rules that data must keep for a decision to be free of look-ahead, checked on what a log holds.

Place in the flow: part of the look-ahead audit; one pass over a shard's journal beside its
decisions. It looks at what was decided from, never at how: that is the re-decision's part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from coordinator.core.ports import LogReader, Record
from replay.known import KnownPrices
from schemas.base import Event
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.entries import decode_journal, decode_output, opening
from schemas.market import PricesObserved
from schemas.orders import Fill
from schemas.registry import SchemaError
from schemas.signals import SignalIssued

__all__ = ["FINDINGS_MAX", "Finding", "findings"]

FINDINGS_MAX = 100
"""Reported per shard."""
_SECOND = 1_000_000_000
_SAID = opening(AllocationDecided, RoundClosed)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken. position: of the journal record, or of the output's cause."""

    rule: str
    shard: int
    position: int
    what: str


def findings(reader: LogReader, shard: int) -> tuple[Finding, ...]:
    """The first broken rules of a shard, at most FINDINGS_MAX.

    price_before_its_time: a snapshot was journaled before the time it is of. time_went_back: a
    record's journal time lies before the one before it. price_not_seen: a decision valued an
    instrument at another price than the newest one journaled by then. signal_not_seen: a round used
    a signal that was not journaled by then. fill_before_decision: a trade was filled at or before
    the time it was decided.
    """
    return tuple(islice(_Rules(shard).check(reader), FINDINGS_MAX))


@dataclass(slots=True)
class _Rules:
    """What was known so far, and what each record breaks."""

    shard: int
    time: int = 0
    known: KnownPrices = field(default_factory=KnownPrices)
    snapshots: set[str] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)
    decided: dict[str, int] = field(default_factory=dict)

    def check(self, reader: LogReader) -> Iterator[Finding]:
        outputs = _outputs(reader, self.shard)
        waiting = next(outputs, None)
        for record in reader.read("journal", self.shard):
            # Timers fire before the record is applied, so its own news comes after their outputs.
            while waiting is not None and waiting[0] <= record.position:
                yield from self._said(*waiting)
                waiting = next(outputs, None)
            yield from self._heard(record)

    def _said(self, position: int, event: Event) -> Iterator[Finding]:
        if isinstance(event, AllocationDecided):
            for trade in event.trades:
                self.decided[trade.trade_id] = event.decided_at
            for target in event.targets:
                seen = self.known.prices.get(target.instrument)
                if seen != target.price:
                    what = f"{event.decision_id} valued {target.instrument} at {target.price}"
                    yield self._finding("price_not_seen", position, f"{what}, seen was {seen}")
        elif isinstance(event, RoundClosed):
            for signal in event.signals_used:
                if signal not in self.signals:
                    what = f"{event.decision_id} used {signal}"
                    yield self._finding("signal_not_seen", position, what)

    def _heard(self, record: Record) -> Iterator[Finding]:
        if record.journal_time < self.time:
            late = (self.time - record.journal_time) / _SECOND
            what = f"{late:g} s before the record before it"
            yield self._finding("time_went_back", record.position, what)
        self.time = max(self.time, record.journal_time)
        try:
            event = decode_journal(record.payload).event
        except SchemaError:
            return  # no event, so nothing that a decision could have used
        if isinstance(event, PricesObserved):
            yield from self._priced(event, record)
        elif isinstance(event, SignalIssued):
            self.signals.add(f"{event.source}/{event.event_id}")
        elif isinstance(event, Fill):
            decided_at = self.decided.get(event.trade_id or "")
            if decided_at is not None and record.journal_time <= decided_at:
                what = f"fill {event.event_id} of {event.trade_id}"
                yield self._finding("fill_before_decision", record.position, what)

    def _priced(self, event: PricesObserved, record: Record) -> Iterator[Finding]:
        ahead = event.event_time - record.journal_time
        if ahead > 0:
            what = f"{event.kind} snapshot {event.event_id}, {ahead / _SECOND:g} s ahead"
            yield self._finding("price_before_its_time", record.position, what)
        if event.event_id in self.snapshots:
            return  # told twice; it counted once
        self.snapshots.add(event.event_id)
        self.known.take(event)

    def _finding(self, rule: str, position: int, what: str) -> Finding:
        return Finding(rule, self.shard, position, what)


def _outputs(reader: LogReader, shard: int) -> Iterator[tuple[int, Event]]:
    for record in reader.read("decisions", shard):
        if record.payload.startswith(_SAID):
            entry = decode_output(record.payload)
            yield entry.position, entry.event
