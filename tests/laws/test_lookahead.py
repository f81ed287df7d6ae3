"""No look-ahead: whatever comes after a time t, decisions and fills up to t stay as they were."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.core.ports import Append, LogReader, Record
from coordinator.log.memory import MemoryLog
from replay.backtest import run_backtest
from replay.perturb import cut_off, perturbed
from schemas.entries import decode_output
from tests.unit.replay.worlds import DAY, START, input_log, journal

SESSIONS = 3
SHARDS = 2


def played(log: LogReader) -> MemoryLog:
    out = MemoryLog(clock=lambda: 0)
    run_backtest(log, out)
    return out


def history(log: LogReader, until: int) -> list[bytes]:
    """What was said, and filled, up to a time; entries whole, so positions and hashes count too."""
    outputs = [
        record.payload
        for shard in range(SHARDS)
        for record in log.read("decisions", shard)
        if decode_output(record.payload).event.decided_at <= until  # type: ignore[attr-defined] # outputs only
    ]
    fills = [
        record.payload
        for shard in range(SHARDS)
        for record, entry in journal(log, shard)
        if entry.stamp.topic_id == "sim" and record.journal_time <= until
    ]
    return outputs + fills


WORLDS = {seed: input_log(shards=SHARDS, sessions=SESSIONS, seed=seed) for seed in (1, 2)}
RUNS: dict[int, MemoryLog] = {}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(sorted(WORLDS)),
    at=st.integers(START, START + (SESSIONS + 1) * DAY),
    change=st.sampled_from([perturbed, cut_off]),
)
def test_no_decision_or_fill_depends_on_what_comes_later(
    seed: int, at: int, change: Callable[[Record], Record]
) -> None:
    world = WORLDS[seed]
    if seed not in RUNS:
        RUNS[seed] = played(world)
    other = MemoryLog(clock=lambda: 0)
    for shard in range(SHARDS):
        for record in world.read("journal", shard):
            seen = record if record.journal_time <= at else change(record)
            other.append([Append("journal", shard, seen.payload, seen.journal_time)])
    assert history(played(other), at) == history(RUNS[seed], at)
