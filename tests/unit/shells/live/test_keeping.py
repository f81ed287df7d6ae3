"""Which checkpoints stay: the newest two, and the state at the last seal for those who verify."""

from __future__ import annotations

import gc
import time
import weakref
from dataclasses import dataclass
from itertools import count

import pytest

from coordinator.core.checkpoint import checkpoint_position, is_sealed
from coordinator.core.fold import checkpoints
from coordinator.core.ports import Record
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.errors import LogUnavailable
from coordinator.log.memory import MemoryLog
from coordinator.shells.live.keeping import CARRY_AFTER, KEPT, Checkpoints, Kept, sooner
from replay.verify import Result, verify
from schemas.journal import EngineSealed
from tests.journals import DAY, HOUR, T0, engine, tick_all, zero_clock
from tests.support.cut_log import CutLog
from tests.unit.replay.sealed_runs import OURS, Build, lived_by
from tests.unit.shells.live.fakes import HeldLog

OLD, NEW = Build("old"), Build(OURS)


@dataclass
class Owner:
    """What an owner does with its checkpoints, for both shards of a log."""

    log: CutLog
    shards: list[Shard]
    kept: list[Kept]

    def decide_and_checkpoint(self, hour: int) -> None:
        tick_all(self.log, shards=2, at=T0 + DAY + hour * HOUR)
        for shard, kept in zip(self.shards, self.kept, strict=True):
            shard.pump()
            kept.wrote(self.log, shard.checkpoint(), sealed=shard.engine.state.sealed)


def owner_of(log: CutLog) -> Owner:
    """One that has just recovered."""
    started = NEW.started(at=T0 + DAY, shards=2)
    shards = [Shard(log, engine(n, 2), checkpoint_every=1 << 60, ours=started) for n in (0, 1)]
    kept = [Kept(n) for n in (0, 1)]
    for shard, one in zip(shards, kept, strict=True):
        shard.behind_seal = True
        shard.recover()
        shard.behind_seal = False
        one.find(log)
    return Owner(log, shards, kept)


@pytest.fixture
def log() -> CutLog:
    """Sealed by another build; ours has started behind the seal."""
    skipping = MemoryLog(clock=zero_clock, skip=lambda position: position + position % 2)
    lived = CutLog(lived_by([OLD], skipping, sealed=True))
    at = T0 + DAY
    Router(lived, shards=2).write(NEW.started(at=at, shards=2), shards=[0, 1], journal_time=at)
    return lived


def there(log: CutLog, shard: int) -> list[Record]:
    return list(log.read("checkpoints", shard))


def seals(log: CutLog, shard: int) -> list[bytes]:
    bodies = [record.payload.partition(b"\n")[2] for record in there(log, shard)]
    return [body for body in bodies if is_sealed(body)]


def test_the_state_at_the_seal_stays_however_many_follow(log: CutLog) -> None:
    (wanted,), (other,) = seals(log, 0), seals(log, 1)
    owner = owner_of(log)
    for hour in range(1, 4 * CARRY_AFTER):
        owner.decide_and_checkpoint(hour)
        assert seals(log, 0)[-1] == wanted
        assert seals(log, 1)[-1] == other
        assert len(there(log, 0)) <= CARRY_AFTER + 2
        (newest, _), *_ = checkpoints(log, 0)
        assert checkpoint_position(newest) == owner.shards[0].engine.position
    assert log.begin("checkpoints", 0) > 2 * CARRY_AFTER
    report = verify(log)
    assert [one.result for one in report.ranges] == [Result.OTHER_ENGINE, Result.IDENTICAL] * 2
    assert report.difference is None


def test_no_recovery_begins_at_a_state_that_was_carried_on(log: CutLog) -> None:
    owner = owner_of(log)
    hours = count(1)
    seal = there(log, 0)[-1].position
    while log.begin("checkpoints", 0) <= seal:
        owner.decide_and_checkpoint(next(hours))
    last = there(log, 0)[-1]
    assert is_sealed(last.payload.partition(b"\n")[2])
    assert owner_of(log).shards[0].engine.position == owner.shards[0].engine.position
    found = [checkpoint_position(body) for body, _ in checkpoints(log, 0)]
    assert len(found) == KEPT
    assert found[0] == owner.shards[0].engine.position


def test_an_owner_that_died_before_it_deleted_loses_nothing(
    log: CutLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> int:
        raise InterruptedError

    (wanted,) = seals(log, 0)
    owner = owner_of(log)
    with monkeypatch.context() as patched:
        patched.setattr(log, "truncate", killed)
        for hour in range(1, CARRY_AFTER):
            owner.decide_and_checkpoint(hour)
        with pytest.raises(InterruptedError):
            owner.decide_and_checkpoint(CARRY_AFTER)
    assert seals(log, 0) == [wanted, wanted]
    again = owner_of(log)
    for hour in range(50, 50 + 2 * CARRY_AFTER):
        again.decide_and_checkpoint(hour)
    assert set(seals(log, 0)) == {wanted}
    assert len(there(log, 0)) <= CARRY_AFTER + 2
    assert verify(log).difference is None


def test_what_earlier_owners_left_goes_once_there_are_two_of_ours() -> None:
    log = CutLog(lived_by([NEW], MemoryLog(clock=zero_clock)))
    for _ in range(5):
        owner_of(log).decide_and_checkpoint(1)
    assert len(there(log, 0)) > KEPT
    owner = owner_of(log)
    for hour in (2, 3):
        owner.decide_and_checkpoint(hour)
    assert len(there(log, 0)) == KEPT


def test_a_seal_of_ones_own_takes_the_place_of_the_one_before(log: CutLog) -> None:
    (before,) = seals(log, 0)
    owner = owner_of(log)
    owner.decide_and_checkpoint(1)
    at = T0 + DAY + 2 * HOUR
    event = EngineSealed(event_id="again", event_time=at)
    Router(log, shards=2).write(event, shards=[0, 1], journal_time=at)
    for shard, kept in zip(owner.shards, owner.kept, strict=True):
        shard.pump()
        assert shard.engine.state.sealed
        for _ in range(CARRY_AFTER):
            kept.wrote(log, shard.checkpoint(), sealed=True)
    assert before not in seals(log, 0)
    assert len(seals(log, 0)) >= 1


@pytest.fixture
def held() -> HeldLog:
    """One shard that has decided; appends arrive when told so."""
    lived = lived_by([NEW], MemoryLog(clock=zero_clock))
    assert isinstance(lived, MemoryLog)
    return HeldLog(lived)


def recovered(log: HeldLog) -> Shard:
    shard = Shard(log, engine(0, 2), checkpoint_every=1 << 60)
    shard.recover()
    return shard


def test_a_shard_goes_on_while_its_state_is_on_its_way(held: HeldLog) -> None:
    shard = recovered(held)
    took: list[float] = []
    writing = Checkpoints(held, shard, took=took.append)
    position, seq = shard.engine.position, shard.engine.seq
    writing.begin()
    tick_all(held.memory, shards=2, at=T0 + DAY)
    shard.pump()
    assert shard.engine.position > position
    there = held.memory.end("checkpoints", 0)
    writing.settle()
    assert not took
    held.through()
    writing.settle()
    assert len(took) == 1
    assert held.memory.end("checkpoints", 0) == there + 1
    (body, _), *_ = checkpoints(held, 0)
    fresh = engine(0, 2)
    fresh.restore(body)
    assert (fresh.position, fresh.seq) == (position, seq)
    again = recovered(held)
    assert again.engine.last_hash == shard.engine.last_hash


def test_a_state_that_did_not_arrive_is_said_and_deletes_nothing(held: HeldLog) -> None:
    shard = recovered(held)
    writing = Checkpoints(held, shard)
    for _ in range(3):
        writing.begin()
        held.through()
        writing.settle()
    deleted = list(held.truncated)
    assert deleted
    base, known = shard._fold._base, shard._known
    tick_all(held.memory, shards=2, at=T0 + DAY)
    shard.pump()
    writing.begin()
    held.fail()
    with pytest.raises(LogUnavailable, match="lost"):
        writing.settle()
    assert held.truncated == deleted
    assert (shard._fold._base, shard._known) == (base, known)


def test_a_checkpoint_that_arrives_wakes_its_owner_and_waits_for_it_no_longer(
    held: HeldLog,
) -> None:
    woken: list[bool] = []
    took: list[float] = []
    shard = recovered(held)
    writing = Checkpoints(held, shard, wake=lambda: woken.append(True), took=took.append)
    writing.begin()
    assert not woken
    held.through()
    assert woken == [True]
    time.sleep(0.3)
    writing.settle()
    assert took[0] < 0.3


def test_a_written_state_is_let_go_without_a_search_for_garbage(held: HeldLog) -> None:
    writing = Checkpoints(held, recovered(held))
    gc.collect()
    gc.disable()
    try:
        writing.begin()
        sending = weakref.ref(writing._way.sending)  # type: ignore[union-attr] # it has begun
        held.through()
        writing.settle()
        held.sends.clear()
        assert sending() is None
    finally:
        gc.enable()


def test_shards_that_began_together_write_their_first_checkpoints_apart() -> None:
    for shards in (2, 8, 64):
        parts = sorted(sooner(shard) for shard in range(shards))
        apart = [after - before for before, after in zip(parts, [*parts[1:], 1.0], strict=True)]
        assert min(apart) > 0.3 / shards
