"""What is remembered between rounds changes no bit: without it the engine says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core import recall
from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.learning import PriorBlendedCovariance
from coordinator.log.memory import MemoryLog
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output
from tests.journals import law, lay, zero_clock
from tests.recorded import end_of, recorded


def fresh() -> Engine:
    """An engine that has seen nothing, with a solver that has solved nothing."""
    pin_threads()
    return Engine(
        shard=0,
        shards=1,
        allocator=CvxAllocator(SolverSettings()),
        risk_model=PriorBlendedCovariance(),
    )


def journal(seed: int) -> list[Record]:
    log, inputs = MemoryLog(clock=zero_clock), recorded(seed, days=2)
    lay(inputs, log, shards=1, end=end_of(inputs))
    return list(log.read("journal", 0))


@law(5)
@given(seed=st.integers(0, 1000))
def test_a_warm_engine_and_one_that_starts_from_a_checkpoint_each_time_say_the_same_bytes(
    seed: int,
) -> None:
    warm, cold = fresh(), fresh()
    decisions = 0
    for record in journal(seed):
        before = cold.checkpoint()
        cold = fresh()
        cold.restore(before)
        said = warm.step(record)
        assert cold.step(record) == said, record.position
        decisions += sum(isinstance(decode_output(e).event, AllocationDecided) for e in said)
    assert decisions > 3
    assert warm.checkpoint() == cold.checkpoint()


def test_something_is_remembered_at_all() -> None:
    warm = fresh()
    for record in journal(1):
        warm.step(record)
    assert len(warm.state.opinions) > 0


def test_a_planted_recall_that_forgets_an_input_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recall.Recall.get

    def forgetful(self: Any, key: object, make: Any, *, same: Sequence[object] = ()) -> Any:
        """Without the views."""
        return whole(self, key, make, same=same[:2])

    monkeypatch.setattr(recall.Recall, "get", forgetful)
    assert any(_differs(seed) for seed in range(1, 9))


def _differs(seed: int) -> bool:
    """Whether an engine that remembers ever says something else than one that cannot."""
    warm, cold = fresh(), fresh()
    for record in journal(seed):
        before = cold.checkpoint()
        cold = fresh()
        cold.restore(before)
        if cold.step(record) != warm.step(record):
            return True
    return False
