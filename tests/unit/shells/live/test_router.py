"""The live router's own health, and what becomes of it when its watchers end."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from coordinator.core.engine import WrongShards
from coordinator.log.kafka.layout import TopicsMissing
from coordinator.log.kafka.sending import Sent
from coordinator.settings import Settings
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.pressure import Pressure
from coordinator.shells.live.router import AGAIN, ANSWER_OLD_S, LiveRouter, WatcherEnded
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics

WITHIN_S = 20.0


class Bench:
    """A router whose consumer has one partition, or none, and finds nothing."""

    def __init__(self, *, ours: bool = True) -> None:
        self.health = Health(expected=("router",))
        self.router = LiveRouter(Settings(), metrics=Metrics(), health=self.health)
        self.pressure = Pressure(Settings(), metrics=Metrics(), broker_time=BrokerTime())
        self.assigned = {("signals", 0)} if ours else set()

    async def getmany(self, **_: Any) -> dict[Any, Any]:
        await asyncio.sleep(0.001)
        return {}

    async def route(self, *watching: asyncio.Task[None], after_s: float = 0.05) -> None:
        """Route for a moment."""
        consumer = SimpleNamespace(assignment=lambda: self.assigned, getmany=self.getmany)
        assignment: Any = SimpleNamespace(consumer=consumer, refuse_failed=lambda: None)
        stop = asyncio.Event()
        unused: Any = None
        asyncio.get_running_loop().call_later(after_s, stop.set)
        async with asyncio.timeout(WITHIN_S):
            await self.router._route(assignment, unused, unused, self.pressure, {}, watching, stop)

    def said(self) -> tuple[bool, str]:
        checks: Any = self.health.ready()[1]["checks"]
        return checks["router"]["ok"], checks["router"]["reason"]


@pytest.mark.parametrize(
    ("lags", "unknown", "said"),
    [
        ([], "nobody has looked", (False, "nothing is routed: nobody has looked")),
        ([0], "", (True, "")),
        ([0], "away", (True, "")),
        ([1 << 40], "", (True, "held: an engine is far behind")),
        ([1 << 40], "away", (False, "nothing is routed: away")),
    ],
)
def test_a_router_that_holds_is_ready_only_while_it_knows_why(
    lags: list[int], unknown: str, said: tuple[bool, str]
) -> None:
    bench = Bench()
    for lag in lags:
        bench.pressure._judge(lag)
    bench.pressure.unknown = unknown
    asyncio.run(bench.route())
    assert bench.said() == said


def test_a_router_without_a_partition_is_not_ready() -> None:
    bench = Bench(ours=False)
    bench.pressure._judge(0)
    asyncio.run(bench.route())
    assert bench.said() == (False, "no partition is ours")


def test_a_watcher_that_ends_ends_the_session_and_not_the_router() -> None:
    async def fails() -> None:
        raise KeyError("signals")

    async def use() -> None:
        task = asyncio.create_task(fails())
        await asyncio.wait({task})
        await Bench().route(task, after_s=WITHIN_S)

    with pytest.raises(WatcherEnded, match="KeyError"):
        asyncio.run(use())
    assert WatcherEnded in AGAIN


@pytest.mark.parametrize("lag", [0, 1 << 40])
def test_a_router_whose_broker_is_silent_is_not_ready(lag: int) -> None:
    bench = Bench()
    bench.pressure._judge(lag)
    bench.pressure.unknown = ""
    bench.pressure.answered_at = time.monotonic() - ANSWER_OLD_S - 2
    asyncio.run(bench.route())
    assert bench.said() == (False, "the broker has not answered for 7 s")


@pytest.mark.parametrize("lag", [0, 1 << 40])
def test_ready_lapses_while_a_send_is_not_answered(lag: int) -> None:
    bench = Bench()
    now = time.monotonic()
    bench.health = bench.router._health = Health(expected=("router",), clock=lambda: now)
    bench.pressure._judge(lag)
    bench.pressure.unknown = ""
    asyncio.run(bench.route())
    assert bench.said()[0]
    now += ANSWER_OLD_S + 0.1
    assert bench.said()[0] is False


def sessions(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> tuple[Bench, list[Any]]:
    """A router whose sessions end so, one after the other; then it is stopped."""
    bench, left = Bench(), list(errors)

    async def session(stop: asyncio.Event) -> None:
        if left:
            raise left.pop(0)
        stop.set()

    async def within() -> None:
        async with asyncio.timeout(WITHIN_S):
            await bench.router.run(asyncio.Event())

    monkeypatch.setattr(bench.router, "_session", session)
    monkeypatch.setattr("coordinator.shells.live.router.BACKOFF_S", (0.001,))
    with capture_logs() as logs:
        asyncio.run(within())
    return bench, [line["event"] for line in logs]


def test_missing_topics_are_waited_for_with_one_word_about_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = TopicsMissing("kafka://there", ["signals"])
    bench, logs = sessions(monkeypatch, missing, missing, missing)
    assert logs == ["router_waits"]
    ok, reason = bench.said()
    assert not ok
    assert "run `coordinator topics apply`" in reason
    _, logs = sessions(monkeypatch, missing, OSError("away"), missing)
    assert logs == ["router_waits", "router_restarts", "router_waits"]


def test_another_number_of_shards_ends_the_router(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongShards):
        sessions(monkeypatch, WrongShards("8, not 4"))


def fetched(
    *answers: dict[str, list[int]] | Exception, most: int = 2_000
) -> tuple[dict[str, list[int]], Any]:
    """What is routed of a consumer's answers in turn, as offsets, and how it was asked."""
    left, asked = list(answers), []

    async def getmany(**how: Any) -> dict[str, list[Any]]:
        asked.append(how["max_records"])
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {
            where: [SimpleNamespace(offset=offset) for offset in run]
            for where, run in answer.items()
        }

    router = LiveRouter(
        Settings.model_validate({"worker": {"fetch_records_max": most}}),
        metrics=Metrics(),
        health=Health(expected=("router",)),
    )
    consumer: Any = SimpleNamespace(getmany=getmany)
    found = asyncio.run(router._fetched(consumer))
    return {where: [one.offset for one in run] for where, run in found.items()}, asked


def test_what_gathered_behind_the_fetch_ahead_goes_with_it() -> None:
    found, asked = fetched({"a": [3]}, {"a": [4, 5], "b": [0]}, most=10)
    assert found == {"a": [3, 4, 5], "b": [0]}
    assert asked == [10, 9]


@pytest.mark.parametrize("first", [{}, {"a": [1, 2], "b": [7]}])
def test_nothing_more_is_fetched_behind_nothing_or_enough(first: dict[str, list[int]]) -> None:
    found, asked = fetched(first, most=3)
    assert found == first
    assert asked == [3]


def test_a_partition_that_begins_again_meanwhile_is_routed_once_and_without_a_hole() -> None:
    found, _ = fetched({"a": [10, 11]}, {"a": [5, 6, 7]})
    assert found == {"a": [5, 6, 7]}  # what is behind 7 is fetched again


def test_what_was_fetched_is_routed_though_another_partition_fails() -> None:
    found, asked = fetched({"a": [3]}, KafkaConnectionError())
    assert (found, len(asked)) == ({"a": [3]}, 2)
    with pytest.raises(KafkaConnectionError):
        fetched(KafkaConnectionError())


def test_a_router_learns_the_brokers_time_from_what_is_acknowledged() -> None:
    bench = Bench()
    at = time.time_ns() + 3_600 * 10**9
    message = SimpleNamespace(offset=0, timestamp=1, key=None, value=b"{}", headers=[])

    async def send(_: Any) -> dict[tuple[str, int], list[Sent]]:
        return {("signals.dlq", 0): [Sent(0, 5)], ("journal", 3): [Sent(7, at)]}

    unused: Any = SimpleNamespace(shed_before=lambda: None)
    sender: Any = SimpleNamespace(send=send)
    found: Any = {TopicPartition("signals", 0): [message]}
    asyncio.run(bench.router._pass_on(found, sender, unused, {"signals": "id"}))
    assert bench.router._broker_time.known
    assert abs(bench.router._broker_time.now() - at) < 10**9
