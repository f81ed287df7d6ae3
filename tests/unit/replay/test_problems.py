"""Problems: what a decision was made from comes out of its log again, or nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.log.memory import MemoryLog
from coordinator.quality.reasons import DecisionNotFound, explain_decision
from coordinator.solver import CvxAllocator, SolverSettings
from replay.errors import OtherProblem
from replay.frontier import frontier
from replay.impact import of_decision
from replay.problems import situation_at
from schemas.base import Event
from schemas.decisions import AllocationDecided
from tests.journals import events_of, lay, owners, run, zero_clock
from tests.recorded import end_of, recorded
from tests.unit.replay.forgeries import retold

INPUTS = recorded(3)
LOG = run(INPUTS, end=end_of(INPUTS))
DECIDED = events_of(LOG, AllocationDecided)
SOME = DECIDED[::9]


@pytest.mark.parametrize("decision", SOME, ids=[one.decision_id for one in SOME])
def test_a_problem_solved_again_gives_the_recorded_decision(decision: AllocationDecided) -> None:
    state, portfolio, found = situation_at(LOG, decision.decision_id)
    assert (state.clock, portfolio.name) == (decision.decided_at, decision.portfolio)
    answer = CvxAllocator(SolverSettings()).allocate(found.problem)
    assert answer.objective == decision.solver.objective
    targets = {one.instrument: one.weight for one in decision.targets}
    weights = (found.problem.start + answer.trades).tolist()
    assert dict(zip(found.problem.instruments, weights, strict=True)) == targets


def test_it_begins_at_a_recorded_state_and_finds_the_same() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=end_of(INPUTS))
    (owner,) = owners(log, shards=1, every=5)
    owner.recover()
    starts: list[int] = []
    plain = log.read

    def watched(topic: str, shard: int, start: int = 0, stop: int | None = None) -> Any:
        if topic == "journal":
            starts.append(start)
        return plain(topic, shard, start, stop)

    log.read = watched  # type: ignore[method-assign] # to see where it begins
    situation_at(log, DECIDED[-1].decision_id)
    assert max(starts) > 0


def test_a_decision_of_another_problem_is_refused_and_says_that_its_engine_differs() -> None:
    def change(event: Event) -> Event:
        if not isinstance(event, AllocationDecided):
            return event
        other = event.identity.model_copy(update={"problem": "0" * 64})
        return event.model_copy(update={"identity": other})

    log, decision_id = retold(LOG, change), DECIDED[0].decision_id
    with pytest.raises(OtherProblem, match="its problem is another one") as refused:
        situation_at(log, decision_id)
    with pytest.raises(OtherProblem, match="its problem is another one"):
        frontier(log, decision_id)
    with pytest.raises(OtherProblem, match="its problem is another one"):
        of_decision(log, explain_decision(log, decision_id))
    assert [one.field for one in refused.value.parts] == ["build", "dependencies", "fingerprint"]
    assert "run that build" in str(refused.value)


def test_a_decision_that_the_log_does_not_tell_of_is_named() -> None:
    with pytest.raises(DecisionNotFound):
        situation_at(LOG, "p-close:999")
