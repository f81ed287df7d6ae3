"""One shard's part of a backtest: inputs, ticks and simulated fills, in the order of time.

Place in the flow: the backtest gives it the recorded inputs of one shard; it appends to the log
that is written and has the shard's owner apply each record. It must never show the engine a record
before those of earlier time, nor keep an answer (a fill, a tick, an engine's start) that belongs
to the recorded run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from time import perf_counter

from coordinator.core.clock import MILLISECOND
from coordinator.core.engine import Engine
from coordinator.core.intake import identity_key, judge, repeated
from coordinator.core.panes import panes_over
from coordinator.core.ports import Append, Log, Record
from coordinator.core.shard import Shard
from replay.market import SimulatedMarket
from schemas.base import TIME_MAX, InputEvent, Origin
from schemas.books import HoldingChanged
from schemas.decisions import AllocationDecided, TradesExpired
from schemas.entries import (
    JournalEntry,
    Stamp,
    decode_journal,
    decode_output,
    encode_journal,
    opening,
)
from schemas.journal import ClockTicked, EngineStarted
from schemas.registry import SchemaError

__all__ = ["BACKTEST", "Played", "ShardPlayer"]

BACKTEST = "backtest"
"""topic_id of the ticks and the engine's start that a backtest writes."""
CHECKPOINT_DECISIONS = 8
"""The first checkpoint comes after that many decisions, each next after twice as many: few, and the
last one leaves about half of the run to be verified from it."""
_DECIDED = opening(AllocationDecided)
_HEARD = opening(HoldingChanged, AllocationDecided, TradesExpired)


@dataclass(slots=True)
class Played:
    """Counts of what was played, and how long each decision took (s of wall time)."""

    inputs: int = 0
    feedback_dropped: int = 0
    clock_dropped: int = 0
    ticks: int = 0
    fills: int = 0
    outputs: int = 0
    decisions: int = 0
    decision_seconds: list[float] = field(default_factory=list)


class ShardPlayer:
    """Plays one shard into `out`. Times are journal times, ns UTC, and never go back."""

    def __init__(self, engine: Engine, *, out: Log, start: EngineStarted) -> None:
        self.played = Played()
        self._engine = engine
        self._number = engine.state.shard
        # Checkpoints are the player's: a whole run is written at once and never recovers.
        self._owner = Shard(out, engine, checkpoint_every=sys.maxsize)
        self._checkpoint_at = CHECKPOINT_DECISIONS
        self._market = SimulatedMarket()
        self._out = out
        self._at = start.event_time
        self._journal(self._stamped(start), self._at)

    def play(self, record: Record) -> None:
        """One recorded input, with the ticks before it and the fills after it."""
        try:
            entry = decode_journal(record.payload)
        except SchemaError:
            entry = None  # the engine's to quarantine, here as in the recorded run
        if entry is not None and self._dropped(entry):
            return
        at = max(record.journal_time, self._at)
        self.tick(at)
        counts = entry is not None and self._counts(entry)
        self.played.inputs += 1
        self._journal(record.payload, at)
        if entry is not None and counts:
            for answer in self._market.see(entry.event, at):
                self.played.fills += 1
                self._journal(encode_journal(answer.stamp, answer.event), at)

    def tick(self, before: int) -> None:
        """Fire every timer due before a time, each by a tick right after its deadline."""
        while True:
            deadline = self._engine.next_deadline()
            if deadline is None or deadline >= before:
                return
            at = max(deadline + 1, self._at)
            self.played.ticks += 1
            tick = ClockTicked(event_id=f"tick {at}", event_time=at)
            self._journal(self._stamped(tick), at)

    def settle(self, last: int) -> None:
        """After the inputs: what is due by then, and the rounds that the last of them opened.

        Then the panes that are open, to their end: they hold the last fills, too.
        """
        parameters = self._engine.state.parameters
        window = (parameters.window_ms + parameters.round_spacing_ms) * MILLISECOND
        self.tick(min(last + window + 1, TIME_MAX - 1))
        self.tick(min(panes_over(self._engine.state) + 1, TIME_MAX - 1))

    def _dropped(self, entry: JournalEntry) -> bool:
        """Whether the record belongs to the recorded run and not to the world."""
        if not isinstance(entry.event, InputEvent):
            return False
        origin = entry.event.origin
        self.played.feedback_dropped += origin is Origin.FEEDBACK
        self.played.clock_dropped += origin is Origin.CLOCK
        return origin is not Origin.EXOGENOUS

    def _counts(self, entry: JournalEntry) -> bool:
        """Whether the engine takes the input for good: the market's books must agree with its."""
        state, stamp, event = self._engine.state, entry.stamp, entry.event
        if repeated(state, stamp):
            return False
        return judge(state, stamp, event, identity_key(event)) is None

    def _stamped(self, event: ClockTicked | EngineStarted) -> bytes:
        stamp = Stamp("journal", BACKTEST, self._number, -1, self._at)
        return encode_journal(stamp, event)

    def _journal(self, payload: bytes, at: int) -> None:
        """Append one journal record and apply it; the market hears what the engine says."""
        (position,) = self._out.append([Append("journal", self._number, payload, at)])
        self._at = at
        started = perf_counter()
        outputs = self._owner.apply(Record("journal", self._number, position, at, payload))
        seconds = perf_counter() - started
        decided = sum(output.startswith(_DECIDED) for output in outputs)
        for output in outputs:
            if output.startswith(_HEARD):
                self._market.hear(decode_output(output).event)
        self.played.outputs += len(outputs)
        self.played.decisions += decided
        if self.played.decisions >= self._checkpoint_at:
            self._checkpoint_at = 2 * self.played.decisions
            self._owner.checkpoint()
        self.played.decision_seconds += [seconds / decided] * decided if decided else []
