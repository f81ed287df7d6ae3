"""Verify: decide a recorded journal again and compare every output with the recorded one.

Place in the flow: the proof that a log's decisions follow from its inputs. Reads any log; writes
nothing. It must never take an output from the log into the engine: the engine sees the journal
alone. Because every entry names the hash of the one before, equal bytes also prove the chain: no
gap, no repeat, no change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic_core import from_json

from coordinator.bootstrap import build_engine
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.engine import Engine, WrongShards
from coordinator.core.fold import Fold, checkpoints
from coordinator.core.ports import LogReader, Record
from replay.comparison import Comparison, Exact
from replay.contract import Contract
from replay.divergence import Difference
from replay.errors import NoCheckpoint, NothingToReplay
from replay.identity import refuse_other_engine
from replay.source import (
    NO_DECISIONS,
    EngineFactory,
    Layout,
    Progress,
    Watch,
    layout_of,
    opened,
)
from replay.states import RecordedStates
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import decode_journal, opening
from schemas.journal import EngineStarted

__all__ = ["FirstDifference", "ShardReport", "VerifyReport", "verify"]

_DECIDED = opening(AllocationDecided)
FIELDS_MAX = 20


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where a shard's recorded outputs and the derived ones part.

    kind: "different", "missing" (derived, not in the log), "extra" (in the log, not derived),
    "state" (a checkpoint is not the state at its position), "shards" (a journal is laid out for
    another number of them) or "partitions" (the log lacks a shard, or holds what is of none).
    position, ordinal, seq: of the output. fields: what differs, at most 20.
    """

    kind: str
    shard: int
    position: int
    ordinal: int
    seq: int
    event: str
    fields: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What one shard's check did. from_position: of the checkpoint it started at, else -1."""

    shard: int
    from_position: int
    records: int
    outputs: int
    decisions: int
    seconds: float
    difference: FirstDifference | None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Whether the log's decisions follow from its inputs.

    compared: "bytes" or "contract". layout: set when the log has not exactly its shards.
    """

    shards: tuple[ShardReport, ...]
    compared: str
    layout: FirstDifference | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return self.difference is None

    @property
    def difference(self) -> FirstDifference | None:
        """That of the layout, or the first of the first shard that has one."""
        found = (self.layout, *(one.difference for one in self.shards))
        return next((one for one in found if one is not None), None)


def verify(
    log: LogReader | str | Path,
    *,
    from_checkpoint: bool = False,
    this_engine: bool = False,
    tolerance: bool = False,
    progress: Progress | None = None,
    engines: EngineFactory = build_engine,
) -> VerifyReport:
    """Decide a log's journal again and compare.

    from_checkpoint: start each shard that has one at its newest checkpoint. this_engine: compare
    although the log was written by another engine. tolerance: by the contract for numbers from
    other hardware, instead of by bytes; by bytes, the checkpoints on the way are compared with the
    state too. engines: makes each shard's engine.
    Raises OtherEngine (unless this_engine or tolerance), NoCheckpoint, NothingToReplay,
    TimeOutOfRange, LogError.
    """
    comparison: Comparison = Contract() if tolerance else Exact()
    with opened(log) as reader:
        layout = layout_of(reader)
        watch = Watch(reader, layout.shards, progress)
        runs = [
            _Run(reader, engines(shard=shard, shards=layout.shards), comparison, watch)
            for shard in layout.journals
        ]
        for run in runs:
            run.prepare(from_checkpoint=from_checkpoint, any_engine=this_engine or tolerance)
        if from_checkpoint and all(run.from_position < 0 for run in runs):
            raise NoCheckpoint("the log has no checkpoint; verify from the start")
        report = VerifyReport(
            tuple(run.compare() for run in runs),
            "contract" if tolerance else "bytes",
            _misfit(layout),
        )
        _refuse_inputs_alone(reader, report)
        return report


def _misfit(layout: Layout) -> FirstDifference | None:
    """The partitions that are not those of the log's own shards."""
    if not layout.odd:
        return None
    first = layout.odd[0].path.rpartition("/")
    return FirstDifference(
        "partitions", int(first[2]), -1, -1, -1, "layout", layout.odd[:FIELDS_MAX]
    )


def _refuse_inputs_alone(reader: LogReader, report: VerifyReport) -> None:
    """A log that nobody has decided yet is no forgery, and nothing to compare with either."""
    found = report.difference
    if found is not None and found.kind == "missing":
        topics = {topic for topic, _ in reader.partitions()}
        if not topics & {"decisions", "checkpoints"}:
            raise NothingToReplay(NO_DECISIONS)


class _Outputs:
    """A shard's recorded outputs, one after the other. after: one past the last one taken."""

    def __init__(self, records: Iterator[Record], start: int) -> None:
        self._records = records
        self._waiting = next(records, None)
        self.after = start

    def take(self) -> Record | None:
        """The next one, None when there is none any more."""
        taken = self._waiting
        if taken is not None:
            self.after = taken.position + 1
            self._waiting = next(self._records, None)
        return taken

    @property
    def places(self) -> tuple[int, int]:
        """Least and largest position at which the next one may stand: positions may skip."""
        waiting = self._waiting
        return self.after, self.after if waiting is None else waiting.position


class _Run:
    """One shard's verification."""

    def __init__(
        self, reader: LogReader, engine: Engine, comparison: Comparison, watch: Watch
    ) -> None:
        self._reader = reader
        self._shard = engine.state.shard
        self._fold = Fold(reader, engine)
        self._comparison = comparison
        self._watch = watch
        self._states = RecordedStates(reader, self._shard)
        self._any_engine = False
        self.from_position = -1
        self._decisions_from = 0
        self._records = self._outputs = self._decided = 0
        self._last_hash = ""

    def prepare(self, *, from_checkpoint: bool, any_engine: bool) -> None:
        """Check who wrote the log, and go to where the comparison starts."""
        self._any_engine = any_engine
        first = next(iter(self._reader.read("journal", self._shard)), None)
        if first is not None:
            self._check_engine(first)
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
        )

    def _compare(self) -> FirstDifference | None:
        start = self._decisions_from
        recorded = _Outputs(self._reader.read("decisions", self._shard, start), start)
        self._last_hash = self._fold.engine.last_hash
        found = self._state_difference(recorded)
        for record in () if found else self._fold.journal():
            found = self._of_record(record, recorded)
            if found is not None:
                return found
        return found or self._left_over(recorded)

    def _of_record(self, record: Record, recorded: _Outputs) -> FirstDifference | None:
        """Apply one record and compare what it brings about."""
        self._check_engine(record)
        try:
            outputs = self._fold.step(record)
        except WrongShards:
            return self._other_shards(record)
        self._records += 1
        self._watch.saw(record.journal_time)
        return self._first_difference(record, outputs, recorded) or self._state_difference(recorded)

    def _first_difference(
        self, record: Record, outputs: list[bytes], recorded: _Outputs
    ) -> FirstDifference | None:
        """Of one record's outputs."""
        for derived in outputs:
            found = recorded.take()
            if found is None:
                return _difference("missing", self._shard, derived)
            fields = self._differences(found, derived, record.journal_time)
            if fields:
                return _difference("different", self._shard, derived, fields[:FIELDS_MAX])
            self._outputs += 1
            self._decided += derived.startswith(_DECIDED)
        return None

    def _differences(self, found: Record, derived: bytes, time: int) -> tuple[Difference, ...]:
        """Of one output: what it says, whether it follows from the one before, and its time."""
        state = self._fold.engine.state
        fields = self._comparison.differences(found.payload, derived, state)
        if not fields and not self._comparison.exact:
            prev = _head(found.payload).get("prev")
            if prev != self._last_hash:
                fields = (Difference("prev", prev, self._last_hash),)
            self._last_hash = digest(found.payload)
        if found.journal_time != time:
            fields = (*fields, Difference("journal_time", found.journal_time, time))
        return fields

    def _state_difference(self, recorded: _Outputs) -> FirstDifference | None:
        """Where a checkpoint was written at this position and the state is another."""
        if not self._comparison.exact:
            return None
        engine = self._fold.engine
        return self._of_states(self._states.differences(engine, recorded.places))

    def _of_states(self, fields: tuple[Difference, ...]) -> FirstDifference | None:
        if not fields:
            return None
        engine = self._fold.engine
        return FirstDifference(
            "state", self._shard, engine.position, 0, engine.seq, "checkpoint", fields[:FIELDS_MAX]
        )

    def _left_over(self, recorded: _Outputs) -> FirstDifference | None:
        """What the log holds beyond what the journal leads to."""
        extra = recorded.take()
        if extra is not None:
            return _difference("extra", self._shard, extra.payload)
        if not self._comparison.exact:
            return None
        return self._of_states(self._states.left_over(self.from_position))

    def _other_shards(self, record: Record) -> FirstDifference:
        """A journal that is laid out for another number of shards than the log's first."""
        event = decode_journal(record.payload).event
        said = event.shards if isinstance(event, EngineStarted) else None
        engine = self._fold.engine
        fields = (Difference("event.shards", said, engine.state.shards),)
        return FirstDifference(
            "shards", self._shard, record.position, 0, engine.seq, "EngineStarted", fields
        )

    def _check_engine(self, record: Record) -> None:
        if not self._any_engine:
            refuse_other_engine(record)


def _difference(
    kind: str, shard: int, output: bytes, fields: tuple[Difference, ...] = ()
) -> FirstDifference:
    """Placed by the output's own header, which is read as far as it can be."""
    head = _head(output)
    return FirstDifference(
        kind=kind,
        shard=shard,
        position=head.get("position", -1),
        ordinal=head.get("ordinal", -1),
        seq=head.get("seq", -1),
        event=head.get("type", "?"),
        fields=fields,
    )


def _head(output: bytes) -> dict[str, Any]:
    try:
        head = from_json(output)
    except ValueError:
        return {}
    return head if isinstance(head, dict) else {}
