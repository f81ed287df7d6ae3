"""A Kafka with a second door: a listener that is reached through a proxy which can stall.

Place in the flow: chaos. Clients that come through the proxy are told of no other address.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import ClassVar

from ops.servers_base import Launch
from ops.servers_kafka import KafkaServer

__all__ = ["TwoDoors"]


class TwoDoors(KafkaServer):
    """One broker, two listeners; the second one advertises `proxy_port`."""

    ports_wanted: ClassVar[int] = 4  # Clients, controller, behind the proxy, the proxy.

    @property
    def hidden_port(self) -> int:
        """Where the proxy goes."""
        return self._record.ports[2]

    @property
    def proxy_port(self) -> int:
        """Where the proxy must listen."""
        return self._record.ports[3]

    def fill_disk(self) -> None:
        """From now on no file of its can grow: to a broker every append fails as on a full disk.

        The limit is the process's own (RLIMIT_FSIZE, of Linux); a restart is without it. Raises
        ProcessLookupError where it does not run.
        """
        if self.pid is None:
            raise ProcessLookupError("the broker does not run")
        _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (1, most))

    def _prepare(
        self, facts: dict[str, str], ports: tuple[int, ...], cancelled: Callable[[], bool]
    ) -> Launch:
        launch = super()._prepare(facts, ports, cancelled)
        path = self.directory / "server.properties"
        path.write_text(path.read_text() + _second(ports))
        return launch


def _second(ports: tuple[int, ...]) -> str:
    """The lines that replace those above them."""
    own, controller, hidden, proxy = ports
    return (
        f"listeners=PLAINTEXT://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller},"
        f"PROXIED://127.0.0.1:{hidden}\n"
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{own},PROXIED://127.0.0.1:{proxy}\n"
        "listener.security.protocol.map="
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT\n"
        "inter.broker.listener.name=PLAINTEXT\n"
    )
