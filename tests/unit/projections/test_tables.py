from __future__ import annotations

import random
from dataclasses import fields, replace

from projections.checkpoints import Mark, mark_from, mark_text
from projections.postgres.connecting import lock_key
from projections.postgres.migrate import migrations
from projections.postgres.partitions import month_of
from projections.postgres.tables import TABLES, newest
from projections.rows import VIEWS, AsOf, IncidentRow
from tests.support.projected import batches, busy_log, everything

DAY = 86_400 * 10**9


def incident(seq: int, detail: str = "") -> IncidentRow:
    return IncidentRow(AsOf(0, seq), 1, "alert", None, None, None, detail, 5)


def test_every_view_has_a_table_and_every_field_a_column() -> None:
    assert {table.kind for table in TABLES} == set(VIEWS)
    for table in TABLES:
        names = {name.removesuffix("_ns") for name, _ in table.staged}
        own = {field.name for field in fields(table.kind)} - {"as_of"}
        assert own <= names


def test_a_row_has_a_value_for_each_staged_column() -> None:
    rows, _ = everything(batches(busy_log()))
    checked = 0
    for table in TABLES:
        for row in [one for one in rows if isinstance(one, table.kind)][:3]:
            assert len(table.values(row)) == len(table.staged)
            checked += 1
    assert checked > 20


def test_a_key_that_a_view_names_is_in_its_table_s_key() -> None:
    for table in TABLES:
        if table.name in ("portfolio_history", "incidents"):
            continue
        assert set(table.kind.key) <= set(table.key), table.name


def test_the_newest_of_a_key_is_kept_in_any_order() -> None:
    rows, _ = everything(batches(busy_log()))
    table = next(one for one in TABLES if one.name == "portfolio_views")
    own = [row for row in rows if isinstance(row, table.kind)]
    expected = {repr(row) for row in newest(table, own)}
    random.Random(1).shuffle(own)
    assert {repr(row) for row in newest(table, own + own)} == expected


def test_a_character_that_the_database_cannot_hold_is_shown_by_its_picture() -> None:
    table = next(one for one in TABLES if one.name == "incidents")
    assert "a\u2400b" in table.values(incident(1, "a\x00b"))


def test_months_are_utc_and_their_ends_meet() -> None:
    december = month_of(1_798_675_200 * 10**9)
    assert december.bounds == ("2026-12-01 00:00:00+00", "2027-01-01 00:00:00+00")
    assert month_of(1_798_675_200 * 10**9 + 31 * DAY).suffix == "y2027m01"
    assert month_of(0).suffix == "y1970m01"


def test_locks_of_different_things_differ_and_fit_the_server() -> None:
    keys = {lock_key(what, schema) for what in ("writer", "rebuild") for schema in ("a", "b")}
    assert len(keys) == 4
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_a_mark_is_what_its_text_says() -> None:
    mark = Mark(5, 7, 3, "f" * 64, 8, (("signals", "id", 0, 12),))
    assert mark_from(mark_text(mark)) == mark
    assert replace(mark, next=6).as_of("journal") == 5
    assert mark.as_of("decisions") == 3


def test_migrations_are_numbered_and_hashed() -> None:
    found = migrations()
    assert [one.version for one in found] == list(range(1, len(found) + 1))
    assert all(len(one.checksum) == 64 for one in found)
