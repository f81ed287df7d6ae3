"""Backtest: reads one log and writes another, with decisions and simulated fills in it.

Place in the flow: what-if replay. Inputs are the exogenous events of a log; everything that
answers our own decisions is made anew by the simulated market. The written log is complete by
itself: verify reads it alone. It must never leave a half-written log under the name that was asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from coordinator.bootstrap import engine_started
from coordinator.core.ports import Append, Log, LogReader
from coordinator.log.lock import WriterLock
from coordinator.log.sqlite import SqliteLog
from coordinator.log.url import local_paths
from coordinator.shells.forked import engine_on_cores
from replay.player import Played, ShardPlayer
from replay.source import EngineFactory, Progress, Watch, opened, shards_of, span
from replay.targets import is_log, refuse_target, written_beside

__all__ = ["BacktestSummary", "backtest", "run_backtest"]


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """What a backtest did; counts are of records, over all shards.

    fills: answers of the simulated market, cancellations included. decision_seconds: wall time of
    each decision, sorted. feedback_dropped, clock_dropped: what belonged to the run that the input
    was recorded in.
    """

    shards: int
    first_time: int
    last_time: int
    inputs: int
    dead_letters: int
    feedback_dropped: int
    clock_dropped: int
    ticks: int
    fills: int
    outputs: int
    decisions: int
    seconds: float
    decision_seconds: tuple[float, ...]

    def decision_ms(self, share: float) -> float | None:
        """Decision time in ms that this share (0 to 1) of the decisions did not exceed."""
        if not self.decision_seconds:
            return None
        index = min(int(share * len(self.decision_seconds)), len(self.decision_seconds) - 1)
        return 1_000 * self.decision_seconds[index]


def backtest(
    log: LogReader | str | Path,
    out: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> BacktestSummary:
    """Play a log's inputs into a new SQLite log at `out`.

    log: a path, or a reader that stays the caller's. force: replace what stands at `out`.
    Raises OutputExists, NothingToReplay, LogError; nothing is left at `out` then.
    """
    target = Path(out)
    source = local_paths(log) if isinstance(log, str | Path) else ()
    refuse_target(target, force=force, ours=is_log, others=source, option="--out")
    with (
        _locked(target),
        opened(log) as reader,
        written_beside(target) as path,
        closing(SqliteLog(path, durable=False)) as written,
    ):
        return run_backtest(reader, written, progress=progress)


def run_backtest(
    inputs: LogReader,
    out: Log,
    *,
    progress: Progress | None = None,
    engines: EngineFactory = engine_on_cores,
) -> BacktestSummary:
    """Play the exogenous inputs of one log into another, which must be empty.

    After the last input of the whole log, ticks go on until the rounds that it may have opened have
    closed (one window and one round spacing). engines: makes each shard's engine.
    Raises NothingToReplay when the inputs hold no journal.
    """
    started = perf_counter()
    shards = shards_of(inputs)
    first, last = span(inputs)
    watch = Watch(inputs, shards, progress)
    played = []
    for shard in range(shards):
        start = engine_started(at=first, shards=shards)
        player = ShardPlayer(engines(shard=shard, shards=shards), out=out, start=start)
        for record in inputs.read("journal", shard):
            player.play(record)
            watch.saw(record.journal_time)
        player.settle(last)
        played.append(player.played)
    dead = sum(_copy(inputs, out, topic, shard) for topic, shard in _dead_letters(inputs))
    return _summary(played, (first, last), dead=dead, seconds=perf_counter() - started)


def _summary(
    played: list[Played], times: tuple[int, int], *, dead: int, seconds: float
) -> BacktestSummary:
    return BacktestSummary(
        shards=len(played),
        first_time=times[0],
        last_time=times[1],
        inputs=sum(one.inputs for one in played),
        dead_letters=dead,
        feedback_dropped=sum(one.feedback_dropped for one in played),
        clock_dropped=sum(one.clock_dropped for one in played),
        ticks=sum(one.ticks for one in played),
        fills=sum(one.fills for one in played),
        outputs=sum(one.outputs for one in played),
        decisions=sum(one.decisions for one in played),
        seconds=seconds,
        decision_seconds=tuple(sorted(time for one in played for time in one.decision_seconds)),
    )


def _dead_letters(inputs: LogReader) -> Iterator[tuple[str, int]]:
    return (one for one in inputs.partitions() if one[0].endswith(".dlq"))


def _copy(inputs: LogReader, out: Log, topic: str, shard: int) -> int:
    """Copy a topic as it is; returns the number of records."""
    count = 0
    for record in inputs.read(topic, shard):
        out.append([Append(topic, shard, record.payload, record.journal_time)])
        count += 1
    return count


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Nobody else writes the target meanwhile. Raises LogLocked."""
    lock = WriterLock(target, _beside(target, ".lock"))
    try:
        yield
    finally:
        lock.release()
