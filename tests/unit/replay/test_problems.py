"""A recorded decision's problem is put together again from its log, to the last bit."""

from __future__ import annotations

import pytest

from coordinator.core.allocate import problem_digest
from coordinator.core.ports import Append, LogReader
from coordinator.log.memory import MemoryLog
from coordinator.quality.reasons import DecisionNotFound, NothingDecided, RoundWithoutDecision
from replay.errors import NothingToReplay
from replay.problems import situation_at
from schemas.decisions import AllocationDecided, RoundClosed
from tests.journals import SECOND, T0, Inputs, events_of, lay, owners, run, zero_clock
from tests.recorded import end_of, recorded

INPUTS = recorded(3)
LOG = run(INPUTS, end=end_of(INPUTS))
DECISIONS = events_of(LOG, AllocationDecided)


def agrees(log: LogReader, decision: AllocationDecided) -> bool:
    state, portfolio, found = situation_at(log, decision.decision_id)
    assert state.portfolios[decision.portfolio] is portfolio
    assert portfolio.rounds == decision.round - 1
    assert state.clock == decision.decided_at
    return problem_digest(found.problem) == decision.identity.problem


@pytest.mark.parametrize("nth", range(0, len(DECISIONS), 4))
def test_it_is_the_one_that_was_recorded(nth: int) -> None:
    assert agrees(LOG, DECISIONS[nth])


def test_of_several_shards_that_of_the_portfolios_own() -> None:
    log = run(INPUTS, shards=4, end=end_of(INPUTS))
    told = events_of(log, AllocationDecided, shards=4)
    assert all(agrees(log, one) for one in told[::9])


def test_it_begins_at_a_recorded_state_before_the_decision() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=end_of(INPUTS))
    (owner,) = owners(log, shards=1, every=5)
    owner.recover()
    read: list[int] = []
    plain = log.read

    def watched(topic: str, shard: int, start: int = 0, stop: int | None = None):  # type: ignore[no-untyped-def] # as MemoryLog.read
        if topic == "journal":
            read.append(start)
        return plain(topic, shard, start, stop)

    log.read = watched  # type: ignore[method-assign] # to see where it begins
    assert agrees(log, events_of(log, AllocationDecided)[-1])
    assert max(read) > log.end("journal", 0) / 2


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(DecisionNotFound, match="p-close:999"):
        situation_at(LOG, "p-close:999")
    bare = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=end_of(INPUTS))
    with pytest.raises(NothingDecided):
        situation_at(bare, "p-close:1")
    make = Inputs()
    scheduled = make.opened("p", schedule={"kind": "session_close"})
    idle = run([make.listed("A"), scheduled, make.close({"A": 10.0}, T0 + 1)], end=T0 + SECOND)
    (closed,) = events_of(idle, RoundClosed)
    with pytest.raises(RoundWithoutDecision, match="nothing_to_do"):
        situation_at(idle, closed.decision_id)


def test_decisions_without_the_journal_that_led_to_them_cannot_be_put_together_again() -> None:
    log = MemoryLog(clock=zero_clock)
    for record in LOG.read("decisions", 0):
        log.append([Append("decisions", 0, record.payload, T0)])
    with pytest.raises(NothingToReplay):
        situation_at(log, DECISIONS[0].decision_id)
