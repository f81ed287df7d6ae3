"""The live router's own health, and what becomes of it when its watchers end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.settings import Settings
from coordinator.shells.live.pressure import Pressure
from coordinator.shells.live.router import AGAIN, LiveRouter, WatcherEnded
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics

WITHIN_S = 20.0


class Bench:
    """A router whose consumer has one partition, or none, and finds nothing."""

    def __init__(self, *, ours: bool = True) -> None:
        self.health = Health(expected=("router",))
        self.router = LiveRouter(Settings(), metrics=Metrics(), health=self.health)
        self.pressure = Pressure(Settings(), metrics=Metrics())
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
