"""The engine: a deterministic state machine from journal records to chained outputs.

Place in the flow: between the journal and the decisions topic. `step` first fires timers that are
due before the record, then judges the record; for each, events are decided from the state and
applied to it at once. Never reads a clock, a random number, the environment or a file; time is the
journal's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from coordinator.core.announce import announcements, ours_to_say
from coordinator.core.checkpoint import CheckpointError, decode_state, encode_state
from coordinator.core.clock import MILLISECOND
from coordinator.core.deciding import NO_FAILURES
from coordinator.core.evolve import evolve_input, evolve_output
from coordinator.core.intake import identity_key, is_own, judge, repeated, unheard
from coordinator.core.ports import Allocator, Record, RiskModel
from coordinator.core.rounds import next_begin
from coordinator.core.state import State
from coordinator.core.timers import after_timer, owner_of, timer_events
from coordinator.core.together import Hands, Together, Told
from schemas.base import Event, OutputEvent
from schemas.canonical import digest
from schemas.entries import JournalEntry, decode_journal, encode_output, opening
from schemas.journal import EngineStarted
from schemas.registry import SchemaError
from schemas.signals import SignalIssued
from schemas.verdicts import ClockJumped, RecordQuarantined

__all__ = [
    "Engine",
    "EngineError",
    "EngineSealedError",
    "EvolveFailed",
    "NotStarted",
    "WrongShards",
]

RECORD = "record"
OUT_OF_ROOM = (MemoryError, OSError)
"""No fault of the record: these halt instead of quarantining it."""
_SIGNAL = opening(SignalIssued)
SHARED_MAX = 1024
_ADDRESS = re.compile(r"0x[0-9a-f]+")


class EngineError(Exception):
    """The engine cannot go on: NotStarted, EngineSealedError, WrongShards, EvolveFailed."""


class NotStarted(EngineError):
    """A journal that does not begin with EngineStarted: nothing says which build decided in it."""


class EngineSealedError(EngineError):
    """A record after EngineSealed: this build decides nothing any more, start the next one."""


class WrongShards(EngineError):
    """A journal laid out for another number of shards: portfolios would be looked for in vain."""


class EvolveFailed(EngineError):
    """Applying an event raised, so the state may be half changed.

    The owner builds the state again from the log and steps over `unit` ("record" or a timer's name)
    with `step(record, failures={unit: error})`, which quarantines it.
    """

    def __init__(self, position: int, unit: str, error: str) -> None:
        super().__init__(f"position {position}, {unit}: {error}")
        self.position = position
        self.unit = unit
        self.error = error


class Engine:
    """One shard's engine. Feed it journal records in order; it answers with output entries."""

    def __init__(
        self, *, shard: int, shards: int, allocator: Allocator, risk_model: RiskModel,
        hands: Hands | None = None,
    ) -> None:  # fmt: skip
        self.state = State(shard=shard, shards=shards)
        self._together = Together(hands)
        self._allocator = allocator
        self._risk_model = risk_model
        self._out: list[bytes] = []
        self._at = -1

    # -- what an owner may ask -------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Journal position applied last, -1 before the first."""
        return self.state.position

    @property
    def seq(self) -> int:
        """Outputs said so far."""
        return self.state.seq

    @property
    def last_hash(self) -> str:
        """Hash of the last output entry."""
        return self.state.last_hash

    @property
    def clock(self) -> int:
        """The engine's time, ns."""
        return self.state.clock

    @property
    def decisions(self) -> int:
        """Allocations decided so far."""
        return self.state.decisions

    @property
    def portfolios(self) -> int:
        """Portfolios of this shard."""
        return len(self.state.portfolios)

    @property
    def ahead(self) -> bool:
        """Never: it decides when it is asked to."""
        return False

    @property
    def took(self) -> int:
        """Not measured: an engine has no clock."""
        return 0

    def expect(self, records: Sequence[Record]) -> None:
        """Nothing to prepare."""

    def next_begin(self) -> int | None:
        """From when on a record may open a round, ns; None while none can."""
        return next_begin(self.state)

    def next_deadline(self) -> int | None:
        """When the earliest timer is due, ns; a record later than this fires it."""
        return self.state.timers.earliest if self.state.timers.first() is not None else None

    def reset(self) -> None:
        """Back to the beginning of the journal."""
        self.state = State(shard=self.state.shard, shards=self.state.shards)

    def checkpoint(self) -> bytes:
        """The whole state, to restore from."""
        return encode_state(self.state)

    def restore(self, checkpoint: bytes) -> None:
        """Start from a checkpoint. Raises CheckpointError, also for another shard's."""
        state = decode_state(checkpoint)
        if (state.shard, state.shards) != (self.state.shard, self.state.shards):
            message = f"checkpoint of shard {state.shard} of {state.shards}"
            raise CheckpointError(message)
        self.state = state

    # -- one record ------------------------------------------------------------------------------

    def step(self, record: Record, *, failures: Mapping[str, str] = NO_FAILURES) -> list[bytes]:
        """Apply one journal record; returns its output entries, chained, in order.

        A position that was applied already gives nothing. failures: units known to fail in
        `evolve`, to be quarantined instead of applied.
        """
        state = self.state
        if record.position <= state.position:
            return []
        self._out, self._at = [], record.position
        entry = _decoded(record.payload)
        self._refuse(entry)
        if not state.sealed:  # what falls due between two builds is the next one's to decide
            self._fire_timers((record.journal_time, ""), failures)
        self._advance(record.journal_time)
        self._apply(entry, failures)
        state.position = record.position
        return self._out

    def follow(
        self,
        record: Record,
        decided: Iterable[tuple[int, str, OutputEvent]],
        *,
        failures: Mapping[str, str] = NO_FAILURES,
    ) -> list[bytes]:
        """Step with what was decided before the record, each applied when its timer was due.

        decided: time, name of the timer, and event, in their order.
        """
        self._out, self._at = [], record.position
        self._follow(decided, failures)
        return self.step(record, failures=failures)

    def approach(
        self,
        record: Record,
        decided: Iterable[tuple[int, str, OutputEvent]],
        *,
        due: tuple[int, str],
        failures: Mapping[str, str] = NO_FAILURES,
    ) -> None:
        """All that comes before a timer that this record makes fire; neither of them is applied.

        decided: what was decided before that timer. due: its time and its name.
        """
        self._out, self._at = [], record.position
        self._follow(decided, failures)
        self._fire_timers(due, failures)
        self._advance(due[0])

    def _follow(
        self, decided: Iterable[tuple[int, str, OutputEvent]], failures: Mapping[str, str]
    ) -> None:
        for time, timer, event in decided:
            self._fire_timers((time, timer), failures)
            self._advance(time)
            evolve_output(self.state, event)

    def _advance(self, time: int) -> None:
        """The clock never goes back; a step above the bound is reported."""
        state = self.state
        if time <= state.clock:
            return
        previous, state.clock = state.clock, time
        step = (time - previous) // MILLISECOND
        if previous and step > state.parameters.clock_jump_ms_max:
            self._say(ClockJumped(decided_at=time, previous=previous, step_ms=step))

    def _apply(self, entry: JournalEntry | SchemaError, failures: Mapping[str, str]) -> None:
        state = self.state
        if isinstance(entry, SchemaError):
            self._quarantine("undecodable", "", None, str(entry))
            return
        stamp = entry.stamp
        if repeated(state, stamp):
            return
        event = unheard(state, stamp, entry.event)
        if stamp.offset >= 0:
            state.marks[stamp.topic, stamp.topic_id, stamp.partition] = stamp.offset
        if RECORD in failures:
            self._quarantine_event(event, failures[RECORD])
            return
        try:
            key = identity_key(event)
            fault = judge(state, stamp, event, key)
            events = announcements(state, event) if fault is None else [fault]
        except OUT_OF_ROOM:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a rule raises, the record is quarantined
            self._quarantine_event(event, _described(error))
            return
        for said in events:
            self._say(said)
        if fault is None:
            self._evolve_input(entry, key)

    def _evolve_input(self, entry: JournalEntry, key: str | None) -> None:
        """Apply an accepted input, and remember its producer's id."""
        state = self.state
        try:
            evolve_input(state, entry.stamp, entry.event)
        except OUT_OF_ROOM:
            raise
        except Exception as error:
            raise EvolveFailed(self._at, RECORD, _described(error)) from error
        if key is not None:
            self._remember(key, entry.event, entry.stamp.appended_at)

    def _refuse(self, entry: JournalEntry | SchemaError) -> None:
        """Only EngineStarted may come first. Before anything has changed.

        What routers and clocks append between a seal and the next EngineStarted is the next
        build's: it is applied, and nothing falls due. Whose build was sealed must not get so far:
        `Shard` sees to that.
        """
        if isinstance(entry, JournalEntry) and isinstance(entry.event, EngineStarted):
            if entry.event.shards != self.state.shards:
                message = f"the journal has {entry.event.shards} shards, not {self.state.shards}"
                raise WrongShards(message)
            return
        if not self.state.build:
            message = f"position {self._at}: a journal begins with EngineStarted"
            raise NotStarted(message)

    def _remember(self, key: str, event: Event, appended_at: int) -> None:
        """Keep the id for the lateness window, oldest forgotten first.

        Ids that only this shard hears have a book of their own, so that all shards forget the
        others at the same moment.
        """
        state, parameters = self.state, self.state.parameters
        seen = state.seen_own if is_own(event) else state.seen
        seen.put(key, appended_at)
        horizon = state.clock - parameters.lateness_ms_max * MILLISECOND
        seen.forget(kept_max=parameters.event_ids_max, since=horizon)

    # -- timers ----------------------------------------------------------------------------------

    def _fire_timers(self, before: tuple[int, str], failures: Mapping[str, str]) -> None:
        """Fire every timer due before a time and name, each at its own deadline."""
        timers, together = self.state.timers, self._together
        try:
            while (name := timers.first()) is not None and (timers.earliest, name) < before:
                self._advance(timers.earliest)
                together.prepare(timers, self._events_of, before=before, failures=failures)
                timers.disarm(name)
                self._fire(name, failures)
        finally:
            together.drop()

    def _events_of(self, timer: str) -> list[OutputEvent]:
        return timer_events(
            self.state, timer, allocator=self._allocator, risk_model=self._risk_model
        )

    def _fire(self, name: str, failures: Mapping[str, str]) -> None:
        """One timer's events; one that fails is removed and quarantined, its portfolio paused."""
        state = self.state
        error_known = failures.get(name)
        if error_known is not None:
            self._quarantine("timer", name, owner_of(name), error_known)
            return
        try:
            told = self._together.take(name)
            if told is None:
                told = [Told(event) for event in self._events_of(name)]
        except OUT_OF_ROOM:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a timer raises, it is quarantined
            self._quarantine("timer", name, owner_of(name), _described(error))
            return
        for event, content in told:
            self._say(event, unit=name, content=content)
        try:
            after_timer(state, name, risk_model=self._risk_model)
        except OUT_OF_ROOM:
            raise
        except Exception as error:
            raise EvolveFailed(self._at, name, _described(error)) from error

    # -- saying ----------------------------------------------------------------------------------

    def _say(self, event: OutputEvent, *, unit: str = RECORD, content: bytes | None = None) -> None:
        """Apply an event of our own; chain it where this shard is the one to say it."""
        state = self.state
        try:
            evolve_output(state, event)
        except OUT_OF_ROOM:
            raise
        except Exception as error:
            raise EvolveFailed(self._at, unit, _described(error)) from error
        if not ours_to_say(state, event):
            return
        entry = encode_output(self._at, len(self._out), state.seq, state.last_hash, event, content)
        self._out.append(entry)
        state.seq += 1
        state.last_hash = digest(entry)

    def _quarantine_event(self, event: Event, error: str) -> None:
        event_id = getattr(event, "event_id", "")
        self._quarantine(type(event).__name__, event_id, getattr(event, "portfolio", None), error)

    def _quarantine(self, event: str, event_id: str, portfolio: str | None, error: str) -> None:
        self._say(
            RecordQuarantined(
                decided_at=self.state.clock,
                event=event,
                event_id=event_id.replace("\t", " ")[:2000],
                portfolio=portfolio,
                error=error[:2000],
            )
        )


def _decoded(payload: bytes) -> JournalEntry | SchemaError:
    if payload.startswith(_SIGNAL):
        return _shared(payload)
    return _read(payload)


def _read(payload: bytes) -> JournalEntry | SchemaError:
    try:
        return decode_journal(payload)
    except SchemaError as error:
        return error.with_traceback(None)


_shared = lru_cache(maxsize=SHARED_MAX)(_read)
"""Every shard hears every signal: those of one process read it once."""


def _described(error: Exception) -> str:
    """The error in words that are the same in every process."""
    return _ADDRESS.sub("0x", f"{type(error).__name__}: {error}")[:1000]
