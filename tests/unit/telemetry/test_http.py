"""Real HTTP over loopback: answers, refusals, slow clients, an end in time."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from aiohttp import web

from coordinator.settings import HttpSettings
from coordinator.telemetry import http
from coordinator.telemetry.health import Health
from coordinator.telemetry.http import ThreadServer, serve, serve_in_thread
from coordinator.telemetry.metrics import Metrics

ANY = HttpSettings(port=0)
TIMEOUT_S = 10


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[ThreadServer]:
    async def broken(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("sesame")

    routes = [web.get("/broken", broken)]
    running = serve_in_thread(ANY, health=health, metrics=Metrics(), routes=routes)
    yield running
    running.close()


def ask(server: ThreadServer, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def raw(server: ThreadServer, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as client:
        client.sendall(sent)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


def test_ready_says_each_reason_and_503_until_every_check_holds(
    server: ThreadServer, health: Health
) -> None:
    status, _, body = ask(server, "/readyz")
    assert status == 503
    assert json.loads(body)["checks"]["start"]["reason"] == "not yet known"
    health.set("kafka", True)
    health.set("shard 3", False, "catching up, 120 records behind")
    status, headers, body = ask(server, "/readyz")
    assert status == 503
    assert headers["Content-Type"].startswith("application/json")
    told = json.loads(body)
    assert told["ok"] is False
    assert told["checks"]["shard 3"]["reason"] == "catching up, 120 records behind"
    health.set("shard 3", True)
    assert ask(server, "/readyz")[0] == 200


def test_live_fails_only_for_a_vital_check(server: ThreadServer, health: Health) -> None:
    health.set("kafka", False, "away")
    assert ask(server, "/livez")[0] == 200
    health.set("progress", False, "stands still", vital=True)
    status, _, body = ask(server, "/livez")
    assert status == 503
    assert list(json.loads(body)["checks"]) == ["progress"]


def test_metrics_are_text_and_carry_readiness(server: ThreadServer, health: Health) -> None:
    health.set("kafka", True)
    status, headers, body = ask(server, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert b"\ncoordinator_ready 1.0\n" in body
    health.set("kafka", False)
    assert b"\ncoordinator_ready 0.0\n" in ask(server, "/metrics")[2]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_answers_as_get_without_a_body(
    server: ThreadServer, health: Health, path: str
) -> None:
    health.set("kafka", True)
    status, headers, body = ask(server, path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_what_is_not_served_is_refused_in_json(server: ThreadServer) -> None:
    status, _, body = ask(server, "/etc/passwd")
    assert (status, json.loads(body)) == (404, {"ok": False, "error": "Not Found"})
    status, headers, body = ask(server, "/livez", "POST")
    assert (status, json.loads(body)["error"]) == (405, "Method Not Allowed")
    assert headers["Allow"] == "GET,HEAD"


def test_a_route_that_raises_tells_the_client_nothing_of_it(server: ThreadServer) -> None:
    status, _, body = ask(server, "/broken")
    assert status == 500
    assert b"sesame" not in body
    assert ask(server, "/livez")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"complete nonsense\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_no_answer_names_the_software_and_its_version(server: ThreadServer, sent: bytes) -> None:
    received = raw(server, sent)
    assert received.startswith(b"HTTP/1.")
    head = received.partition(b"\r\n\r\n")[0].lower()
    assert b"server: coordinator" in head
    assert b"aiohttp" not in received.lower()
    assert b"python" not in received.lower()
    assert ask(server, "/livez")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"complete nonsense\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01\r\n\r\n",
    ],
)
def test_a_malformed_request_is_one_line_for_debugging(
    server: ThreadServer, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "aiohttp.server"):
        raw(server, sent)
    (record,) = [one for one in caplog.records if one.name == "aiohttp.server"]
    assert (record.levelname, record.exc_info) == ("DEBUG", None)
    assert "\n" not in record.getMessage()


def test_many_idle_connections_make_room_for_who_asks(server: ThreadServer) -> None:
    idle = [
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
        for _ in range(http.CONNECTIONS_MAX + 20)
    ]
    try:
        for _ in range(3):
            assert ask(server, "/livez")[0] == 200
        assert closed_by_server(idle[0])
        idle[-1].sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert idle[-1].recv(65536).startswith(b"HTTP/1.0 200")
    finally:
        for one in idle:
            one.close()


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEADERS_S_MAX", 0.3)
    monkeypatch.setattr(http, "ANSWER_S_MAX", 0.3)


@pytest.mark.usefixtures("_hasty")
def test_a_client_that_drips_its_request_is_cut_off_while_others_are_answered(
    health: Health,
) -> None:
    server = serve_in_thread(ANY, health=health, metrics=Metrics())
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as slow:
            slow.sendall(b"GET /livez HTTP/1.1\r\n")
            assert ask(server, "/livez")[0] == 200
            assert closed_by_server(slow, drip=b"X: y\r\n")
    finally:
        server.close()


@pytest.mark.usefixtures("_hasty")
def test_a_client_that_does_not_read_its_answer_is_cut_off(health: Health) -> None:
    async def large(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(64 * 1024 * 1024))

    routes = [web.get("/large", large)]
    server = serve_in_thread(ANY, health=health, metrics=Metrics(), routes=routes)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as slow:
            slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.6)  # Longer than an answer may take: the point of the test.
            assert ask(server, "/livez")[0] == 200
            assert closed_by_server(slow)
    finally:
        server.close()


def closed_by_server(client: socket.socket, drip: bytes = b"") -> bool:
    """Whether the server ends the connection within the timeout, fed or drained meanwhile."""
    client.settimeout(0.05)
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        try:
            if drip:
                client.sendall(drip)
            if not client.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_it_listens_on_the_given_address_only(server: ThreadServer) -> None:
    with pytest.raises(OSError, match=r"refused|unreachable|assign"):
        socket.create_connection(("127.0.0.2", server.port), timeout=TIMEOUT_S)


def test_a_port_in_use_is_told_with_its_address(server: ThreadServer, health: Health) -> None:
    taken = HttpSettings(port=server.port)
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{server.port}: "):
        serve_in_thread(taken, health=health, metrics=Metrics())


def test_closing_ends_the_thread_also_with_a_client_connected(health: Health) -> None:
    server = serve_in_thread(ANY, health=health, metrics=Metrics())
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S):
        started = time.monotonic()
        server.close()
        server.close()
        assert time.monotonic() - started < TIMEOUT_S
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)


def test_it_runs_in_an_event_loop_too(health: Health) -> None:
    async def talk() -> bytes:
        server = await serve(ANY, health=health, metrics=Metrics())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), TIMEOUT_S)
        writer.close()
        await writer.wait_closed()
        await server.close()
        return answer

    assert asyncio.run(talk()).startswith(b"HTTP/1.0 200 OK")
