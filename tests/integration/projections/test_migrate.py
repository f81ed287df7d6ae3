"""Migrations on a real server: once each, in order, and never over what is not ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from projections.errors import SchemaRefused
from projections.postgres.connecting import Connection, connect
from projections.postgres.migrate import Migration, migrate, migrations, schema_version
from projections.postgres.tables import TABLES

pytestmark = pytest.mark.integration

ADDED = Migration(len(migrations()) + 1, "added", "CREATE TABLE added (a integer);")


@pytest.fixture
def connection(postgres_dsn: str, postgres_schema: str) -> Iterator[Connection]:
    made = connect(postgres_dsn, name="test")
    yield made
    made.execute(f'DROP SCHEMA IF EXISTS "{postgres_schema}" CASCADE'.encode())
    made.close()


def tables(connection: Connection, schema: str) -> set[str]:
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [schema]
    )
    return {name for (name,) in found}


def columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s",
        [schema, table],
    )
    return {name: kind for name, kind in found}  # noqa: C416 - typed so


def test_tables_have_the_columns_and_keys_that_the_writer_fills(
    connection: Connection, postgres_schema: str
) -> None:
    migrate(connection, postgres_schema)
    for table in TABLES:
        found = columns(connection, postgres_schema, table.name)
        assert set(found) == set(table.columns), table.name
        kinds = {name: kind.replace("text[]", "ARRAY") for name, kind in table.staged}
        for name, kind in kinds.items():
            expected = "ARRAY" if kind.endswith("[]") else kind
            assert found[name] in (expected, "integer"), (table.name, name)
        key = connection.execute(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
            " AND a.attnum = ANY(i.indkey) WHERE i.indisprimary AND i.indrelid = %s::regclass",
            [f'"{postgres_schema}"."{table.name}"'],
        )
        assert {name for (name,) in key} == set(table.key), table.name


def test_migrating_again_changes_nothing_and_a_new_file_is_applied(
    connection: Connection, postgres_schema: str
) -> None:
    migrate(connection, postgres_schema)
    before = tables(connection, postgres_schema)
    assert migrate(connection, postgres_schema) == len(migrations())
    assert tables(connection, postgres_schema) == before
    migrate(connection, postgres_schema, known=(*migrations(), ADDED))
    assert tables(connection, postgres_schema) == {*before, "added"}
    assert schema_version(connection, postgres_schema) == ADDED.version


def test_a_newer_database_is_refused_with_words(
    connection: Connection, postgres_schema: str
) -> None:
    migrate(connection, postgres_schema, known=(*migrations(), ADDED))
    with pytest.raises(SchemaRefused, match="run the newer build"):
        migrate(connection, postgres_schema)


def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    connection: Connection, postgres_schema: str
) -> None:
    migrate(connection, postgres_schema)
    changed = replace(migrations()[0], text=migrations()[0].text + "\n-- harmless")
    with pytest.raises(SchemaRefused, match=r"migration 1 \(views\)"):
        migrate(connection, postgres_schema, known=(changed, *migrations()[1:]))
    connection.execute(f"UPDATE \"{postgres_schema}\".migrations SET checksum = 'x'".encode())
    with pytest.raises(SchemaRefused, match="not this build's"):
        migrate(connection, postgres_schema)


def test_a_file_that_fails_leaves_nothing_of_it(
    connection: Connection, postgres_schema: str
) -> None:
    migrate(connection, postgres_schema)
    broken = replace(ADDED, text="CREATE TABLE added (a integer); SELECT 1/0;")
    with pytest.raises(Exception, match="division by zero"):
        migrate(connection, postgres_schema, known=(*migrations(), broken))
    assert "added" not in tables(connection, postgres_schema)
    assert schema_version(connection, postgres_schema) == len(migrations())


def test_a_schema_with_other_people_s_tables_is_refused(
    connection: Connection, postgres_schema: str
) -> None:
    connection.execute(f'CREATE SCHEMA "{postgres_schema}"'.encode())
    connection.execute(f'CREATE TABLE "{postgres_schema}".theirs (a integer)'.encode())
    with pytest.raises(SchemaRefused, match=r"other tables \(theirs\)"):
        migrate(connection, postgres_schema)


def test_writers_that_start_at_once_migrate_once(postgres_dsn: str, postgres_schema: str) -> None:
    failures: list[Any] = []

    def start() -> None:
        try:
            with connect(postgres_dsn, name="test") as made:
                migrate(made, postgres_schema)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells it
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    with psycopg.connect(postgres_dsn, autocommit=True) as made:
        count = made.execute(f'SELECT count(*) FROM "{postgres_schema}".migrations'.encode())
        assert count.fetchone() == (len(migrations()),)
        made.execute(f'DROP SCHEMA "{postgres_schema}" CASCADE'.encode())
