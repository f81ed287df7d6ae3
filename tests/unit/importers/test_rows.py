from __future__ import annotations

from types import MappingProxyType

import polars as pl

from coordinator.importers.messages import Rank
from coordinator.importers.rejects import Rejects
from coordinator.importers.rows import Rows, Telling, earliest
from coordinator.importers.tables import Columns, Table

FIELDS = MappingProxyType({"who": "portfolio", "much": "amount"})
COUNTED = Telling("CashMoved", Rank.CASH, "own_id", FIELDS, counted=True)
ONCE = Telling("CashMoved", Rank.CASH, "own_id", FIELDS)


def frame(*rows: tuple[int, str | None, str, str | None]) -> pl.DataFrame:
    names = ["known_at", "own_id", "who", "much"]
    made = pl.DataFrame(rows, schema=dict.fromkeys(names), orient="row")
    return made.with_columns(pl.col("known_at").alias("event_time"))


def ids(telling: Telling, *rows: tuple[int, str | None, str, str | None]) -> list[str]:
    payloads = pl.Series([item.payload for item in telling.messages(frame(*rows))])
    return payloads.cast(pl.String).str.json_path_match("$.event_id").to_list()


def test_a_row_is_told_in_the_events_own_words_without_what_it_leaves_open() -> None:
    (item,) = COUNTED.messages(frame((7, "x", "a", None)))
    assert (item.known_at, item.rank, item.event) == (7, Rank.CASH, "CashMoved")
    assert item.payload == b'{"type":"CashMoved","event_id":"x","event_time":7,"portfolio":"a"}'


def test_counted_rows_that_say_the_same_have_ids_of_their_own() -> None:
    same = (7, None, "a", "1")
    made = ids(COUNTED, same, same, (7, None, "b", "1"), same, (8, None, "a", "1"))
    assert len(set(made)) == 5
    assert made[0] == ids(ONCE, same)[0]


def test_the_ids_of_repetitions_do_not_depend_on_what_stands_between_or_after_them() -> None:
    same, other = (7, None, "a", "1"), (7, None, "b", "2")
    first, second = ids(COUNTED, same, same)
    assert ids(COUNTED, same, other, same, other) == [
        first, ids(ONCE, other)[0], second, ids(COUNTED, other, other)[1],
    ]  # fmt: skip


def test_rows_that_are_told_once_share_the_id_of_what_they_say() -> None:
    same = (7, None, "a", "1")
    assert len(set(ids(ONCE, same, same))) == 1


def test_a_stated_id_is_kept_and_does_not_count_as_a_repetition() -> None:
    same = (7, None, "a", "1")
    assert ids(COUNTED, (7, "x", "a", "1"), same, (7, "x", "a", "1")) == [
        "x", ids(ONCE, same)[0], "x",
    ]  # fmt: skip


def test_rows_know_when_each_name_was_first_known() -> None:
    table = Table.absent("rows", Columns(("who",), ()))
    none = Rejects.build(table, "orders", table.frame.select("#row", reason="who", shown="who"))
    rows = Rows(frame((7, None, "b", None), (8, None, "a", "1"), (9, None, "b", "1")), none)
    assert rows.first_known("who") == {"a": 8, "b": 7}
    assert rows.first_known("much") == {"1": 8}
    assert (rows.names("who"), rows.names("much"), rows.first_at) == (("a", "b"), ("1",), 7)
    assert Rows(rows.frame.clear(), none).first_at is None


def test_the_earliest_of_several_times_counts() -> None:
    found = earliest({"b": 3, "a": 5}, {}, {"a": 4, "b": 9, "c": 1})
    assert list(found.items()) == [("a", 4), ("b", 3), ("c", 1)]
