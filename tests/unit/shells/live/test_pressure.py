"""Pressure: holds until engines have begun and while they are far behind; sheds after a hold."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

import coordinator.shells.live.pressure as module
from coordinator.settings import Settings, WorkerSettings
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.pressure import Pressure
from coordinator.telemetry.metrics import Metrics

WORKER = WorkerSettings(shards=2, journal_lag_max=100, shed_after_ms=1_000)


def made() -> Pressure:
    return made_at(BrokerTime())


def made_at(broker_time: BrokerTime) -> Pressure:
    return Pressure(Settings(worker=WORKER), metrics=Metrics(), broker_time=broker_time)


class Cluster:
    """Ends of two journals, and what engines have noted."""

    def __init__(self, ends: tuple[int, int], applied: dict[int, int]) -> None:
        self._ends, self._applied = ends, applied

    async def end_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {where: self._ends[where.partition] for where in asked}

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        assert group == "coordinator.applied"
        return {
            TopicPartition("journal", shard): SimpleNamespace(offset=offset)
            for shard, offset in self._applied.items()
        }


async def lag(ends: tuple[int, int], applied: dict[int, int]) -> int | None:
    pressure = made()
    pressure._consumer = pressure._admin = Cluster(ends, applied)
    return await pressure._lag()


@pytest.mark.parametrize(
    ("ends", "applied", "found"),
    [
        ((0, 5), {1: 5}, None),  # shard 0's engine has not said that it begins
        ((1, 1), {}, 0),
        ((9, 5), {0: 4, 1: 5}, 5),
        ((9, 90), {0: 4, 1: 5}, 85),
        ((9, 5), {0: -1, 1: 5}, 0),
        ((4, 5), {0: 9, 1: 5}, 0),
    ],
)
def test_the_lag_is_of_the_engine_furthest_behind_and_unknown_before_all_have_begun(
    ends: tuple[int, int], applied: dict[int, int], found: int | None
) -> None:
    assert asyncio.run(lag(ends, applied)) == found


def test_nothing_is_appended_before_the_first_look_and_nothing_shed_because_of_that() -> None:
    pressure = made()
    assert (pressure.holding, pressure.shed_before()) == (True, None)
    pressure._judge(80)
    assert (pressure.holding, pressure.shed_before()) == (False, None)


@pytest.mark.parametrize("first", [True, False])
def test_it_holds_above_the_largest_lag_sheds_from_half_and_ends_at_a_quarter(
    *, first: bool
) -> None:
    pressure = made()
    if not first:
        pressure._judge(0)
    seen = []
    for now in (100, 101, 60, 51, 50, 26, 101, 50, 25, 60, 100):
        pressure._judge(now)
        seen.append((pressure.holding, pressure.overloaded))
    held, shedding, free = (True, True), (False, True), (False, False)
    assert seen == [
        free, held, held, held, shedding, shedding, held, shedding, free, free, free
    ]  # fmt: skip


HOUR, MINUTE, SECOND = 3_600 * 10**9, 60 * 10**9, 10**9


class Machine:
    """Whose clock is an hour ahead of the broker's, which stands at 0 when it begins."""

    def __init__(self) -> None:
        self.passed = 0
        self.time = BrokerTime(monotonic=lambda: self.passed, guess=lambda: HOUR)
        self.pressure = made_at(self.time)


def test_nothing_is_shed_by_this_machines_clock_alone() -> None:
    machine = Machine()
    machine.pressure._judge(101)
    assert machine.pressure.shed_before() is None


def test_what_waited_longer_than_told_is_shed_by_the_brokers_clock() -> None:
    machine = Machine()
    machine.pressure._judge(101)
    machine.passed = MINUTE
    machine.time.told(appended_at=MINUTE, sent=MINUTE)
    before = machine.pressure.shed_before()
    assert before is not None
    assert 0 <= before - (MINUTE - SECOND) <= 1_000_000


def test_what_was_held_is_shed_though_the_pressure_is_over_at_the_next_look() -> None:
    machine = Machine()
    pressure = machine.pressure
    pressure._judge(101)
    machine.passed = 10 * SECOND
    pressure._judge(20)
    assert (pressure.holding, pressure.overloaded) == (False, False)
    machine.time.told(appended_at=10 * SECOND, sent=10 * SECOND - 1_000_000)
    slack = 2_000_000
    before = pressure.shed_before()
    assert before is not None
    assert abs(before - 9 * SECOND) <= slack
    machine.passed = MINUTE
    pressure._judge(0)
    before = pressure.shed_before()
    assert before is not None
    assert abs(before - 10 * SECOND) <= slack  # what came after the hold did not wait for it


async def watched(*answers: int | Exception | None) -> list[tuple[bool, str]]:
    """After each look: whether it holds, and why the lag is not known. None: an empty journal."""
    pressure, seen = made(), []
    left = list(answers)
    enough = asyncio.Event()

    async def lag() -> int | None:
        seen.append((pressure.holding, pressure.unknown))
        if not left:
            enough.set()
            await asyncio.Event().wait()
        answer = left.pop(0)
        if isinstance(answer, StopAsyncIteration):
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    pressure._lag = lag  # type: ignore[method-assign] # what a test is for
    async with asyncio.timeout(20):
        watching = asyncio.create_task(pressure.watch())
        await asyncio.wait(
            {watching, asyncio.create_task(enough.wait())}, return_when="FIRST_COMPLETED"
        )
        watching.cancel()
        await asyncio.wait({watching})
    return seen


def test_it_tells_why_the_lag_is_not_known_and_waits_for_no_answer_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(module, "ANSWER_S", 0.02)
    seen = asyncio.run(watched(None, KafkaConnectionError("away"), 200, StopAsyncIteration(), 0))
    assert [holding for holding, _ in seen] == [True, True, True, True, True, False]
    reasons = ["nobody has looked", "has not begun", "away", None, "TimeoutError", None]
    for (_, unknown), reason in zip(seen, reasons, strict=True):
        assert (unknown == "") if reason is None else (reason in unknown)
