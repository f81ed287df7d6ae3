"""Verify: decide a recorded journal again and compare every output with the recorded one.

Place in the flow: the proof that a log's decisions follow from its inputs. Reads any log; writes
nothing. It must never take an output from the log into the engine: the engine sees the journal
alone. Because every entry names the hash of the one before, equal bytes also prove the chain: no
gap, no repeat, no change.
"""

from __future__ import annotations

from pathlib import Path

from coordinator.core.ports import LogReader
from coordinator.shells.forked import engine_on_cores
from replay.comparison import Comparison, Exact
from replay.contract import Contract
from replay.errors import NoCheckpoint, NothingToReplay
from replay.reported import (
    FIELDS_MAX,
    FirstDifference,
    RangeReport,
    Result,
    ShardReport,
    VerifyReport,
)
from replay.shard_check import ShardCheck
from replay.source import (
    NO_DECISIONS,
    EngineFactory,
    Layout,
    Progress,
    Watch,
    layout_of,
    opened,
)

__all__ = ["FirstDifference", "RangeReport", "Result", "ShardReport", "VerifyReport", "verify"]


def verify(
    log: LogReader | str | Path,
    *,
    from_checkpoint: bool = False,
    this_engine: bool = False,
    tolerance: bool = False,
    progress: Progress | None = None,
    engines: EngineFactory = engine_on_cores,
) -> VerifyReport:
    """Decide a log's journal again and compare.

    Another engine's ranges, from its EngineStarted to the seal, are left out, and the report says
    so; ours behind them start from the state that the other left at its seal.
    from_checkpoint: start each shard that has one at its newest checkpoint. this_engine: compare
    although the log was written by another engine. tolerance: by the contract for numbers from
    other hardware, instead of by bytes; by bytes, the checkpoints on the way are compared with the
    state too. engines: makes each shard's engine.
    Raises NoCheckpoint, NothingToReplay, TimeOutOfRange, LogError.
    """
    comparison: Comparison = Contract() if tolerance else Exact()
    with opened(log) as reader:
        layout = layout_of(reader)
        watch = Watch(reader, layout.shards, progress)
        runs = [
            ShardCheck(reader, engines(shard=shard, shards=layout.shards), comparison, watch)
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
            tuple(one for run in runs for one in run.ranges),
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
    if found is not None and found.kind in {"missing", "unsaid"}:
        topics = {topic for topic, _ in reader.partitions()}
        if not topics & {"decisions", "checkpoints"}:
            raise NothingToReplay(NO_DECISIONS)
