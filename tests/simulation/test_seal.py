"""A sealed journal decides nothing until the next build has started, and loses nothing either."""

from __future__ import annotations

import pytest

from coordinator.core.engine import EngineSealedError, NotStarted
from coordinator.core.ports import Append
from coordinator.core.route import Router
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided
from schemas.journal import EngineSealed
from schemas.verdicts import RecordQuarantined
from tests.journals import (
    HOUR,
    MS,
    SECOND,
    T0,
    Input,
    Inputs,
    engine,
    events_of,
    lay,
    outputs,
    owners,
    started,
    tick_all,
    zero_clock,
)


def journal() -> list[Input]:
    make = Inputs()
    made = [make.listed("A"), make.registered("s"), make.opened("p")]
    made += [make.close({"A": 10.0}, T0 + SECOND), make.signal("s", "A", T0 + HOUR)]
    return made


def sealed() -> MemoryLog:
    """Sealed right after a signal, while its round is still collecting."""
    log = lay(journal(), MemoryLog(clock=zero_clock), shards=1)
    seal = EngineSealed(event_id="seal", event_time=T0 + HOUR + MS)
    Router(log, shards=1).write(seal, shards=[0], journal_time=T0 + HOUR + MS)
    return log


def test_a_record_after_the_seal_is_refused_before_anything_changes() -> None:
    log = sealed()
    owner = owners(log, shards=1)[0]
    owner.recover()
    before = owner.engine.checkpoint()
    tick_all(log, shards=1, at=T0 + 2 * HOUR)
    for _ in range(2):
        with pytest.raises(EngineSealedError):
            owner.pump()
        assert owner.engine.checkpoint() == before
    assert events_of(log, AllocationDecided) == []


def test_garbage_after_the_seal_is_refused_too() -> None:
    log = sealed()
    owner = owners(log, shards=1)[0]
    owner.recover()
    log.append([Append("journal", 0, b"garbage", T0 + 2 * HOUR)])
    with pytest.raises(EngineSealedError):
        owner.pump()


def test_what_fell_due_between_two_builds_is_decided_by_the_next_under_its_own_name() -> None:
    log = sealed()
    start = started(T0 + 2 * HOUR, build="next")
    Router(log, shards=1).write(start, shards=[0], journal_time=T0 + 2 * HOUR)
    tick_all(log, shards=1, at=T0 + 3 * HOUR)
    owner = owners(log, shards=1)[0]
    owner.recover()
    (decision,) = events_of(log, AllocationDecided)
    assert decision.identity.build == "next"
    assert decision.decided_at == T0 + 2 * HOUR


def test_the_chain_goes_on_across_a_seal() -> None:
    log = sealed()
    first = owners(log, shards=1)[0]
    first.recover()
    first.checkpoint()
    start = started(T0 + 2 * HOUR, build="next")
    Router(log, shards=1).write(start, shards=[0], journal_time=T0 + 2 * HOUR)
    tick_all(log, shards=1, at=T0 + 3 * HOUR)
    second = owners(log, shards=1)[0]
    assert second.recover().from_position == first.engine.position
    assert len(outputs(log)) == second.engine.seq


def test_a_journal_that_does_not_start_with_a_build_is_refused() -> None:
    log = MemoryLog(clock=zero_clock)
    Router(log, shards=1).accept([i.raw for i in journal()], journal_times=[T0] * 5)
    fresh = engine(0, 1)
    with pytest.raises(NotStarted):
        fresh.step(next(log.read("journal", 0)))
    assert fresh.position == -1


def test_what_others_append_between_seal_and_start_is_the_next_builds() -> None:
    log = sealed()
    first = owners(log, shards=1)[0]
    first.recover()
    first.checkpoint()
    tick_all(log, shards=1, at=T0 + 2 * HOUR)
    log.append([Append("journal", 0, b"garbage", T0 + 2 * HOUR)])
    start = started(T0 + 3 * HOUR, build="next")
    Router(log, shards=1).write(start, shards=[0], journal_time=T0 + 3 * HOUR)
    tick_all(log, shards=1, at=T0 + 4 * HOUR)
    second = owners(log, shards=1)[0]
    second.behind_seal = True
    second.recover()
    (decision,) = events_of(log, AllocationDecided)
    assert (decision.identity.build, decision.decided_at) == ("next", T0 + 3 * HOUR)
    assert [e.event for e in events_of(log, RecordQuarantined)] == ["undecodable"]
    replayed = engine(shard=0, shards=1)
    said = [entry for record in log.read("journal", 0) for entry in replayed.step(record)]
    assert said == [record.payload for record in log.read("decisions", 0)]
