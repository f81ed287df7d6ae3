"""The parts of a worker by their names.

Place in the flow: from `coordinator run --only NAME` to what runs. Each is imported only when it is
asked for. It must never run two in one process: a standstill of one would be the other's.
"""

from __future__ import annotations

import asyncio

from coordinator.settings import Settings
from coordinator.shells.live.process import run_part
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics

__all__ = ["run_named"]


def run_named(settings: Settings, name: str, *, unseal: bool = False) -> int:
    """Run one part in this process until it is told to end; returns the exit code."""
    if name == "router":
        return _router(settings)
    if name == "engine":
        return _engine(settings, unseal=unseal)
    message = f"no part is called {name}"
    raise ValueError(message)


def _router(settings: Settings) -> int:
    from coordinator.shells.live.router import LiveRouter  # noqa: PLC0415 - only this part needs it

    async def part(stop: asyncio.Event, metrics: Metrics, health: Health) -> None:
        await LiveRouter(settings, metrics=metrics, health=health).run(stop)

    return run_part(settings, "router", part, expected=("router",))


def _engine(settings: Settings, *, unseal: bool) -> int:
    from coordinator.shells.live.worker import EngineWorker  # noqa: PLC0415 - as above

    async def part(stop: asyncio.Event, metrics: Metrics, health: Health) -> None:
        await EngineWorker(settings, metrics=metrics, health=health, unseal=unseal).run(stop)

    return run_part(settings, "engine", part, expected=("group",))
