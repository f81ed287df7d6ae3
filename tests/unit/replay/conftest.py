"""A small world, played once."""

from __future__ import annotations

import pytest

from coordinator.log.memory import MemoryLog
from replay.backtest import BacktestSummary, run_backtest
from tests.unit.replay.worlds import input_log


@pytest.fixture(scope="session")
def inputs() -> MemoryLog:
    return input_log(shards=2, sessions=5)


@pytest.fixture(scope="session")
def played(inputs: MemoryLog) -> tuple[MemoryLog, BacktestSummary]:
    out = MemoryLog(clock=lambda: 0)
    return out, run_backtest(inputs, out)


@pytest.fixture(scope="session")
def run(played: tuple[MemoryLog, BacktestSummary]) -> MemoryLog:
    return played[0]
