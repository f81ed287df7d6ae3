"""The writer of the Postgres projection: rows and marks of a batch in one transaction.

Place in the flow: a Sink behind the projector. One writer at a time holds a session's advisory
lock, and writes in that very session: who has lost it cannot write. Each transaction first makes
sure that the schema is still the build it was opened as, so that a rebuild that is swapped in is
noticed and never mixed with what it replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from projections.checkpoints import START, Mark, Marks, Part, mark_text
from projections.errors import ProjectionError, TargetBusy, TargetChanged
from projections.following import Batch
from projections.postgres.connecting import (
    TARGET,
    Connection,
    connect,
    ended_after,
    lock_key,
    translated,
)
from projections.postgres.migrate import migrate
from projections.postgres.partitions import Partitions
from projections.postgres.reading import build_of, is_writer, read_marks, snapshot
from projections.postgres.tables import TABLES, Table, newest
from projections.rows import HoldingRow, PortfolioViewRow, Row
from projections.sink import Snapshot

__all__ = ["PostgresSink"]

_COMMIT_SECONDS = 120.0
_BEAT_SECONDS = 12.0
"""A little more than a lock is waited for: only a server that does not answer takes so long."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITIONS = (PortfolioViewRow, HoldingRow)
_FIRST_MARK = """
    INSERT INTO {table} (as_of, next, journal_time, mark, topic, shard)
    VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_NEXT_MARK = """
    UPDATE {table} SET (as_of, next, journal_time, mark, written_at) = (%s, %s, %s, %s, now())
    WHERE topic = %s AND shard = %s AND mark = %s"""
_OLD_HOLDINGS = """
    DELETE FROM {holdings} h USING {views} v
    WHERE v.portfolio = h.portfolio AND h.portfolio = ANY(%s)
      AND (h.as_of_shard, h.as_of_seq) < (v.as_of_shard, v.as_of_seq)"""


@dataclass(slots=True)
class PostgresSink:
    """Writes one schema. exclusive: as the one writer of it; a rebuild's own schema needs none."""

    dsn: str = field(repr=False)
    schema: str = "coordinator"
    exclusive: bool = True
    commit_seconds: float = _COMMIT_SECONDS
    beat_seconds: float = _BEAT_SECONDS
    name: str = field(default=TARGET, init=False)
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _partitions: Partitions = field(init=False, repr=False)
    _build: str = field(default="", init=False)
    _staged: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._partitions = Partitions(self.schema)

    def open(self) -> Marks:
        """Connect where need be, take the lock, migrate, and read the marks."""
        connection = self._connected()
        try:
            with translated(), ended_after(connection, self.commit_seconds):
                self._lock(connection)
                migrate(connection, self.schema)
                with connection.transaction():
                    self._build = build_of(connection, self.schema)
                    self._partitions.load(connection)
                    return read_marks(connection, self.schema)
        except TargetBusy:
            raise  # The connection waits for its turn.
        except ProjectionError:
            self.close()
            raise

    def commit(self, batch: Batch) -> None:
        """Write the batch; see Sink."""
        connection = self._mine()
        try:
            with (
                translated(), ended_after(connection, self.commit_seconds),
                connection.transaction(),
            ):  # fmt: skip
                self._hold(connection)
                self._write_rows(connection, batch)
                for part, mark in batch.after.items():
                    self._move(connection, part, batch.before.get(part, START), mark)
        except ProjectionError:
            self.close()
            raise

    def beat(self) -> None:
        """Keep the session, and notice a swap."""
        connection = self._mine()
        try:
            with (
                translated(), ended_after(connection, self.beat_seconds),
                connection.transaction(),
            ):  # fmt: skip
                self._hold(connection)
        except ProjectionError:
            self.close()
            raise

    def caught_up(self) -> None:
        """Nothing to do: rows are seen as they are written."""

    def snapshot(self) -> Snapshot:
        """Marks and digests of all views, as of one moment."""
        with translated():
            return snapshot(self._mine(), self.schema)

    def close(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection = self._connection, None
        self._staged.clear()
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def upsert(self, rows: Iterable[Row]) -> None:
        """Write rows without moving a mark, for tests of what an older row may do."""
        made = Batch(rows=list(rows), first=0, last=0)
        connection = self._mine()
        with translated(), connection.transaction():
            self._write_rows(connection, made)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self.close()
            self._connection = connect(self.dsn, name=f"coordinator projection {self.schema}")
            if not self.exclusive:  # A rebuild's: it waits while the live one is read.
                with translated():
                    self._connection.execute("SET idle_session_timeout = 0")
        return self._connection

    def _mine(self) -> Connection:
        if self._connection is None:
            raise TargetChanged(TARGET, "it is not open")
        return self._connection

    def _lock(self, connection: Connection) -> None:
        """Become the one writer; a session that is it already must not lock twice."""
        if not self.exclusive or is_writer(connection, self.schema):
            return
        key = lock_key("writer", self.schema)
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        if row is None or not row[0]:
            raise TargetBusy(TARGET, f"another projector writes schema {self.schema}")

    def _hold(self, connection: Connection) -> None:
        """Keep a swap away until the end of the transaction; refuse if one has been."""
        table = sql.Identifier(self.schema, "projection")
        connection.execute(sql.SQL("LOCK TABLE {} IN ROW SHARE MODE").format(table))
        if build_of(connection, self.schema) != self._build:
            raise TargetChanged(TARGET, "a rebuild was swapped in")

    def _write_rows(self, connection: Connection, batch: Batch) -> None:
        kinds: dict[type[Row], list[Row]] = {}
        for row in batch.rows:
            kinds.setdefault(type(row), []).append(row)
        made = False
        try:
            for table in TABLES:
                if rows := kinds.get(table.kind):
                    with translated(table.name):
                        made |= self._write(connection, table, newest(table, rows), batch)
            touched = sorted(
                {
                    row.portfolio
                    for row in batch.rows
                    if isinstance(row, (PortfolioViewRow, HoldingRow))
                }
            )
            if touched:
                self._drop_old_holdings(connection, touched)
        except BaseException:
            if made:
                self._partitions.names = {}  # Unknown again until the next open.
            raise

    def _write(self, connection: Connection, table: Table, rows: list[Row], batch: Batch) -> bool:
        made = False
        if table.moment is not None:
            moment = table.moment
            times = (getattr(row, moment) for row in rows)
            made = self._partitions.ensure(
                connection, table, times, first=batch.first, last=batch.last
            )
        if table.name not in self._staged:
            connection.execute(table.create_stage())
            self._staged.add(table.name)
        values = table.values
        with connection.cursor() as cursor:
            with cursor.copy(table.copy_in()) as copy:
                for row in rows:
                    copy.write_row(values(row))
            cursor.execute(table.upsert(self.schema))
        return made

    def _drop_old_holdings(self, connection: Connection, portfolios: list[str]) -> None:
        """What a portfolio does not hold any more, as its newest view says."""
        statement = sql.SQL(_OLD_HOLDINGS).format(
            holdings=sql.Identifier(self.schema, "holdings"),
            views=sql.Identifier(self.schema, "portfolio_views"),
        )
        connection.execute(statement, [portfolios])

    def _move(self, connection: Connection, part: Part, before: Mark, after: Mark) -> None:
        topic, shard = part
        first = before == START
        statement = sql.SQL(_FIRST_MARK if first else _NEXT_MARK).format(
            table=sql.Identifier(self.schema, "checkpoints")
        )
        time = _EPOCH + timedelta(microseconds=after.time // 1000)
        values = [after.as_of(topic), after.next, time, mark_text(after), topic, shard]
        moved = connection.execute(statement, values if first else [*values, mark_text(before)])
        if moved.rowcount != 1:
            raise TargetChanged(TARGET, f"the checkpoint of {topic}/{shard} is not where it was")
