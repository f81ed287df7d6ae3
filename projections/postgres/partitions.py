"""Partitions by month, made when the first row of a month comes, in that row's transaction.

Place in the flow: asked by the sink before it writes. Rows whose time is far from the journal's
(odd clocks, hostile senders) go to the default partition, so that nobody can make us create
thousands; rows found there are moved when their month is made. A table that is no partitioned one
(a hypertable) needs nothing of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from psycopg import errors, sql

from projections.postgres.connecting import Connection
from projections.postgres.tables import Table

__all__ = ["BACK_NS", "FORWARD_NS", "Month", "Partitions", "month_of"]

_DAY_NS = 86_400 * 10**9
BACK_NS, FORWARD_NS = 400 * _DAY_NS, 40 * _DAY_NS
"""How far before and after the journal's time a row's time may be to be given a month."""
_PARTED = """
    SELECT c.relname, p.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits i ON i.inhparent = c.oid LEFT JOIN pg_class p ON p.oid = i.inhrelid
    WHERE n.nspname = %s AND c.relkind = 'p'"""

_MOVE = """
    WITH moved AS (
        DELETE FROM {default} WHERE {moment} >= {since} AND {moment} < {until} RETURNING *
    ) INSERT INTO {part} SELECT * FROM moved"""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @property
    def suffix(self) -> str:
        """What a partition's name ends in."""
        return f"y{self.year:04d}m{self.month:02d}"

    @property
    def bounds(self) -> tuple[str, str]:
        """First moment, and first moment after."""
        after = self.year * 12 + self.month
        return (
            f"{self.year:04d}-{self.month:02d}-01 00:00:00+00",
            f"{after // 12:04d}-{after % 12 + 1:02d}-01 00:00:00+00",
        )


def month_of(ns: int) -> Month:
    """The month a time, ns UTC, lies in."""
    at = datetime.fromtimestamp(ns // 10**9, UTC)
    return Month(at.year, at.month)


@dataclass(slots=True)
class Partitions:
    """Which partitions a schema has, as far as this writer knows."""

    schema: str
    names: dict[str, set[str]] = field(default_factory=dict)
    """Partitioned table to its partitions; a table that is none of these is not listed."""

    def load(self, connection: Connection) -> None:
        """Look what is there."""
        self.names = {}
        for table, part in connection.execute(_PARTED, [self.schema]):
            self.names.setdefault(table, set()).update([part] if part else [])

    def ensure(
        self, connection: Connection, table: Table, times: Iterable[int], *, first: int, last: int
    ) -> bool:
        """Make the months of these times; whether any was made. Call inside a transaction.

        first, last: journal time of the records, ns UTC. Where a reader holds up the making, the
        rows go to the default partition, and the month is tried again with the next ones. Whoever
        rolls the transaction back must load() again.
        """
        parts = self.names.get(table.name)
        if parts is None:
            return False
        near = (ns for ns in times if first - BACK_NS <= ns <= last + FORWARD_NS)
        made = False
        for month in sorted({month_of(ns) for ns in near}):
            name = f"{table.name}_{month.suffix}"
            if name not in parts and self._make(connection, table, name, month):
                parts.add(name)
                made = True
        return made

    def _make(self, connection: Connection, table: Table, name: str, month: Month) -> bool:
        parent = sql.Identifier(self.schema, table.name)
        default = sql.Identifier(self.schema, f"{table.name}_default")
        part, moment = sql.Identifier(self.schema, name), sql.Identifier(table.moment or "")
        since, until = map(sql.Literal, month.bounds)
        statements = (
            "SET LOCAL lock_timeout = '2s'",
            "CREATE TABLE {part} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            _MOVE,
            "ALTER TABLE {parent} ATTACH PARTITION {part} FOR VALUES FROM ({since}) TO ({until})",
            "SET LOCAL lock_timeout = '10s'",
        )
        try:
            with connection.transaction():
                for statement in statements:
                    connection.execute(
                        sql.SQL(statement).format(
                            part=part, parent=parent, default=default, moment=moment,
                            since=since, until=until,
                        )
                    )  # fmt: skip
        except errors.LockNotAvailable:
            return False
        return True
