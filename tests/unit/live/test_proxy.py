"""The proxy passes all on, stands still when told so, and loses nothing by it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from ops.servers_process import unused_port
from tests.live.proxy import Proxy

BOUND_S = 10.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says again what it hears, to one client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(BOUND_S)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(BOUND_S)
                while data := connection.recv(1024):
                    connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(BOUND_S)


def test_stalls_and_flows(echo: int) -> None:
    with (
        Proxy(unused_port(), echo) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=BOUND_S) as client,
    ):
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        proxy.stall()
        client.sendall(b"two")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        proxy.flow()
        client.settimeout(BOUND_S)
        assert client.recv(10) == b"two"
