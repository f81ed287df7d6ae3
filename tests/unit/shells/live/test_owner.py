"""Owner: recovers, applies, reads what was not delivered, halts on a difference, waits its turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append, Record
from coordinator.core.route import Router
from coordinator.core.shard import Diverged, OtherBuild, Shard
from coordinator.log.errors import LogUnavailable
from coordinator.log.memory import MemoryLog
from coordinator.shells.live import owner as module
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.observing import Observer
from coordinator.shells.live.owner import Owner, OwnerSettings, Phase
from coordinator.shells.live.pacing import Pace
from coordinator.shells.live.remote_engine import Replaced
from coordinator.telemetry.metrics import Metrics
from schemas.entries import GENESIS, decode_output, encode_output
from schemas.journal import EngineSealed
from schemas.verdicts import ClockJumped
from tests.journals import HOUR, Inputs, engine, outputs, started
from tests.unit.shells.live.fakes import FakeLog

WITHIN_S = 20.0


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.005)


class Bench:
    """One shard's owner on a log in memory, and what a router and a delivery would do."""

    def __init__(self) -> None:
        self.memory = MemoryLog()
        self.make = Inputs()
        self.refusals: list[str] = []
        self.logs: list[FakeLog] = []
        self.owners: list[Owner] = []
        self.metrics = Metrics()

    def owner(
        self,
        *,
        build: str = "build",
        pace: Pace | None = None,
        broker_time: BrokerTime | None = None,
        **settings: Any,
    ) -> Owner:
        told = {"queue_records_max": 1_000, "checkpoint_decisions": 500, "checkpoint_s": 600.0}
        made = Owner(
            0,
            open_log=self._open,  # type: ignore[arg-type] # what an owner uses of it
            engine=lambda: engine(0, 1),
            started=lambda at: started(at, build),
            settings=OwnerSettings(**(told | settings)),
            observer=Observer(0, self.metrics),
            pace=pace,
            broker_time=broker_time,
        )
        self.owners.append(made)
        return made

    def _open(self) -> FakeLog:
        log = FakeLog(self.memory, refuse=self._refuse)
        self.logs.append(log)
        return log

    def _refuse(self, what: str) -> None:
        if self.refusals and what.startswith(self.refusals[0]):
            self.refusals.pop(0)
            raise LogUnavailable("fake", "away")

    def running(self, **settings: Any) -> Owner:
        made = self.owner(**settings)
        made.start()
        until(lambda: made.phase is Phase.RUNNING, f"{made.phase}: {made.reason}")
        return made

    def lay(self, *names: str) -> list[Record]:
        """A few records; with an unknown source each, every one of them is answered."""
        before = self.memory.end("journal", 0)
        raws = [self.make.signal(name, "A", time.time_ns()).raw for name in names or "abc"]
        Router(self.memory, shards=1).accept(raws)
        return list(self.memory.read("journal", 0, before))

    def write(self, event: Any) -> None:
        Router(self.memory, shards=1).write(event, shards=[0], journal_time=None)

    def seal(self) -> None:
        now = time.time_ns()
        self.write(EngineSealed(event_id=f"seal {now}", event_time=now, reason="test"))

    def said(self) -> int:
        return self.memory.end("decisions", 0)

    def audit(self) -> None:
        """Another owner finds every output there, and nothing else."""
        found = Shard(self.memory, engine(0, 1)).recover()
        assert found.outputs_missing == 0


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for owner in made.owners:
        owner.stop()
    for owner in made.owners:
        if owner._thread.ident is not None:
            assert owner.join(WITHIN_S)


def ended(owner: Owner) -> Owner:
    owner.stop()
    assert owner.join(WITHIN_S)
    return owner


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


def wrong_by(nanoseconds: int) -> BrokerTime:
    """What a machine believes whose clock is wrong by so much."""
    guess = time.time_ns() + nanoseconds
    return BrokerTime(guess=lambda: guess)


@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_an_idle_shard_is_told_the_time_whatever_its_machines_clock_says(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    monkeypatch.setattr("coordinator.shells.live.timing.IDLE_TICK", 50_000_000)
    bench.running(broker_time=wrong_by(wrong))
    end, began = bench.memory.end("journal", 0), time.monotonic()
    until(lambda: bench.memory.end("journal", 0) > end + 4, "ticks")
    assert bench.memory.end("journal", 0) - end < 2 + (time.monotonic() - began) / 0.05 * 2


class Heard(Pace):
    """Notes how long records are said to have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0

    def waited(self, nanoseconds: int) -> None:
        self.longest = max(self.longest, nanoseconds)


@pytest.mark.parametrize("wrong", [0, HOUR])
def test_a_clock_that_is_ahead_makes_no_record_wait(bench: Bench, wrong: int) -> None:
    pace = Heard()
    owner = bench.running(pace=pace, broker_time=wrong_by(wrong))
    for _ in range(20):
        owner.deliver(*bench.lay())
        time.sleep(0.01)
    until(lambda: bench.said() == 60, "sixty")
    assert 0 < pace.longest < WITHIN_S * 1_000_000_000


def test_a_repeat_has_not_waited(bench: Bench) -> None:
    pace = Heard()
    owner = bench.running(pace=pace)
    records = bench.lay()
    owner.deliver(*records)
    until(lambda: bench.said() == 3, "three")
    time.sleep(1.0)
    pace.longest = 0
    owner.deliver(*records)
    owner.deliver(*bench.lay())
    until(lambda: bench.said() == 6, "six")
    assert pace.longest < 900_000_000
