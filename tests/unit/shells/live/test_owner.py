"""Owner: recovers, applies, reads what was not delivered, halts on a difference, waits its turn."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append
from coordinator.core.shard import Diverged, OtherBuild, Shard
from coordinator.shells.live import owner as module
from coordinator.shells.live.owner import Phase
from coordinator.shells.live.remote_engine import Replaced
from schemas.entries import GENESIS, decode_output, encode_output
from schemas.verdicts import ClockJumped
from tests.journals import engine, outputs, started
from tests.unit.shells.live.owning import WITHIN_S, Bench, ended, until


def test_an_empty_journal_is_begun_and_what_is_delivered_is_answered(bench: Bench) -> None:
    owner = bench.running()
    for record in bench.lay():
        owner.deliver(record)
    until(lambda: bench.said() == 3, "three answers")
    assert ended(owner).phase is Phase.STOPPED
    assert owner.position == bench.memory.end("journal", 0) - 1
    assert bench.logs[-1].closed == 1
    bench.audit()


def test_what_stands_there_is_applied_and_what_was_said_is_not_said_again(bench: Bench) -> None:
    bench.write(started())
    bench.lay()
    Shard(bench.memory, engine(0, 1)).recover()
    bench.lay()
    owner = bench.running()
    until(lambda: bench.said() == 6, "three more")
    ended(owner)
    assert [entry.seq for entry in outputs(bench.memory)] == list(range(6))


def test_repeats_are_passed_over_and_holes_read(bench: Bench) -> None:
    owner = bench.running()
    records = bench.lay("a", "b", "c", "d", "e", "f")
    for record in (records[0], records[0], records[4], records[1], records[4], records[5]):
        owner.deliver(record)
    until(lambda: bench.said() == 6, "each once")
    ended(owner)
    bench.audit()


def test_what_found_no_room_is_read_again(bench: Bench) -> None:
    owner = bench.running(queue_records_max=1)
    for record in bench.lay(*"abcdefghijkl"):
        owner.deliver(record)
    until(lambda: bench.said() == 12, "all of them")


def test_a_shard_to_which_nothing_is_delivered_looks_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_FOR_MORE_S", 0.05)
    bench.running()
    bench.lay()
    until(lambda: bench.said() == 3, "found by itself")


def test_a_stop_amid_a_hole_leaves_the_rest_and_jumps_over_nothing(bench: Bench) -> None:
    owner = bench.running()
    records = bench.lay(*"abcdefgh")
    read = owner._read_on

    def stopped(*args: Any) -> int:
        owner._stopping.set()
        return read(*args)

    owner._read_on = stopped  # type: ignore[method-assign,assignment] # the stop comes right then
    owner.deliver(records[-1])
    assert owner.join(WITHIN_S)
    assert (owner.phase, owner.position) == (Phase.STOPPED, records[0].position - 1)
    again = bench.running()
    until(lambda: bench.said() == 8, "the rest")
    ended(again)
    bench.audit()


def test_a_stop_amid_a_recovery_is_no_divergence(bench: Bench) -> None:
    bench.write(started())
    bench.lay(*"abcdefgh")
    Shard(bench.memory, engine(0, 1)).recover()
    owner = bench.owner()
    apply = owner._apply

    def stopped(*args: Any) -> None:
        apply(*args)
        owner._stopping.set()

    owner._apply = stopped  # type: ignore[method-assign,assignment] # as above
    owner.start()
    assert owner.join(WITHIN_S)
    assert (owner.phase, owner.fault) == (Phase.STOPPED, None)
    assert bench.said() == 8


def test_another_output_in_the_log_halts_and_is_counted(bench: Bench) -> None:
    bench.write(started())
    bench.lay("a")
    jump = ClockJumped(decided_at=1, previous=1, step_ms=5)
    bench.memory.append([Append("decisions", 0, encode_output(1, 0, 0, GENESIS, jump))])
    owner = bench.owner()
    owner.start()
    assert owner.join(WITHIN_S)
    assert owner.phase is Phase.HALTED
    assert isinstance(owner.fault, Diverged)
    assert b'coordinator_divergence_total{shard="0"} 1.0' in bench.metrics.render()


def test_a_zombies_other_output_while_it_runs_halts(bench: Bench) -> None:
    owner = bench.running()
    for record in bench.lay("a"):
        owner.deliver(record)
    until(lambda: bench.said() == 1, "one answer")
    (first,) = bench.memory.read("decisions", 0)
    said = decode_output(first.payload)
    jump = ClockJumped(decided_at=1, previous=1, step_ms=5)
    other = encode_output(said.position, said.ordinal, said.seq, said.prev, jump)
    bench.memory.append([Append("decisions", 0, other)])
    for record in bench.lay("b"):
        owner.deliver(record)
    assert owner.join(WITHIN_S)
    assert isinstance(owner.fault, Diverged)


def test_one_that_has_a_successor_ends_and_says_nothing_more(bench: Bench) -> None:
    """Its shard was given away while it hung, and came back to this worker."""
    owner = bench.running()

    def refused(*_: Any) -> Any:
        raise Replaced("shard 0 has another owner in this worker now")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shard, "step", refused)
        for record in bench.lay("a"):
            owner.deliver(record)
        assert owner.join(WITHIN_S)
    assert (owner.phase, owner.fault) == (Phase.STOPPED, None)
    assert "another owner" in owner.reason
    assert bench.said() == 0
    bench.running()
    until(lambda: bench.said() == 1, "its successor answers")
    bench.audit()


@pytest.mark.parametrize("what", ["end", "read decisions", "read journal", "append"])
def test_a_log_that_is_away_is_waited_for_and_nothing_is_lost_or_doubled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.01, 0.02))
    bench.write(started())
    bench.lay()
    bench.refusals = [what, what]
    owner = bench.running()
    for record in bench.lay():
        owner.deliver(record)
    until(lambda: bench.said() == 6, "all of them")
    assert bench.refusals == []
    ended(owner)
    assert [entry.seq for entry in outputs(bench.memory)] == list(range(6))


def test_a_send_that_fails_amid_serving_begins_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.01, 0.02))
    owner = bench.running()
    bench.refusals = ["append"]
    for record in bench.lay():
        owner.deliver(record)
    until(lambda: bench.said() == 3 and owner.phase is Phase.RUNNING, "again")
    assert len(bench.logs) == 2
    assert bench.logs[0].closed == 1


def test_another_builds_journal_is_not_gone_on_with(bench: Bench) -> None:
    bench.write(started(build="theirs"))
    owner = bench.owner()
    owner.start()
    assert owner.join(WITHIN_S)
    assert isinstance(owner.fault, OtherBuild)
    assert bench.said() == 0


def test_a_seal_ends_the_shard_with_a_checkpoint_and_only_the_next_build_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_FOR_MORE_S", 0.05)
    owner = bench.running()
    bench.lay()
    bench.seal()
    assert owner.join(WITHIN_S)
    assert (owner.phase, bench.said()) == (Phase.SEALED, 3)
    ((_, next_output),) = checkpoints(bench.memory, 0)
    assert next_output == 3
    same = bench.owner()
    same.start()
    assert same.join(WITHIN_S)
    assert same.phase is Phase.HALTED
    assert "sealed for another build" in same.reason
    bench.lay()
    ended(bench.running(build="next"))
    until(lambda: bench.said() == 6, "behind the seal")
    ended(bench.running(build="next"))
    assert bench.said() == 6


def test_the_sealed_build_goes_on_when_told_so_and_again_after_a_crash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_FOR_MORE_S", 0.05)
    bench.write(started())
    bench.lay()
    bench.seal()
    owner = bench.running(unseal=True)
    bench.lay()
    until(lambda: bench.said() == 6, "behind the seal")
    ended(owner)
    # No checkpoint was written: the next one reads through the seal, and needs not be told.
    assert bench.memory.end("checkpoints", 0) == 0
    ended(bench.running())
    assert bench.said() == 6


def test_checkpoints_come_by_time_and_older_ones_go(bench: Bench) -> None:
    bench.running(checkpoint_s=0.01)
    bench.lay()
    until(lambda: len(bench.logs[-1].truncated) >= 2, "checkpoints")
    first, second = bench.logs[-1].truncated[:2]
    assert first == ("checkpoints", 0, 1)
    assert second == ("checkpoints", 0, 2)


def test_all_that_is_acknowledged_is_counted_also_what_a_checkpoint_waited_for(
    bench: Bench,
) -> None:
    owner = bench.running(checkpoint_s=0.01)
    for _ in range(20):
        for record in bench.lay():
            owner.deliver(record)
    until(lambda: bench.said() == 60, "sixty")
    ended(owner)
    assert b'coordinator_records_total{stage="published"} 60.0' in bench.metrics.render()


def test_a_tick_behind_what_is_not_delivered_yet_is_not_said_again_and_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_FOR_MORE_S", 0.4)
    monkeypatch.setattr("coordinator.shells.live.timing.IDLE_TICK", 10_000_000)
    owner = bench.running()
    end = bench.memory.end("journal", 0)
    bench.lay("a")
    until(lambda: bench.said() == 1, "found by itself")
    ended(owner)
    assert bench.memory.end("journal", 0) - end < 200
