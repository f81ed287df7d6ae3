"""One shard decided again, range by range, and held against what its log says.

Place in the flow: beneath `verify`. The engine sees the journal alone; a range of another engine is
left out, and the next one of ours starts from the state that the other left at its seal. It must
never take an output from the log into the engine.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from coordinator.bootstrap import Identity
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.engine import Engine, WrongShards
from coordinator.core.fold import Fold, checkpoints
from coordinator.core.ports import LogReader, Record
from coordinator.log.live import has_broker_times
from replay.comparison import Comparison
from replay.divergence import Difference
from replay.errors import IdentityDifference, NoCheckpoint
from replay.identity import differs_from_ours
from replay.ranges import Range, ranges_of
from replay.recorded import RecordedOutputs
from replay.reported import (
    FIELDS_MAX,
    FirstDifference,
    RangeReport,
    Result,
    ShardReport,
    difference_at,
    head_of,
)
from replay.source import Watch
from replay.states import RecordedStates
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import decode_journal, opening
from schemas.journal import EngineStarted

__all__ = ["ShardCheck"]

_DECIDED = opening(AllocationDecided)


class ShardCheck:
    """Verifies one shard: `prepare`, then `compare`; `ranges` tells what became of each."""

    def __init__(
        self, reader: LogReader, engine: Engine, comparison: Comparison, watch: Watch
    ) -> None:
        self._reader = reader
        self._shard = engine.state.shard
        self._engine = engine
        self._fold = Fold(reader, engine)
        self._comparison = comparison
        self._watch = watch
        self._broker_times = has_broker_times(reader)
        self._states = RecordedStates(reader, self._shard, broker_times=self._broker_times)
        self._any_engine = self._followed = False
        self.from_position = -1
        self.ranges: list[RangeReport] = []
        self._last_hash = ""
        self._journal_end = 0
        self._decisions_from = 0
        self._records = self._outputs = self._decided = self._repeats = 0

    def prepare(self, *, from_checkpoint: bool, any_engine: bool) -> None:
        """Go to where the comparison starts. any_engine: no range is another's."""
        self._any_engine = any_engine
        if not from_checkpoint:
            return
        found = next(iter(checkpoints(self._reader, self._shard)), None)
        if found is None:
            return
        try:
            self._fold.start(found[0])
        except CheckpointError as error:
            message = f"shard {self._shard}: {error}; verify from the start"
            raise NoCheckpoint(message) from error
        self._decisions_from = found[1]
        self.from_position = self._fold.engine.position
        if self.from_position >= self._reader.end("journal", self._shard):
            message = f"shard {self._shard}: the checkpoint lies beyond the journal"
            raise NoCheckpoint(f"{message}; verify from the start")

    def compare(self) -> ShardReport:
        """Feed the journal until its end or the first difference."""
        started = perf_counter()
        difference = self._compare()
        return ShardReport(
            shard=self._shard,
            from_position=self.from_position,
            records=self._records,
            outputs=self._outputs,
            decisions=self._decided,
            seconds=perf_counter() - started,
            difference=difference,
            repeats=self._repeats,
        )

    # -- ranges ----------------------------------------------------------------------------------

    def _compare(self) -> FirstDifference | None:
        self._recorded = self._recorded_from(self._decisions_from)
        found = None
        if not self._parts(self._engine_there()):
            found = self._state_difference()
        ranges = self._split()
        for number, one in enumerate(ranges, 1):
            result = Result.NOT_REACHED
            self._followed = any(not later.open for later in ranges[number:])
            if found is None:
                result, found = self._judge(one, is_last=one is ranges[-1])
            self.ranges.append(RangeReport(one, result, self._parts(one.engine)))
        if found is None and not ranges:
            found = self._left_over(is_last=True)
        self._repeats += self._recorded.repeats
        return found or self._states_left_over()

    def _split(self) -> tuple[Range, ...]:
        """The ranges of the journal as it is now."""
        self._journal_end = self._reader.end("journal", self._shard)
        return ranges_of(
            self._reader,
            self._shard,
            after=self.from_position,
            engine=self._engine_there(),
            sealed=self._fold.engine.state.sealed,
        )

    def _engine_there(self) -> Identity | None:
        """The engine that the state names; None before the journal's beginning."""
        state = self._fold.engine.state
        return (state.build, state.dependencies, state.fingerprint) if state.build else None

    def _parts(self, engine: Identity | None) -> tuple[IdentityDifference, ...]:
        return () if self._any_engine else differs_from_ours(engine)

    def _judge(self, one: Range, *, is_last: bool) -> tuple[Result, FirstDifference | None]:
        """Compare one range, if it is ours and there is a state to start it from."""
        if self._parts(one.engine):
            return Result.OTHER_ENGINE, None
        if one.open and self._fold.engine.state.sealed:
            return Result.UNDECIDED, self._left_over(is_last=is_last)
        if not self._starts(one):
            return Result.NO_STATE, None
        for record in self._fold.journal(stop=one.last + 1):
            found = self._of_record(record)
            if found is not None:
                return Result.UNSAID if found.unsaid else Result.DIFFERENT, found
        found = self._left_over(is_last=is_last)
        return Result.IDENTICAL if found is None else Result.DIFFERENT, found

    def _starts(self, one: Range) -> bool:
        """Whether the engine stands where the range begins, or could be brought there."""
        engine = self._fold.engine
        if engine.position == one.follows:
            return True
        for body, decisions_from in self._states.at(one.follows):
            try:
                self._fold.start(body)
            except CheckpointError:
                continue
            if engine.position == one.follows:
                self._repeats += self._recorded.repeats
                self._recorded = self._recorded_from(decisions_from)
                return True
        return False

    def _recorded_from(self, start: int) -> RecordedOutputs:
        engine = self._fold.engine
        self._last_hash = engine.last_hash
        return RecordedOutputs(self._reader, self._shard, start, seq=engine.seq)

    # -- records ---------------------------------------------------------------------------------

    def _of_record(self, record: Record) -> FirstDifference | None:
        """Apply one record and compare what it brings about."""
        try:
            outputs = self._fold.step(record)
        except WrongShards:
            return self._other_shards(record)
        self._records += 1
        self._watch.saw(record.journal_time)
        found = self._first_difference(record, outputs)
        if found is not None and found.kind == "missing":
            return self._unless_unsaid(record, found)
        return found or self._state_difference()

    def _unless_unsaid(self, record: Record, missing: FirstDifference) -> FirstDifference:
        """The log says no more: the engine is still to come, unless something shows it was there.

        A checkpoint is written behind all that was said, and so is the next build's start.
        """
        if self._followed or self._states.beyond(record.position):
            return missing
        behind = sum(1 for _ in self._reader.read("journal", self._shard, record.position))
        return replace(missing, kind="unsaid", behind=behind)

    def _first_difference(self, record: Record, outputs: list[bytes]) -> FirstDifference | None:
        """Of one record's outputs."""
        for derived in outputs:
            found = self._recorded.take()
            if found is None:
                return difference_at("missing", self._shard, derived)
            fields = self._differences(found, derived, record.journal_time)
            if fields:
                return difference_at("different", self._shard, derived, fields[:FIELDS_MAX])
            self._outputs += 1
            self._decided += derived.startswith(_DECIDED)
        return None

    def _differences(self, found: Record, derived: bytes, time: int) -> tuple[Difference, ...]:
        """Of one output: what it says, whether it follows from the one before, and its time."""
        state = self._engine.state
        fields = self._comparison.differences(found.payload, derived, state)
        if not fields and not self._comparison.exact:
            prev = head_of(found.payload).get("prev")
            if prev != self._last_hash:
                fields = (Difference("prev", prev, self._last_hash),)
            self._last_hash = digest(found.payload)
        if not self._broker_times and found.journal_time != time:
            fields = (*fields, Difference("journal_time", found.journal_time, time))
        return fields

    def _state_difference(self) -> FirstDifference | None:
        """Where a checkpoint was written at this position and the state is another."""
        engine = self._engine
        if not self._comparison.exact or not self._states.claims(engine.position):
            return None
        return self._of_states(self._states.differences(engine, self._recorded.places))

    def _of_states(self, fields: tuple[Difference, ...]) -> FirstDifference | None:
        if not fields:
            return None
        engine = self._fold.engine
        return FirstDifference(
            "state", self._shard, engine.position, 0, engine.seq, "checkpoint", fields[:FIELDS_MAX]
        )

    # -- what is left ----------------------------------------------------------------------------

    def _left_over(self, *, is_last: bool) -> FirstDifference | None:
        """What the log says at the end of a range beyond what its journal leads to."""
        extra = self._recorded.peek()
        if extra is None or self._is_later(extra, is_last=is_last):
            return None
        return difference_at("extra", self._shard, extra.payload)

    def _is_later(self, extra: Record, *, is_last: bool) -> bool:
        """Whether an output belongs to a later range, or to what the journal has got meanwhile."""
        cause = head_of(extra.payload).get("position")
        if type(cause) is not int or cause <= self._fold.engine.position:
            return False
        grown = self._journal_end <= cause < self._reader.end("journal", self._shard)
        return grown or not is_last

    def _states_left_over(self) -> FirstDifference | None:
        """A checkpoint of a range that was compared, and whose state never came."""
        for one in self.ranges:
            if one.unverified:
                self._states.forget(one.range.first, one.range.last)
        if not self._comparison.exact:
            return None
        return self._of_states(self._states.left_over(self.from_position))

    def _other_shards(self, record: Record) -> FirstDifference:
        """A journal that is laid out for another number of shards than the log's first."""
        event = decode_journal(record.payload).event
        said = event.shards if isinstance(event, EngineStarted) else None
        engine = self._engine
        fields = (Difference("event.shards", said, engine.state.shards),)
        return FirstDifference(
            "shards", self._shard, record.position, 0, engine.seq, "EngineStarted", fields
        )
