"""The local shell decides what a replay of its inputs decides, and restarts where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.core.engine import EngineSealedError, WrongShards
from coordinator.core.ports import Append, Log
from coordinator.core.route import Router
from coordinator.core.shard import Diverged, OtherBuild
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from coordinator.shells.local import IDLE_TICK, LocalShell
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import decode_journal, decode_output, encode_output
from schemas.journal import ClockTicked, EngineStarted
from tests.journals import HOUR, T0, Input, contents, engine, events_of, run, started
from tests.recorded import end_of, recorded

SHARDS = 3


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


def shell(log: Log, clock: Clock, build: str = "build", *, shards: int = SHARDS) -> LocalShell:
    return LocalShell(
        log,
        shards=shards,
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


def _ends(log: Log) -> dict[tuple[str, int], int]:
    return {key: log.end(*key) for key in log.partitions()}


def test_another_number_of_shards_is_refused_and_leaves_the_log_as_it_was() -> None:
    clock, log = Clock(), MemoryLog(clock=lambda: 0)
    shell(log, clock).start()
    ends = _ends(log)
    for shards in (SHARDS + 2, SHARDS - 1):
        with pytest.raises(WrongShards, match=f"has {SHARDS} shards, not {shards}"):
            shell(log, clock, shards=shards).start()
        assert _ends(log) == ends


def test_another_build_begins_no_missing_journal_where_it_is_refused() -> None:
    clock, log = Clock(), MemoryLog(clock=lambda: 0)
    Router(log, shards=SHARDS).write(started(shards=SHARDS), shards=[1], journal_time=T0)
    ends = _ends(log)
    with pytest.raises(OtherBuild):
        shell(log, clock, build="next").start()
    assert _ends(log) == ends
    shell(log, clock).start()
    assert all(log.end("journal", shard) == 1 for shard in range(SHARDS))


def sealed_halfway(log: Log, clock: Clock, inputs: tuple[Input, ...]) -> LocalShell:
    first = shell(log, clock)
    first.start()
    live(first, clock, inputs[: len(inputs) // 2])
    first.seal("the next one is ready")
    return first


def test_a_sealed_shell_accepts_nothing_more() -> None:
    inputs, clock, log = recorded(4, 2), Clock(), MemoryLog(clock=lambda: 0)
    sealed = sealed_halfway(log, clock, inputs)
    said = contents(log, shards=SHARDS)
    with pytest.raises(EngineSealedError):
        sealed.accept([inputs[-1].raw])
    assert contents(log, shards=SHARDS) == said


def test_the_next_build_goes_on_behind_the_seal(tmp_path: Path) -> None:
    inputs, clock = recorded(4, 2), Clock()
    with SqliteLog(tmp_path / "live.sqlite", clock=clock) as log:
        sealed_halfway(log, clock, inputs)
        for _ in range(2):
            following = shell(log, clock, build="next")
            assert all(r.outputs_missing == 0 for r in following.start())
        live(following, clock, inputs[len(inputs) // 2 :])
        clock.now = end_of(inputs)
        following.tick()
        decided = events_of(log, AllocationDecided, shards=SHARDS)
        assert {e.identity.build for e in decided} == {"build", "next"}
        replayed = run(inputs, shards=SHARDS, end=end_of(inputs))
        usual = events_of(replayed, AllocationDecided, shards=SHARDS)
        assert [e.trades for e in decided] == [e.trades for e in usual]
        with pytest.raises(OtherBuild):
            shell(log, clock).start()


def appended(log: Log, inputs: tuple[Input, ...]) -> None:
    """By somebody who does not know of the seal."""
    Router(log, shards=SHARDS).accept(
        [one.raw for one in inputs], journal_times=[one.at for one in inputs]
    )


def test_what_was_appended_behind_the_seal_is_decided_by_the_next_build(tmp_path: Path) -> None:
    inputs, clock = recorded(4, 2), Clock()
    half = len(inputs) // 2
    late, rest = inputs[half : half + 24], inputs[half + 24 :]
    with SqliteLog(tmp_path / "live.sqlite", clock=clock) as log:
        sealed = sealed_halfway(log, clock, inputs)
        seals = {shard: log.end("journal", shard) - 1 for shard in range(SHARDS)}
        with pytest.raises(EngineSealedError):
            sealed.accept([late[0].raw])
        appended(log, late[1:])
        clock.now = late[-1].at
        following = shell(log, clock, build="next")
        assert [found.records for found in following.start()] == [0] * SHARDS
        for shard, seal in seals.items():
            behind = list(log.read("journal", shard, seal + 1))
            kinds = [type(decode_journal(record.payload).event) for record in behind]
            assert kinds.index(EngineStarted) == len(kinds) - 1 > 0
        live(following, clock, rest)
        clock.now = end_of(inputs)
        following.tick()
        decided = [e.identity.build for e in events_of(log, AllocationDecided, shards=SHARDS)]
        assert decided.count("next") > 3
        again = shell(log, clock, build="next").start()
        assert all(found.outputs_missing == 0 for found in again)
        assert sum(found.outputs_equal for found in again) > decided.count("next")


def test_where_a_third_build_went_on_behind_the_seal_nothing_is_said() -> None:
    inputs, clock, log = recorded(4, 2), Clock(), MemoryLog(clock=lambda: 0)
    sealed_halfway(log, clock, inputs)
    appended(log, inputs[len(inputs) // 2 :])
    third = started(end_of(inputs), "third", shards=SHARDS)
    Router(log, shards=SHARDS).write(third, shards=range(SHARDS), journal_time=end_of(inputs))
    ends = _ends(log)
    with pytest.raises(OtherBuild, match="build third decides here"):
        shell(log, clock, build="next").start()
    assert _ends(log) == ends
    shell(log, clock, build="third").start()


def test_what_was_said_behind_a_seal_that_nobody_passed_is_a_difference() -> None:
    inputs, clock, log = recorded(4, 2), Clock(), MemoryLog(clock=lambda: 0)
    sealed_halfway(log, clock, inputs)
    ends = _ends(log)
    *_, last = log.read("decisions", 0)
    entry = decode_output(last.payload)
    more = encode_output(entry.position + 1, 0, entry.seq + 1, digest(last.payload), entry.event)
    log.append([Append("decisions", 0, more, last.journal_time)])
    with pytest.raises(Diverged, match="the journal does not explain"):
        shell(log, clock, build="next").start()
    assert log.end("journal", 0) == ends["journal", 0]


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
