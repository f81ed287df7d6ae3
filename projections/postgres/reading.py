"""Reads the Postgres projection: its marks, its build, digests of its views.

Place in the flow: for the writer, a rebuild's comparison, `projections status` and checkers. Must
never write.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass, field

from psycopg import IsolationLevel, errors, sql

from projections.checkpoints import Mark, Part, mark_from
from projections.errors import ProjectionStopped, TargetChanged
from projections.postgres.connecting import (
    TARGET,
    Connection,
    connect,
    lock_key,
    translated,
)
from projections.postgres.migrate import migrations, schema_version
from projections.postgres.tables import TABLES, Table
from projections.sink import Inspection, Snapshot, ViewDigest

__all__ = ["PostgresView", "build_of", "has_writer", "is_writer", "read_marks", "snapshot"]


@dataclass(frozen=True, slots=True)
class PostgresView:
    """A projection read from outside, without becoming its writer."""

    dsn: str = field(repr=False)
    schema: str = "coordinator"

    def snapshot(self) -> Snapshot:
        """Marks and digests of all views, as of one moment. Raises TargetAway, TargetChanged."""
        with closing(connect(self.dsn, name="coordinator reader")) as connection, translated():
            return snapshot(connection, self.schema)

    def inspect(self) -> Inspection:
        """Version, writer, marks and rows. Raises TargetAway."""
        with closing(connect(self.dsn, name="coordinator status")) as connection, translated():
            version = schema_version(connection, self.schema)
            known = len(migrations())
            writer = has_writer(connection, self.schema)
            if version is None:
                return Inspection("", None, known, writer, {}, {})
            rows = {table.name: _count(connection, table, self.schema) for table in TABLES}
            marks = read_marks(connection, self.schema)
            return Inspection(
                build_of(connection, self.schema), version, known, writer, marks, rows
            )


def _count(connection: Connection, table: Table, schema: str) -> int | None:
    """Rows of a table; None where counting takes too long, or a newer build has no such table."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table.name))
    try:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = '2s'")
            found = connection.execute(statement).fetchone()
    except (errors.QueryCanceled, errors.UndefinedTable):
        return None
    return None if found is None else int(found[0])


def build_of(connection: Connection, schema: str) -> str:
    """Which build of the views stands in the schema."""
    statement = sql.SQL("SELECT build FROM {}").format(sql.Identifier(schema, "projection"))
    found = connection.execute(statement).fetchone()
    if found is None:
        raise TargetChanged(TARGET, f"schema {schema} says of no build that it is")
    build: str = found[0]
    return build


def read_marks(connection: Connection, schema: str) -> dict[Part, Mark]:
    """How far each topic and shard is projected."""
    statement = sql.SQL("SELECT topic, shard, mark FROM {}").format(
        sql.Identifier(schema, "checkpoints")
    )
    try:
        return {
            (topic, shard): mark_from(text) for topic, shard, text in connection.execute(statement)
        }
    except ValueError as error:
        what = f"the checkpoints of schema {schema} cannot be read; rebuild the projection"
        raise ProjectionStopped(TARGET, what) from error


def snapshot(connection: Connection, schema: str) -> Snapshot:
    """Marks and digests of all views, as of one moment."""
    if schema_version(connection, schema) is None:
        raise TargetChanged(TARGET, f"there is no projection in schema {schema}")
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            marks = read_marks(connection, schema)
            views = {table.name: _digest(connection, table, schema) for table in TABLES}
    finally:
        connection.isolation_level = before
    return Snapshot(marks, views)


_HOLDERS = """
    SELECT pid = pg_backend_pid() FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32 | objid::bigint) = %s"""


def has_writer(connection: Connection, schema: str) -> bool:
    """Whether a projector holds the schema now."""
    return connection.execute(_HOLDERS, [lock_key("writer", schema)]).fetchone() is not None


def is_writer(connection: Connection, schema: str) -> bool:
    """Whether this very session holds the schema."""
    found = connection.execute(_HOLDERS, [lock_key("writer", schema)]).fetchone()
    return found is not None and bool(found[0])


def _digest(connection: Connection, table: Table, schema: str) -> ViewDigest:
    found = hashlib.sha256()
    rows = 0
    with connection.cursor() as cursor, cursor.copy(table.copy_out(schema)) as copy:
        for block in copy:
            found.update(block)
            # Line ends inside a text are escaped in this format.
            rows += bytes(block).count(b"\n")
    return ViewDigest(rows, found.hexdigest())
