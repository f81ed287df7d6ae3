"""Connections to PostgreSQL that notice when the other end is gone, and its errors as ours.

Place in the flow: every connection of the Postgres projection is made here. No foreign error
passes, and no wait for the server is without an end.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import errors, sql

from projections.errors import (
    ProjectionStopped,
    RowRefused,
    SchemaRefused,
    TargetAway,
    TargetChanged,
)

__all__ = ["TARGET", "Connection", "connect", "ended_after", "lock_key", "translated"]

TARGET = "postgres"
Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

_PARAMETERS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_UNREADABLE = (
    "postgres.dsn is no address that can be read; in a postgresql:// address the characters "
    "% @ : / ? # [ ] of a user or password are written as %25 %40 %3A %2F %3F %23 %5B %5D"
)
_SESSION = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO'",
    "SET extra_float_digits = 1",
    "SET client_min_messages = 'warning'",
    "SET lock_timeout = '10s'",
    # A writer that stopped without ending (a frozen process, a host that is gone) loses its
    # session and with it the lock, so that a standby can take over.
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET idle_session_timeout = '60s'",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_GONE = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn)
_REFUSED = (errors.DataError, errors.IntegrityError)
_NOT_NOW = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,  # A standby that was just promoted, or is about to be.
)


def connect(dsn: str, *, name: str) -> Connection:
    """An autocommitting connection. Raises TargetAway.

    name: shown by the server among its sessions. What dsn says of time limits is kept.
    """
    try:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        # Not the driver's words, nor its error as the cause: both show the part, a password's too.
        raise ProjectionStopped(TARGET, _UNREADABLE) from None
    with translated():
        options = {key: value for key, value in _PARAMETERS.items() if key not in given}
        made = psycopg.connect(dsn, autocommit=True, application_name=name, **options)
        try:
            made.execute(sql.SQL("; ".join(_SESSION)))
        except BaseException:
            made.close()
            raise
    return made


@contextmanager
def translated(view: str = "the projection") -> Iterator[None]:
    """Foreign errors as ours. view: whose rows are being written."""
    try:
        yield
    except _NOT_NOW as error:
        raise TargetAway(TARGET, _words(error)) from error
    except _GONE as error:
        raise TargetChanged(TARGET, f"a table is gone: {_words(error)}") from error
    except _REFUSED as error:
        raise RowRefused(TARGET, view, _words(error)) from error
    except errors.InsufficientPrivilege as error:
        raise SchemaRefused(TARGET, f"{_words(error)}; grant it, then start again") from error
    except psycopg.Error as error:
        raise ProjectionStopped(TARGET, f"{type(error).__name__}: {_words(error)}") from error


def _words(error: psycopg.Error) -> str:
    """The server's words in one line; its details name values, which may be anybody's."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(said.split())


@contextmanager
def ended_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection if what is done inside takes longer: a frozen server never answers."""
    descriptor = os.dup(connection.fileno())
    timer = threading.Timer(seconds, _cut, [descriptor])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        os.close(descriptor)


def _cut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)


def lock_key(*words: str) -> int:
    """The key of an advisory lock, a signed 64-bit number that only these words have."""
    found = hashlib.sha256("\t".join(("coordinator projections", *words)).encode()).digest()
    return int.from_bytes(found[:8], "big", signed=True)
