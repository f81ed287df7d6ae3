"""Brings a schema of ours up to date: numbered SQL files, each applied once, in one transaction.

Place in the flow: run by every writer when it opens its target, and by a rebuild in its fresh
schema. Must never change a schema that holds other people's tables, one that a newer build made,
or one whose applied files are not ours any more.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from functools import cache
from importlib import resources

from psycopg import sql

from projections.errors import SchemaRefused
from projections.postgres.connecting import TARGET, Connection, lock_key, translated

__all__ = ["Migration", "migrate", "migrations", "schema_version"]

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_APPLIED = "SELECT version, name, checksum FROM migrations ORDER BY version"
_TABLE = """
    CREATE TABLE IF NOT EXISTS migrations (
        version integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )"""
_HOLDS = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm')"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. checksum: SHA-256 of its text."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """What tells whether the file is still the one that was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """The files of this build, numbered 1, 2, 3 without a gap."""
    found = []
    for file in resources.files("projections.migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            text = file.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], text))
    found.sort(key=lambda one: one.version)
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        raise SchemaRefused(TARGET, "the migrations of this build are not numbered without a gap")
    return tuple(found)


def migrate(
    connection: Connection, schema: str, *, known: tuple[Migration, ...] | None = None
) -> int:
    """Make the schema, and apply what is not applied yet; returns its version.

    known: the migrations to apply; default: this build's. Two that start at once wait for each
    other. Raises SchemaRefused, TargetAway.
    """
    ours = migrations() if known is None else known
    with translated(), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key("migrate", schema)])
        names = {name for (name,) in connection.execute(_HOLDS, [schema])}
        if names and "migrations" not in names:
            what = f"schema {schema} holds other tables ({', '.join(sorted(names)[:3])})"
            raise SchemaRefused(TARGET, f"{what}; give the projection a schema of its own")
        if not names:
            make = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            connection.execute(make)
        _enter(connection, schema)
        connection.execute(_TABLE)
        applied = connection.execute(_APPLIED).fetchall()
        _refuse_foreign(schema, applied, ours)
        for one in ours[len(applied) :]:
            # The files are this build's own; nobody else's text comes here.
            connection.execute(sql.SQL(one.text))
            connection.execute(
                "INSERT INTO migrations (version, name, checksum) VALUES (%s, %s, %s)",
                [one.version, one.name, one.checksum],
            )
        if ours:
            connection.execute(
                "INSERT INTO projection (build) VALUES (%s) ON CONFLICT DO NOTHING",
                [uuid.uuid4().hex],
            )
    return len(ours)


def schema_version(connection: Connection, schema: str) -> int | None:
    """Which migration the schema stands at; None where there is no schema of ours."""
    with translated():
        names = {name for (name,) in connection.execute(_HOLDS, [schema])}
        if "migrations" not in names:
            return None
        statement = sql.SQL("SELECT max(version) FROM {}").format(
            sql.Identifier(schema, "migrations")
        )
        found = connection.execute(statement).fetchone()
    return None if found is None else found[0]


def _enter(connection: Connection, schema: str) -> None:
    """Names without a schema mean ours until the end of the transaction."""
    statement = sql.SQL("SET LOCAL search_path TO {}, pg_catalog")
    connection.execute(statement.format(sql.Identifier(schema)))


def _refuse_foreign(
    schema: str, applied: list[tuple[int, str, str]], ours: tuple[Migration, ...]
) -> None:
    """Raises SchemaRefused where what was applied is not the beginning of what we have."""
    if len(applied) > len(ours):
        what = f"schema {schema} is at version {applied[-1][0]}, this build knows {len(ours)}"
        raise SchemaRefused(TARGET, f"{what}; run the newer build, or rebuild into another schema")
    for (version, name, checksum), mine in zip(applied, ours, strict=False):
        if (version, checksum) != (mine.version, mine.checksum):
            what = f"migration {version} ({name}) of schema {schema} is not this build's"
            remedy = (
                "a file that was applied must not change; restore it, or rebuild the projection"
            )
            raise SchemaRefused(TARGET, f"{what}; {remedy}")
