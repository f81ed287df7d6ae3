"""Ticker: due by deadline or idleness, by the broker's clock; early ticks re-arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from coordinator.shells.live import timing
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.timing import IDLE_TICK, Ticker
from schemas.entries import decode_journal
from tests.journals import MS, SECOND, T0


@dataclass
class FakeEngine:
    """What a ticker asks of an engine."""

    clock: int = T0
    deadline: int | None = None
    begins: int | None = None

    def next_deadline(self) -> int | None:
        return self.deadline

    def next_begin(self) -> int | None:
        return self.begins


class Clock:
    """Of the broker and of this machine, which agree."""

    def __init__(self) -> None:
        self.now = T0
        self.broker = BrokerTime(monotonic=lambda: self.now, guess=lambda: self.now)

    def ticker(self) -> Ticker:
        return Ticker(self.broker)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def engine(**fields: Any) -> Any:
    return FakeEngine(**fields)


def test_an_idle_shard_is_due_after_a_while(clock: Clock) -> None:
    ticker, idle = clock.ticker(), engine()
    assert ticker.seconds_until(idle) == IDLE_TICK / SECOND
    clock.now += IDLE_TICK - 1
    assert not ticker.due(idle)
    clock.now += 1
    assert ticker.due(idle)


def test_a_deadline_is_due_with_the_first_millisecond_behind_it(clock: Clock) -> None:
    ticker = clock.ticker()
    waiting = engine(deadline=T0 + 20 * MS)
    clock.now = T0 + 20 * MS
    assert not ticker.due(waiting)
    clock.now += MS
    assert (ticker.due(waiting), ticker.seconds_until(waiting)) == (True, 0.0)


def test_what_is_due_is_so_by_the_brokers_clock(clock: Clock) -> None:
    ticker = clock.ticker()
    waiting = engine(deadline=T0 + 100 * MS)
    clock.broker.heard(T0 + 60 * MS)
    assert ticker.seconds_until(waiting) == pytest.approx(0.041)
    clock.broker.told(appended_at=T0 + 20 * MS, sent=clock.now)
    assert ticker.seconds_until(waiting) == pytest.approx(0.08)


def test_an_early_tick_waits_for_what_is_missing_and_a_millisecond(clock: Clock) -> None:
    ticker = clock.ticker()
    waiting = engine(deadline=T0 + 5 * MS)
    clock.now = T0 + 6 * MS
    assert ticker.due(waiting)
    ticker.ticked(waiting, T0 + 2 * MS)  # the broker is behind
    assert not ticker.due(waiting)
    assert ticker.seconds_until(waiting) == pytest.approx(0.004)


def test_a_tick_that_is_still_on_its_way_is_not_repeated_at_once(clock: Clock) -> None:
    ticker = clock.ticker()
    waiting = engine(deadline=T0)
    clock.now = T0 + 2 * MS
    ticker.ticked(waiting, clock.now)
    ticker.rest(50 * MS)
    assert ticker.seconds_until(waiting) == pytest.approx(0.05)


def test_a_tick_says_its_time_and_is_no_message_of_a_topic(clock: Clock) -> None:
    found = decode_journal(clock.ticker().entry())
    assert (found.stamp.topic, found.stamp.offset) == ("journal", -1)
    assert getattr(found.event, "event_time", 0) == T0


def test_a_shard_is_deaf_until_a_record_may_open_a_round(clock: Clock) -> None:
    ticker = clock.ticker()
    clock.now = T0 + 30 * MS
    assert ticker.seconds_deaf(engine(begins=T0 + 50 * MS)) == pytest.approx(0.019)
    assert ticker.seconds_deaf(engine(begins=T0 + SECOND)) == timing.DEAF_MAX_S
    assert ticker.seconds_deaf(engine(begins=T0)) == 0.0
    assert ticker.seconds_deaf(engine(begins=None)) == timing.DEAF_MAX_S
    clock.broker.heard(clock.now + 5 * MS)
    assert ticker.seconds_deaf(engine(begins=T0 + 50 * MS)) == pytest.approx(0.014)


def test_a_shard_is_not_deaf_to_what_lets_an_open_round_end(clock: Clock) -> None:
    ticker = clock.ticker()
    clock.now = T0 + 30 * MS
    due = T0 + 40 * MS
    assert ticker.seconds_deaf(engine(deadline=due, begins=None)) == pytest.approx(0.009)
    assert ticker.seconds_deaf(engine(deadline=due, begins=T0 + 35 * MS)) == pytest.approx(0.004)
    clock.now = due
    ticker.rest(50 * MS)  # a tick is on its way: it may be delivered at any moment
    assert ticker.seconds_deaf(engine(deadline=due, begins=None)) == 0.0
