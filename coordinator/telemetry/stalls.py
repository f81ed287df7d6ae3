"""How long the event loop stands still, measured from inside it.

Place in the flow: one task beside the work of a shell's event loop. Must never do more than sleep
and look at the clock.
"""

from __future__ import annotations

import asyncio

from coordinator.telemetry.metrics import Metrics

__all__ = ["watch_stalls"]


async def watch_stalls(metrics: Metrics, *, every_s: float = 0.1) -> None:
    """Note how much later than asked each sleep ends. Runs until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        metrics.stalled(max(0.0, loop.time() - due))
