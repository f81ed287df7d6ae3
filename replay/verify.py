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

from pydantic_core import from_json

from coordinator.bootstrap import build_engine
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.engine import Engine
from coordinator.core.fold import Fold, checkpoints
from coordinator.core.ports import LogReader, Record
from replay.comparison import Comparison, Contract, Exact
from replay.divergence import Difference
from replay.errors import NoCheckpoint
from replay.identity import refuse_other_engine
from replay.source import EngineFactory, Progress, Watch, opened, shards_of
from replay.states import RecordedStates
from schemas.decisions import AllocationDecided
from schemas.entries import opening

__all__ = ["FirstDifference", "ShardReport", "VerifyReport", "verify"]

_DECIDED = opening(AllocationDecided)
FIELDS_MAX = 20


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where a shard's recorded outputs and the derived ones part.

    kind: "different", "missing" (derived, not in the log), "extra" (in the log, not derived) or
    "state" (a checkpoint is not the state at its position). position, ordinal, seq: of the output.
    fields: what differs, at most 20.
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
    """Whether the log's decisions follow from its inputs. compared: "bytes" or "contract"."""

    shards: tuple[ShardReport, ...]
    compared: str

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return self.difference is None

    @property
    def difference(self) -> FirstDifference | None:
        """The first difference of the first shard that has one."""
        return next((one.difference for one in self.shards if one.difference is not None), None)


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
    Raises OtherEngine (unless this_engine or tolerance), NoCheckpoint, NothingToReplay, LogError.
    """
    comparison: Comparison = Contract() if tolerance else Exact()
    with opened(log) as reader:
        shards = shards_of(reader)
        watch = Watch(reader, shards, progress)
        runs = [
            _Run(reader, engines(shard=shard, shards=shards), comparison, watch)
            for shard in range(shards)
        ]
        for run in runs:
            run.prepare(from_checkpoint=from_checkpoint, any_engine=this_engine or tolerance)
        if from_checkpoint and all(run.from_position < 0 for run in runs):
            raise NoCheckpoint("the log has no checkpoint; verify from the start")
        return VerifyReport(
            tuple(run.compare() for run in runs), "contract" if tolerance else "bytes"
        )


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
        self._outputs = self._decided = 0

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
        except (CheckpointError, ValueError) as error:
            message = f"shard {self._shard}: {error}; verify from the start"
            raise NoCheckpoint(message) from error
        self._decisions_from = found[1]
        self.from_position = self._fold.engine.position

    def compare(self) -> ShardReport:
        """Feed the journal until its end or the first difference."""
        started = perf_counter()
        records = 0
        recorded = self._recorded()
        difference = None
        for record in self._fold.journal():
            self._check_engine(record)
            outputs = self._fold.step(record)
            records += 1
            self._watch.saw(record.journal_time)
            difference = self._first_difference(outputs, recorded) or self._state_difference()
            if difference is not None:
                break
        else:
            difference = self._left_over(recorded)
        return ShardReport(
            shard=self._shard,
            from_position=self.from_position,
            records=records,
            outputs=self._outputs,
            decisions=self._decided,
            seconds=perf_counter() - started,
            difference=difference,
        )

    def _recorded(self) -> Iterator[bytes]:
        for record in self._reader.read("decisions", self._shard, self._decisions_from):
            if self._comparison.concerns(record.payload):
                yield record.payload

    def _first_difference(
        self, outputs: list[bytes], recorded: Iterator[bytes]
    ) -> FirstDifference | None:
        """Of one record's outputs."""
        for derived in filter(self._comparison.concerns, outputs):
            found = next(recorded, None)
            if found is None:
                return _difference("missing", self._shard, derived)
            fields = self._comparison.differences(found, derived, self._fold.engine.state)
            if fields:
                return _difference("different", self._shard, derived, fields[:FIELDS_MAX])
            self._outputs += 1
            self._decided += derived.startswith(_DECIDED)
        return None

    def _state_difference(self) -> FirstDifference | None:
        """Where a checkpoint was written at this position and the state is another."""
        if not self._comparison.states:
            return None
        engine = self._fold.engine
        fields = self._states.differences(engine)
        if not fields:
            return None
        return FirstDifference(
            "state", self._shard, engine.position, 0, engine.seq, "checkpoint", fields[:FIELDS_MAX]
        )

    def _left_over(self, recorded: Iterator[bytes]) -> FirstDifference | None:
        extra = next(recorded, None)
        return None if extra is None else _difference("extra", self._shard, extra)

    def _check_engine(self, record: Record) -> None:
        if not self._any_engine:
            refuse_other_engine(record)


def _difference(
    kind: str, shard: int, output: bytes, fields: tuple[Difference, ...] = ()
) -> FirstDifference:
    """Placed by the output's own header, which is read as far as it can be."""
    try:
        head = from_json(output)
    except ValueError:
        head = {}
    return FirstDifference(
        kind=kind,
        shard=shard,
        position=head.get("position", -1),
        ordinal=head.get("ordinal", -1),
        seq=head.get("seq", -1),
        event=head.get("type", "?"),
        fields=fields,
    )
