"""The local shell decides what a replay of its inputs decides, and restarts where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.core.ports import Log
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from coordinator.core.shard import OtherBuild
from coordinator.shells.local import IDLE_TICK, LocalShell
from schemas.decisions import AllocationDecided
from schemas.entries import decode_journal
from schemas.journal import ClockTicked
from tests.journals import HOUR, T0, Input, contents, engine, events_of, run, started
from tests.recorded import end_of, recorded

SHARDS = 3


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


def shell(log: Log, clock: Clock, build: str = "build") -> LocalShell:
    return LocalShell(
        log,
        shards=SHARDS,
        clock=clock,
        engines=engine,
        started=lambda *, at, shards: started(at, build, shards=shards),
    )


def live(running: LocalShell, clock: Clock, inputs: tuple[Input, ...]) -> None:
    """Time passes: the shell is called whenever it asked to be, and for each message."""
    for one in inputs:
        due = running.tick()
        while due is not None and due <= one.at:
            clock.now = due
            due = running.tick()
        clock.now = one.at
        running.accept([one.raw])


def test_live_decides_what_a_replay_of_the_same_inputs_decides() -> None:
    inputs = recorded(3, 2)
    clock, log = Clock(), MemoryLog(clock=lambda: 0)
    running = shell(log, clock)
    running.start()
    live(running, clock, inputs)
    clock.now = end_of(inputs)
    running.tick()
    replayed = run(inputs, shards=SHARDS, end=end_of(inputs))
    assert events_of(log, AllocationDecided, shards=SHARDS)
    assert contents(log, shards=SHARDS) == contents(replayed, shards=SHARDS)


@pytest.mark.parametrize("graceful", [True, False])
def test_a_restart_in_the_middle_changes_no_decision(tmp_path: Path, *, graceful: bool) -> None:
    inputs = recorded(4, 2)
    middle, clock = len(inputs) // 2, Clock()
    with SqliteLog(tmp_path / "live.sqlite", clock=clock) as log:
        running = shell(log, clock)
        running.start()
        live(running, clock, inputs[:middle])
        if graceful:
            running.stop()
    with SqliteLog(tmp_path / "live.sqlite", clock=clock) as log:
        running = shell(log, clock)
        found = running.start()
        assert all((r.from_position >= 0) == graceful for r in found)
        assert all(r.outputs_missing == 0 for r in found)
        live(running, clock, inputs[middle:])
        clock.now = end_of(inputs)
        running.tick()
        replayed = run(inputs, shards=SHARDS, end=end_of(inputs))
        assert contents(log, shards=SHARDS) == contents(replayed, shards=SHARDS)


def test_another_build_is_refused_before_it_says_anything() -> None:
    clock, log = Clock(), MemoryLog(clock=lambda: 0)
    shell(log, clock).start()
    ends = {key: log.end(*key) for key in log.partitions()}
    with pytest.raises(OtherBuild, match="build build decides here"):
        shell(log, clock, build="next").start()
    assert {key: log.end(*key) for key in log.partitions()} == ends


def test_an_idle_shard_is_told_the_time() -> None:
    clock, log = Clock(), MemoryLog(clock=lambda: 0)
    running = shell(log, clock)
    running.start()
    running.tick()
    clock.now = T0 + IDLE_TICK
    running.tick()
    for shard in range(SHARDS):
        events = [decode_journal(r.payload).event for r in log.read("journal", shard)]
        assert [type(event) for event in events[1:]] == [ClockTicked]


def test_messages_are_durable_and_decided_when_accept_returns() -> None:
    inputs = recorded(5, 1)
    clock, log = Clock(), MemoryLog(clock=lambda: 0)
    running = shell(log, clock)
    running.start()
    clock.now = T0 + HOUR
    counts = running.accept([one.raw for one in inputs])
    assert counts.routed + counts.dead == len(inputs)
    assert sum(log.end("journal", shard) for shard in range(SHARDS)) > SHARDS
