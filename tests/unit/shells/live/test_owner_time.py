"""Owner: told the time, and what has waited, whatever its machine's clock says."""

from __future__ import annotations

import time

import pytest

from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.pacing import Pace
from tests.journals import HOUR
from tests.unit.shells.live.owning import WITHIN_S, Bench, ended, until


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


def test_a_shard_that_begins_at_its_checkpoint_knows_how_late_it_is_at_least(bench: Bench) -> None:
    owner = bench.running(checkpoint_s=0.01)
    owner.deliver(*bench.lay())
    until(lambda: bench.said() == 3, "three")
    ended(owner)
    late = wrong_by(-HOUR)
    bench.running(broker_time=late)
    assert late.now() > time.time_ns() - 60 * 1_000_000_000
