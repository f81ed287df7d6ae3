"""Health and metrics over HTTP, on the one address that the settings give.

Place in the flow: beside a shell or a projection, in its event loop or in a thread of its own;
read by orchestrators, Prometheus and people. Must never decide anything, take a request that
changes something, or let a slow client hold it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

import structlog
from aiohttp import web, web_response
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import JsonValue

from coordinator.settings import HttpSettings
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics

__all__ = ["Server", "ThreadServer", "serve", "serve_in_thread"]

HEADERS_S_MAX = 10
"""A request must be complete, and the next one begun, within this time."""
ANSWER_S_MAX = 10
CLOSE_S_MAX = 2.0
LOOP_TURNS = 5
BODY_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 128
FAULT_CHARS_MAX = 200

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)


class Server:
    """What is being served, until `close`. port: the real one, also where the settings said any."""

    def __init__(self, runner: web.AppRunner, host: str) -> None:
        self._runner = runner
        self.host = host
        self.port = int(runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening, let open requests end for a moment, and end them."""
        # A connection becomes one that cleanup sees a few turns of the loop after it is accepted,
        # and is let go of a few turns after it is ended; these may be the loop's last.
        await _turn_loop()
        await self._runner.cleanup()
        await _turn_loop()


async def _turn_loop() -> None:
    for _ in range(LOOP_TURNS):
        await asyncio.sleep(0)


async def serve(
    settings: HttpSettings,
    *,
    health: Health,
    metrics: Metrics,
    routes: Iterable[web.AbstractRouteDef] = (),
) -> Server:
    """Serve /livez, /readyz and /metrics, and more routes if given, from this event loop.

    Raises OSError, with the address in its text, where it cannot be listened on.
    """
    # The library tells its version and Python's in every answer, malformed requests' included, and
    # has no setting for it.
    setattr(web_response, "SERVER_SOFTWARE", "coordinator")  # noqa: B010 - not the module's to export
    app = web.Application(middlewares=[_guard], client_max_size=BODY_BYTES_MAX)
    app.router.add_get("/livez", _told(health.live))
    app.router.add_get("/readyz", _told(health.ready))
    app.router.add_get("/metrics", _metrics(health, metrics))
    app.add_routes(routes)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_RequestLog(logging.getLogger("aiohttp.server"), {}),
        handle_signals=False,
        keepalive_timeout=HEADERS_S_MAX,
        lingering_time=1.0,
        shutdown_timeout=CLOSE_S_MAX,
    )
    app[_RUNNER] = runner
    app[_ASKING] = set()
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=CONNECTIONS_MAX).start()
    except OSError as error:
        await runner.cleanup()
        where = f"{settings.host}:{settings.port}"
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"HTTP cannot listen on {where}: {reason}") from error
    server = Server(runner, settings.host)
    log.info("http_listening", host=settings.host, port=server.port)
    return server


_RUNNER = web.AppKey("runner", web.AppRunner)
_ASKING = web.AppKey("asking", set[RequestHandler])
"""Connections whose request is being answered; the others are idle, or send one."""


class _RequestLog(logging.LoggerAdapter[logging.Logger]):
    """What the library says of requests; a malformed one is one line for debugging."""

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        fault = options.get("exc_info")
        if isinstance(fault, HttpProcessingError):
            said = (type(fault).__name__, fault.message.partition("\n")[0][:FAULT_CHARS_MAX])
            options["exc_info"] = None
            level, msg, args = logging.DEBUG, f"{msg}: %s: %s", (*args, *said)
        super().log(level, msg, *args, **options)


def _has_room(request: web.Request) -> bool:
    """Whether few enough are connected, once the idle ones that came first are sent away."""
    server = request.app[_RUNNER].server
    there = [] if server is None else [one for one in server.connections if one.transport]
    over = len(there) - CONNECTIONS_MAX
    idle = [one for one in there if one not in request.app[_ASKING]]
    for one in idle[: max(0, over)]:
        one.force_close()
    return over <= len(idle)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every answer in time and in JSON, or the connection ends."""
    asking, connection = request.app[_ASKING], request.protocol
    asking.add(connection)
    try:
        return await _guarded(request, handler)
    finally:
        asking.discard(connection)


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    if _has_room(request):
        response = await _answered(request, handler)
    else:
        response = _error(503, "too many connections")
        response.force_close()
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if isinstance(response, web.Response):
        # Sent here, so that a client that does not read cannot hold it; the library sees it done.
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refused:
        response = _error(refused.status, refused.reason)
        if "Allow" in refused.headers:
            response.headers["Allow"] = refused.headers["Allow"]
        return response
    except Exception:
        log.exception("http_request_failed", path=request.path)
        return _error(500, "internal error; the log has it")


def _error(status: int, reason: str) -> web.Response:
    return web.json_response({"ok": False, "error": reason}, status=status)


def _told(ask: Callable[[], tuple[bool, dict[str, JsonValue]]]) -> Handler:
    async def told(_request: web.Request) -> web.StreamResponse:
        ok, reasons = ask()
        return web.json_response(reasons, status=200 if ok else 503)

    return told


def _metrics(health: Health, metrics: Metrics) -> Handler:
    async def rendered(_request: web.Request) -> web.StreamResponse:
        metrics.ready.set(health.ready()[0])
        body = await asyncio.to_thread(metrics.render)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return rendered


class ThreadServer:
    """A server in a thread of its own: it answers also while the process computes."""

    def __init__(self, start: Callable[[], Awaitable[Server]]) -> None:
        self._started: Future[tuple[Server, asyncio.AbstractEventLoop]] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(start)), name="http", daemon=True
        )
        self._thread.start()
        self._server, self._loop = self._started.result()

    @property
    def host(self) -> str:
        """The address that is listened on."""
        return self._server.host

    @property
    def port(self) -> int:
        """The port that is listened on, also where the settings said any."""
        return self._server.port

    def close(self) -> None:
        """Stop serving and end the thread. May be called again."""
        with contextlib.suppress(RuntimeError):  # The loop is closed already.
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self, start: Callable[[], Awaitable[Server]]) -> None:
        try:
            server = await start()
        except BaseException as error:  # noqa: BLE001 - raised where the thread was asked for
            self._started.set_exception(error)
            return
        self._started.set_result((server, asyncio.get_running_loop()))
        await self._stop.wait()
        await server.close()


def serve_in_thread(
    settings: HttpSettings,
    *,
    health: Health,
    metrics: Metrics,
    routes: Iterable[web.AbstractRouteDef] = (),
) -> ThreadServer:
    """As `serve`, for synchronous processes and for those whose loop may stand still."""
    return ThreadServer(lambda: serve(settings, health=health, metrics=metrics, routes=routes))
