"""A build of the Postgres projection in a schema of its own, and its swap by renaming.

Place in the flow: the Postgres half of `projections.rebuild`. The swap waits until no transaction
that has read the live tables is open, keeps new ones waiting for a moment, and renames both schemas
in one transaction: nobody reads some tables of the one and some of the other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from psycopg import errors, sql

from projections.checkpoints import Marks
from projections.errors import TargetBusy, TargetChanged
from projections.postgres.connecting import (
    TARGET,
    Connection,
    connect,
    lock_key,
    translated,
)
from projections.postgres.migrate import migrations, schema_version
from projections.postgres.reading import PostgresView, read_marks
from projections.postgres.sink import PostgresSink
from projections.postgres.tables import TABLES
from projections.sink import Snapshot

__all__ = ["PostgresRebuild"]

_WAIT_SECONDS = 60.0
_TRY_PAUSE = 0.1
_BESIDE = "SELECT nspname FROM pg_namespace WHERE nspname ~ %s ORDER BY nspname"
_ALL = (*(table.name for table in TABLES), "checkpoints", "migrations")


@dataclass(frozen=True, slots=True)
class _Live:
    dsn: str = field(repr=False)
    schema: str

    def snapshot(self) -> Snapshot:
        return PostgresView(self.dsn, self.schema).snapshot()

    def marks(self) -> Marks:
        with closing(connect(self.dsn, name="coordinator rebuild")) as connection, translated():
            return read_marks(connection, self.schema)

    def obstacle(self) -> str:
        with closing(connect(self.dsn, name="coordinator rebuild")) as connection:
            version = schema_version(connection, self.schema)
        if version == len(migrations()):
            return ""
        return f"the live schema has version {version}, this build makes {len(migrations())}"


@dataclass(slots=True)
class PostgresRebuild:
    """A rebuild of one schema. keep_old: leave what was replaced, as SCHEMA_old_N."""

    dsn: str = field(repr=False)
    schema: str = "coordinator"
    keep_old: bool = False
    wait_seconds: float = _WAIT_SECONDS
    name: str = field(default=TARGET, init=False)
    old: str = field(default="", init=False)
    """The schema that the replaced one was renamed to."""
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _sink: PostgresSink | None = field(default=None, init=False, repr=False)

    def claim(self) -> None:
        """Hold the rebuild's lock, and drop builds that were left."""
        self._connection = connection = connect(self.dsn, name=f"coordinator rebuild {self.schema}")
        with translated():
            # This session waits while the build is filled in another.
            connection.execute("SET idle_session_timeout = 0")
            connection.execute("SET idle_in_transaction_session_timeout = '600s'")
            key = lock_key("rebuild", self.schema)
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
            if row is None or not row[0]:
                raise TargetBusy(TARGET, f"another rebuild of schema {self.schema} is under way")
            for left in self._beside("build"):
                _drop(connection, left)

    def live(self) -> _Live | None:
        """The schema that is read, if there is one."""
        if schema_version(self._mine(), self.schema) is None:
            return None
        return _Live(self.dsn, self.schema)

    def build(self) -> PostgresSink:
        """An empty schema beside it."""
        numbers = [int(name.rpartition("_")[2]) for name in self._beside("build|old")]
        self._sink = PostgresSink(
            self.dsn, f"{self.schema}_build_{max(numbers, default=0) + 1}", exclusive=False
        )
        self._sink.open()
        return self._sink

    def swap(self, finish: Callable[[Marks], None]) -> None:
        """Rename both in one transaction, with the live writer kept waiting."""
        connection, sink = self._mine(), self._sink
        if sink is None:
            raise TargetChanged(TARGET, "nothing was built")
        self.old = sink.schema.replace("_build_", "_old_")
        with translated(), connection.transaction():
            # Nobody opens, and so makes, the live schema meanwhile.
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s)", [lock_key("migrate", self.schema)]
            )
            exists = schema_version(connection, self.schema) is not None
            if exists:
                writer = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE")
                connection.execute(writer.format(sql.Identifier(self.schema, "projection")))
                finish(read_marks(connection, self.schema))
                self._wait_for_readers(connection)
                _rename(connection, self.schema, self.old)
            else:
                finish({})
                self.old = ""
            _rename(connection, sink.schema, self.schema)
        sink.close()
        self._sink = None
        if self.old and not self.keep_old:
            with translated():
                _drop(connection, self.old)

    def drop(self) -> None:
        """Drop the build's schema."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()
            with translated():
                _drop(self._mine(), sink.schema)

    def close(self) -> None:
        """End the session, and with it the lock."""
        if self._sink is not None:
            self._sink.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _mine(self) -> Connection:
        if self._connection is None:
            raise TargetChanged(TARGET, "the rebuild was not claimed")
        return self._connection

    def _beside(self, kinds: str) -> list[str]:
        """Schemas of other builds of this one."""
        pattern = f"^{re.escape(self.schema)}_({kinds})_[0-9]+$"
        with translated():
            return [name for (name,) in self._mine().execute(_BESIDE, [pattern])]

    def _wait_for_readers(self, connection: Connection) -> None:
        """Hold every table alone. Tried in short waits, so that readers are not kept long.

        A wait shorter than the server's deadlock_timeout gives way before a reader is ended.
        """
        names = sql.SQL(", ").join(
            sql.SQL("ONLY {}").format(sql.Identifier(self.schema, name)) for name in _ALL
        )
        statement = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names)
        end = time.monotonic() + self.wait_seconds
        while True:
            try:
                with connection.transaction():
                    connection.execute("SET LOCAL lock_timeout = '400ms'")
                    connection.execute(statement)
            except errors.LockNotAvailable as error:
                if time.monotonic() >= end:
                    what = f"transactions that read schema {self.schema} did not end"
                    raise TargetBusy(TARGET, f"{what} in {self.wait_seconds:.0f} s") from error
                time.sleep(_TRY_PAUSE)
            else:
                return


def _rename(connection: Connection, before: str, after: str) -> None:
    statement = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    connection.execute(statement.format(sql.Identifier(before), sql.Identifier(after)))


def _drop(connection: Connection, schema: str) -> None:
    """Table by table: all at once may need more locks than a server has."""
    for table in TABLES:
        statement = sql.SQL("DROP TABLE IF EXISTS {} CASCADE")
        connection.execute(statement.format(sql.Identifier(schema, table.name)))
    statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
    connection.execute(statement.format(sql.Identifier(schema)))
