"""A real Apache Kafka for development and tests: one node that is broker and controller (KRaft).

One of the kinds of ops/servers_base.py. Never listens beyond 127.0.0.1, and never counts as ready
before a broker with this directory's own cluster id answers a metadata request.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import struct
import subprocess
from collections.abc import Callable
from typing import ClassVar

from ops.servers_base import CannotStart, Launch, Server, write_private
from ops.servers_jars import jars, java

__all__ = ["KafkaServer", "Metadata", "ask_metadata"]

# Java's command line for both tools: small, and quick to start on few processors.
JVM = ("-XX:+UseSerialGC", "-Dlog4j2.configurationFile=log4j2.properties")
TOOL_BOUND_S = 60
DROPPED = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")
METADATA_KEY, METADATA_VERSION = 3, 4

# Relative paths: the server runs in its directory, whose own name may hold what a properties file
# or a comma-separated list would read otherwise. Few threads and small buffers: it shares a machine
# with what is tested. Records of 3 MiB must pass. Nothing is ever deleted by age. A killed
# broker is let in again when its session has ended, so that is short.
CONFIGURATION = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs=data

auto.create.topics.enable=false
delete.topic.enable=true
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
group.min.session.timeout.ms=500

message.max.bytes=4194304
replica.fetch.max.bytes=4194304
socket.request.max.bytes=104857600
log.retention.ms=-1
log.index.size.max.bytes=1048576
log.segment.delete.delay.ms=1000

num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
"""
LOGGING = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1} %m%n
"""


class KafkaServer(Server):
    """Apache Kafka 4, one node."""

    kind: ClassVar[str] = "kafka"
    ports_wanted: ClassVar[int] = 2  # The clients' and the controller's.

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """The engine's environment variables for this server."""
        return {"COORDINATOR_KAFKA__BOOTSTRAP": self.bootstrap}

    def _prepare(
        self, facts: dict[str, str], ports: tuple[int, ...], cancelled: Callable[[], bool]
    ) -> Launch:
        program, folder = java(), jars(cancelled)
        facts.setdefault("cluster_id", _new_cluster_id())
        text = CONFIGURATION.format(port=ports[0], controller_port=ports[1])
        write_private(self.directory / "server.properties", text)
        write_private(self.directory / "log4j2.properties", LOGGING)
        run = (program, *JVM, "-cp", f"{folder}/*")
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(run, facts["cluster_id"])
        command = (*run, "-Xms128m", "-Xmx512m", "kafka.Kafka", "server.properties")
        return Launch(command, folder=self.directory, environment=_environment())

    def _format(self, run: tuple[str, ...], cluster_id: str) -> None:
        command = (*run, "-Xmx128m", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format")
        try:
            done = subprocess.run(
                (*command, "-t", cluster_id, "-c", "server.properties"),
                cwd=self.directory,
                env=_environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TOOL_BOUND_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            reason = f"formatting its folder did not end within {TOOL_BOUND_S} s"
            raise CannotStart(self.kind, reason) from error
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).splitlines()[-15:]
            raise CannotStart(self.kind, "formatting its folder failed", "", lines)

    def _answers(self) -> bool:
        try:
            answer = ask_metadata(self.port)
        except (OSError, ValueError, struct.error):
            return False
        own = answer.cluster_id == self._record.facts["cluster_id"]
        return own and self.port in answer.ports


class Metadata:
    """What a broker's answer to a metadata request says about the cluster."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._at = answer, 8  # Behind the correlation id and the throttle time.
        self.ports = [self._broker() for _ in range(self._take(">i"))]
        self.cluster_id = self._text()

    def _broker(self) -> int:
        self._take(">i")
        self._text()
        port = self._take(">i")
        self._text()
        return port

    def _take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._answer, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def _text(self) -> str:
        length = max(self._take(">h"), 0)
        self._at += length
        return self._answer[self._at - length : self._at].decode()


def ask_metadata(port: int, *, bound_s: float = 2.0) -> Metadata:
    """What the broker on 127.0.0.1 says of itself. Raises OSError, ValueError, struct.error."""
    client = b"ops-servers"
    body = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 1, len(client)) + client
    body += struct.pack(">i?", 0, False)  # noqa: FBT003 - on the wire: create no topics.
    with socket.create_connection(("127.0.0.1", port), timeout=bound_s) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            if not 0 < size < 1 << 20:
                raise ValueError("not a broker's answer")
            return Metadata(stream.read(size))


def _new_cluster_id() -> str:
    """16 random bytes as Kafka writes them; a leading dash would read as an option."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _environment() -> dict[str, str]:
    """Without what a user has set for other Java programs."""
    return {name: value for name, value in os.environ.items() if name not in DROPPED}
