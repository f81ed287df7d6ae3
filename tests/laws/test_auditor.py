"""The auditor finds what it is there for: an allocator that breaks limits, on real journals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.engine import Engine
from coordinator.core.ports import Allocation, AllocationProblem, Floats
from coordinator.learning import ChosenRisk
from tests.journals import Inputs, engine, run
from tests.laws.auditor import audit
from tests.recorded import end_of, recorded

DAYS = recorded(4)
HALT = Inputs().make("market", "InstrumentHalted", DAYS[40].at, event_id="halt", instrument="N3")
INPUTS = (*DAYS[:41], replace(HALT, raw=replace(HALT.raw, topic_id="another")), *DAYS[41:])


class Overdone:
    """The real answer with its trades changed."""

    def __init__(self, change: Callable[[AllocationProblem, Floats], Floats]) -> None:
        self._real = engine(0, 1)._allocator
        self._change = change

    def allocate(self, problem: AllocationProblem) -> Allocation:
        answer = self._real.allocate(problem)
        trades = self._change(problem, answer.trades)
        lots = np.where(problem.lot_weight > 0, trades / np.maximum(problem.lot_weight, 1e-12), 0)
        return replace(answer, trades=trades, lots=np.where(problem.lot_weight > 0, lots, trades))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda p, z: z + np.where(p.lot_weight == 0, 0.5, 0.0), "outside"),
        (lambda p, z: z + np.where(p.lot_weight == 0, 2.0, 0.0), "gross_max"),
        (lambda p, z: z + np.where(p.lot_weight == 0, 2.0, 0.0), "cash_floor"),
        (lambda p, z: np.where(p.lot_weight == 0, 3.0, z), "turnover"),
        (lambda p, z: np.where(p.trade_max == 0, 0.01, z), "halted"),
    ],
)
def test_a_broken_limit_is_named(
    change: Callable[[AllocationProblem, Floats], Floats], found: str
) -> None:
    def make(shard: int, shards: int) -> Engine:
        risk = ChosenRisk()
        return Engine(shard=shard, shards=shards, allocator=Overdone(change), risk_model=risk)

    log = run(INPUTS, make=make, end=end_of(INPUTS))
    assert any(found in complaint for complaint in audit(log, 0))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_recorded_days_keep_every_limit(seed: int) -> None:
    inputs = recorded(seed)
    log = run(inputs, shards=3, end=end_of(inputs))
    assert [audit(log, shard) for shard in range(3)] == [[], [], []]
