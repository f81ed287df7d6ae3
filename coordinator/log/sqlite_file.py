"""The SQLite file of a log: its schema, opening and recognising it, SQLite's errors in our words.

Place in the flow: `sqlite.SqliteLog` stands on it. It must never change a file that is not a log of
ours.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from coordinator.log.errors import LogError, LogFull, LogLocked, LogUnreadable, NotALog

__all__ = ["FOREIGN", "MAGIC", "connect", "translated"]

MAGIC = b"SQLite format 3\0"
# A damaged schema comes back inside SQLite's message, which may then be no text at all.
FOREIGN = (sqlite3.Error, UnicodeDecodeError)
_APPLICATION_ID = 0x434F4C47  # "COLG"
_VERSION = 1
_BUSY_S = 2.0
_RECORDS = (
    "CREATE TABLE records (topic TEXT NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL, "
    "journal_time INTEGER NOT NULL, bytes BLOB NOT NULL, hash BLOB NOT NULL, "
    "PRIMARY KEY (topic, shard, position)) WITHOUT ROWID"
)
_HEADS = (
    "CREATE TABLE heads (topic TEXT NOT NULL, shard INTEGER NOT NULL, end INTEGER NOT NULL, "
    "hash BLOB NOT NULL, PRIMARY KEY (topic, shard)) WITHOUT ROWID"
)
_SETTINGS = (
    "PRAGMA trusted_schema=OFF",
    # Structure is checked when a page is loaded: a damaged page is an error, not a wild read.
    "PRAGMA cell_size_check=ON",
    # A file that shrinks under a memory map would kill the process.
    "PRAGMA mmap_size=0",
)


def connect(path: Path, *, readonly: bool, durable: bool) -> sqlite3.Connection:
    """A connection to the log at `path`, made when writing and missing or blank.

    Raises NotALog (missing, foreign, newer), LogLocked, LogUnreadable.
    """
    where = str(path)
    _refuse_what_is_no_file(path, readonly=readonly)
    with translated(where):
        connection = sqlite3.connect(
            _uri(path, readonly=readonly),
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
    try:
        with translated(where):
            _prepare(connection, where, readonly=readonly, durable=durable)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def translated(
    where: str, *, last_good: tuple[str, int, int] | None = None, unwritten: str | None = None
) -> Iterator[None]:
    """Raise SQLite's errors as ours. unwritten: what is lost when the disk is full."""
    try:
        yield
    except FOREIGN as error:
        raise _in_our_words(error, where, last_good, unwritten) from error


def _in_our_words(
    error: Exception, where: str, last_good: tuple[str, int, int] | None, unwritten: str | None
) -> LogError:
    extended: int = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return LogLocked(where, "another program holds it")
    # A quota or a limit on file sizes shows as a failed write rather than as a full disk.
    no_room = {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
    }
    if code == sqlite3.SQLITE_FULL or (unwritten is not None and extended in no_room):
        return LogFull(where, unwritten or "nothing was asked to be", str(error))
    if code == sqlite3.SQLITE_NOTADB:
        what = "it is no SQLite file, or its header is damaged"
        return NotALog(where, what, remedy="check the path, or restore the file from a copy")
    return LogUnreadable(where, f"SQLite says: {error}", last_good=last_good)


def _refuse_what_is_no_file(path: Path, *, readonly: bool) -> None:
    where = str(path)
    try:
        if path.is_dir():
            raise NotALog(where, "it is a folder", remedy="give the path of a file")
        if readonly and not path.exists():
            raise NotALog(where, "there is no such file", remedy="check the path")
        if path.exists() and not path.is_file():
            raise NotALog(where, "it is no regular file", remedy="give the path of a file")
    except (OSError, ValueError) as error:
        raise NotALog(
            where, f"it cannot be looked at ({error})", remedy="check the path"
        ) from error


def _uri(path: Path, *, readonly: bool) -> str:
    place = f"file:{quote(str(path.absolute()))}"
    if not readonly:
        return f"{place}?mode=rwc"
    if os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK):
        # A reader that may write removes the -wal and -shm files it needed; a read-only one leaves
        # them.
        return f"{place}?mode=rw"
    settled = not path.with_name(path.name + "-wal").exists()
    return f"{place}?mode=ro" + ("&immutable=1" if settled else "")


def _prepare(connection: sqlite3.Connection, where: str, *, readonly: bool, durable: bool) -> None:
    # Text stays bytes, so that a damaged text is a wrong value for us to find and no foreign error.
    connection.text_factory = bytes
    for setting in _SETTINGS:
        connection.execute(setting)
    if readonly:
        connection.execute("PRAGMA query_only=ON")
        _recognise(connection, where)
        return
    if _is_blank(connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        _create(connection)
    _recognise(connection, where)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")


def _is_blank(connection: sqlite3.Connection) -> bool:
    """True for a file without content, or one whose first writer died before it made the tables."""
    return _identity(connection) == (0, 0) and not _schema(connection)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_RECORDS)
    connection.execute(_HEADS)
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={_VERSION}")
    connection.execute("COMMIT")


def _recognise(connection: sqlite3.Connection, where: str) -> None:
    application_id, version = _identity(connection)
    if application_id != _APPLICATION_ID:
        what = "the SQLite file belongs to another program or is empty"
        raise NotALog(where, what, remedy="check the path")
    if version != _VERSION:
        what = f"its format has version {version}, this build reads {_VERSION}"
        raise NotALog(where, what, remedy="use the build that wrote it, or a newer one")
    if _schema(connection) != sorted([_RECORDS.encode(), _HEADS.encode()]):
        raise LogUnreadable(where, "its tables are not those of a log")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _schema(connection: sqlite3.Connection) -> list[bytes]:
    rows = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    return sorted(row[0] if isinstance(row[0], bytes) else b"" for row in rows)
