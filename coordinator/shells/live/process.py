"""One part of the live shell as a process: logs, metrics, health, signals, and its end in time.

Place in the flow: between the command line and a router, an engine worker or the views. Once it is
told to end, or its part has failed, a thread ends the process by force where the part, a close or
a thread of theirs takes longer than it may. It must never end without saying why.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable

import structlog
from aiohttp import web

from coordinator.bootstrap import identity
from coordinator.log.kafka.options import check_options
from coordinator.settings import Settings
from coordinator.shells.live.collecting import collect_seldom
from coordinator.telemetry.health import Health
from coordinator.telemetry.http import serve
from coordinator.telemetry.logging import configure_logging
from coordinator.telemetry.metrics import Metrics
from coordinator.telemetry.stalls import watch_stalls

__all__ = ["Part", "run_part"]

Part = Callable[[asyncio.Event, Metrics, Health], Awaitable[None]]
"""Runs until the event is set, or raises."""
END_MORE_S = 3.0
"""What a process may take to end beyond its part's stop_s; a supervisor waits five seconds more."""
SWITCH_S = 0.001
"""Threads of shards give way to the event loop after this long, not after five times that."""


def run_part(
    settings: Settings,
    name: str,
    part: Part,
    *,
    expected: tuple[str, ...],
    routes: Iterable[web.RouteDef] = (),
) -> int:
    """Run a part until SIGTERM, SIGINT or its failure; returns the exit code.

    routes: pages of its own, beside those of health and metrics.
    """
    configure_logging(settings.log, secrets=settings.secrets())
    check_options(settings.kafka)
    sys.setswitchinterval(SWITCH_S)
    collect_seldom()
    end = _End(name, settings.worker.stop_s + END_MORE_S)
    try:
        return asyncio.run(_serve(settings, name, part, end, expected, routes))
    finally:
        end.reached.set()


class _End:
    """The process's end in time. `begin` it once it is to end; `reached` is set when it has."""

    def __init__(self, name: str, bound_s: float) -> None:
        self._name = name
        self._bound_s = bound_s
        self._thread = threading.Thread(target=self._wait, name="end", daemon=True)
        self._begun = False
        self.reached = threading.Event()

    def begin(self) -> None:
        """From now on the time counts."""
        if not self._begun:
            self._begun = True
            self._thread.start()

    def _wait(self) -> None:
        if self.reached.wait(self._bound_s):
            return
        try:
            structlog.get_logger(self._name).error(
                "part_ends_late", part=self._name, after_s=self._bound_s
            )
        finally:  # where it said so may be what hangs
            os._exit(1)


async def _serve(
    settings: Settings,
    name: str,
    part: Part,
    end: _End,
    expected: tuple[str, ...],
    routes: Iterable[web.RouteDef],
) -> int:
    log = structlog.get_logger(name)
    metrics = Metrics(build=identity()[0][:12], secrets=settings.secrets())
    health = Health(expected=expected, secrets=settings.secrets())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _told, stop, end)
    server = await serve(settings.http, health=health, metrics=metrics, routes=routes)
    log.info(
        "part_started", part=name, http=f"{settings.http.host}:{server.port}",
        settings=settings.redacted(), process=os.getpid(),
    )  # fmt: skip
    stalls = asyncio.create_task(watch_stalls(metrics))
    code = 0
    try:
        await part(stop, metrics, health)
    except Exception as error:
        health.set(name, ok=False, reason=str(error), vital=True)
        log.exception("part_failed", part=name, error=f"{type(error).__name__}: {error}")
        code = 1
    finally:
        end.begin()
        stalls.cancel()
        await server.close()
    log.info("part_ended", part=name, code=code)
    return code


def _told(stop: asyncio.Event, end: _End) -> None:
    stop.set()
    end.begin()
