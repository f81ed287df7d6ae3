"""Connections to Redis with an end to every wait, and its errors as ours.

Place in the flow: every connection of the Redis projection is made here; no foreign error passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import redis
from redis import exceptions

from projections.errors import ProjectionStopped, SchemaRefused, TargetAway

__all__ = ["TARGET", "Client", "connect", "translated"]

TARGET = "redis"
Client: TypeAlias = "redis.Redis"
_SECONDS = 5.0
_NOT_NOW = ("LOADING", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ",
            "READONLY", "OOM ")  # fmt: skip
"""How replies begin that say not now: no memory, no disk, no replica, another server's turn."""
_FORBIDDEN = ("NOPERM",)


def connect(url: str) -> Client:
    """A client; nothing is sent yet. Raises ProjectionStopped for a URL that is none."""
    try:
        made: Client = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS,
            socket_keepalive=True, retry=None, client_name="coordinator-projection",
        )  # fmt: skip
    except ValueError:
        # From None: the library's words hold the URL, which may hold a password.
        raise ProjectionStopped(TARGET, "the URL is none: give redis://HOST:PORT/DB") from None
    return made


@contextmanager
def translated() -> Iterator[None]:
    """Foreign errors as ours."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise TargetAway(TARGET, _words(error)) from error
    except exceptions.RedisError as error:
        said = _words(error)
        # A script's error begins like the command's, or with the error's class.
        if said.startswith(_NOT_NOW) or isinstance(error, exceptions.OutOfMemoryError):
            raise TargetAway(TARGET, said) from error
        if said.startswith(_FORBIDDEN) or isinstance(error, exceptions.NoPermissionError):
            raise SchemaRefused(TARGET, f"{said}; grant it, then start again") from error
        raise ProjectionStopped(TARGET, f"{type(error).__name__}: {said}") from error


def _words(error: Any) -> str:
    return " ".join(str(error).split()) or type(error).__name__
