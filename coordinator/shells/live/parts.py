"""The parts of a worker by their names.

Place in the flow: from `coordinator run --only NAME` to what runs. Each is imported only when it is
asked for. It must never run two in one process: a standstill of one would be the other's.
"""

from __future__ import annotations

import asyncio
import threading

from coordinator.core.engine import Engine
from coordinator.settings import Settings
from coordinator.shells.live.process import run_part
from coordinator.shells.live.supervisor import SEALED
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics

__all__ = ["run_named"]

PROJECTIONS = ("postgres", "redis")


def run_named(settings: Settings, name: str, *, unseal: bool = False) -> int:
    """Run one part in this process until it is told to end; returns the exit code.

    SEALED for an engine that ended because all its shards are sealed.
    """
    if name == "router":
        return _router(settings)
    if name == "engine":
        return _engine(settings, unseal=unseal)
    if name in PROJECTIONS:
        return _projection(settings, name)
    if name == "views":
        return _views(settings)
    message = f"no part is called {name}"
    raise ValueError(message)


def _router(settings: Settings) -> int:
    from coordinator.shells.live.router import LiveRouter  # noqa: PLC0415 - only this part needs it

    async def part(stop: asyncio.Event, metrics: Metrics, health: Health) -> None:
        await LiveRouter(settings, metrics=metrics, health=health).run(stop)

    return run_part(settings, "router", part, expected=("router",))


def _engine(settings: Settings, *, unseal: bool) -> int:
    from coordinator.bootstrap import build_engine  # noqa: PLC0415 - as above
    from coordinator.shells.forked import ForkedHands  # noqa: PLC0415 - as above
    from coordinator.shells.live.decider import Decider  # noqa: PLC0415 - as above
    from coordinator.shells.live.worker import EngineWorker  # noqa: PLC0415 - as above

    def make(shard: int, shards: int) -> Engine:
        hands = ForkedHands(settings.worker.round_processes)
        return build_engine(shard=shard, shards=shards, hands=hands)

    # Forked first: from a process without connections, and without threads of its own.
    decider = Decider(make, settings.worker.shards)

    sealed = False

    async def part(stop: asyncio.Event, metrics: Metrics, health: Health) -> None:
        nonlocal sealed
        worker = EngineWorker(
            settings, metrics=metrics, health=health, engines=decider.engine,
            settle=decider.settle, check=decider.check, unseal=unseal,
        )  # fmt: skip
        await worker.run(stop)
        sealed = worker.sealed

    try:
        code = run_part(settings, "engine", part, expected=("group",))
        return SEALED if sealed and not code else code
    finally:
        decider.close()


def _projection(settings: Settings, name: str) -> int:
    from coordinator.log.kafka import KafkaLog  # noqa: PLC0415 - as above
    from projections.running import run_projection  # noqa: PLC0415 - as above

    async def part(stop: asyncio.Event, metrics: Metrics, health: Health) -> None:
        """The projector is synchronous: it runs in a thread, and ends with this part."""
        stopping = threading.Event()
        with KafkaLog(settings.kafka) as log:
            running = asyncio.create_task(
                asyncio.to_thread(
                    run_projection, name, settings, log, stopping, health=health, metrics=metrics
                )
            )
            asked = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.set()
                asked.cancel()
                await running

    return run_part(settings, name, part, expected=(f"projection {name}",))


def _views(settings: Settings) -> int:
    from coordinator.shells.live.views import PortfolioViews  # noqa: PLC0415 - as above
    from coordinator.shells.live.views_http import ViewPages  # noqa: PLC0415 - as above

    pages = ViewPages(settings.worker.view_windows_s, shards=settings.worker.shards)

    async def part(stop: asyncio.Event, metrics: Metrics, health: Health) -> None:
        pages.views = PortfolioViews(settings, metrics=metrics, health=health)
        await pages.views.run(stop)

    return run_part(settings, "views", part, expected=("views",), routes=pages.routes())
