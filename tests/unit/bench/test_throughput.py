"""The benchmark of an event's cost measures what it says, on the smallest sizes."""

from __future__ import annotations

import pytest

from coordinator.core.state import Portfolio
from tests.bench.throughput import KINDS, Kind, Shard, measured

EVERYWHERE = {
    "opening_a_portfolio", "fill", "snapshot", "close", "forecasts_of_a_close",
    "showing_a_portfolio", "checkpoint_ms", "restore_ms", "checkpoint_kib", "signal_that_opens",
    "signal", "next_begin",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_there_and_took_some_time(kind: Kind) -> None:
    found = measured(kind, portfolios=2, instruments=3)
    own = {"round_of_each"} if kind == "hearing" else {"round_of_the_one"}
    assert set(found) == EVERYWHERE | own
    assert all(value > 0 for value in found.values())


def collecting(shard: Shard) -> list[str]:
    portfolios: dict[str, Portfolio] = shard.engine.state.portfolios
    return [name for name, portfolio in portfolios.items() if portfolio.round is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_those_alone_collect_who_hear_and_nothing_is_decided_between_signals(kind: Kind) -> None:
    shard = Shard(kind, portfolios=3, instruments=4)
    assert (collecting(shard), shard.engine.decisions) == ([], 0)
    shard.signals(50)
    heard = ["portfolio-0000", "portfolio-0001", "portfolio-0002"]
    assert collecting(shard) == (heard if kind == "hearing" else heard[:1])
    assert shard.engine.decisions == 0
    shard.wait()
    assert (collecting(shard), shard.engine.decisions) == ([], 3 if kind == "hearing" else 1)


def test_a_refused_event_stops_the_measurement() -> None:
    shard = Shard("deaf", portfolios=1, instruments=2)
    with pytest.raises(RuntimeError, match="InputRejected"):
        shard.fills([(7, 0)])  # there is no such portfolio
