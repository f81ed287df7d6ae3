"""Views of portfolios as tables: assigned when newer, never added, whatever comes twice or late."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from coordinator.core.chain import ChainBroken
from coordinator.core.ports import Record
from projections.tables import Follower, Place, Row, ViewTables, change
from schemas.books import PortfolioViewUpdated
from schemas.canonical import digest
from schemas.entries import GENESIS, decode_head, encode_output

SECOND = 1_000_000_000
SIZES = (60, 3600)


def view(name: str, at: int, *, traded: int = 0, fills: int = 0) -> PortfolioViewUpdated:
    return PortfolioViewUpdated(
        decided_at=at, portfolio=name, nav=Decimal(100), cash=Decimal("40.5"), holdings=(),
        gross=0.5, net=0.5, open_trades=0, traded=Decimal(traded), fees=Decimal(0), fills=fills,
    )  # fmt: skip


def records(views: list[PortfolioViewUpdated], shard: int = 0) -> list[Record]:
    made, prev = [], GENESIS
    for seq, one in enumerate(views):
        entry = encode_output(seq, 0, seq, prev, one)
        prev = digest(entry)
        made.append(Record("decisions", shard, seq * 2, one.decided_at, entry))
    return made


def tables(*, kept: int = 1_000) -> tuple[ViewTables, dict[str, Row], dict[str, Row]]:
    latest: dict[str, Row] = {}
    windows: dict[str, Row] = {}
    return ViewTables(latest, windows, sizes=SIZES, kept=kept), latest, windows


def apply(made: ViewTables, found: list[Record]) -> None:
    for record in found:
        made.apply(record, decode_head(record.payload))


def history() -> list[Record]:
    at = [10, 20, 59, 60, 119, 130, 3_600, 3_700, 7_300]
    return records(
        [view(f"p{i % 2}", t * SECOND, traded=10 * i, fills=i) for i, t in enumerate(at)]
    )


def test_the_newest_view_and_each_windows_first_and_last_are_kept() -> None:
    made, latest, _ = tables()
    apply(made, history())
    assert latest["p0"]["view"]["decided_at"] == 7_300 * SECOND
    assert latest["p0"]["as_of"] == [0, 8]
    minutes = list(made.windows_of("p0", (60,)))
    assert [row["start"] // SECOND for row in minutes] == [0, 60, 3_600, 7_260]
    assert (minutes[0]["first"]["fills"], minutes[0]["last"]["fills"]) == (0, 2)
    assert minutes[0]["change"] == {
        "nav": "0", "cash": "0.0", "traded": "20", "fees": "0", "fills": 2,
    }  # fmt: skip


def test_repeats_in_any_order_change_nothing() -> None:
    made, latest, windows = tables()
    apply(made, history())
    wanted: tuple[Any, Any] = (dict(latest), dict(windows))
    for seed in range(20):
        again = history()
        random.Random(seed).shuffle(again)
        apply(made, again)
        assert (latest, windows) == wanted, seed


def test_windows_further_back_than_the_kept_ones_go_and_do_not_come_back() -> None:
    made, _, windows = tables(kept=2)
    found = records([view("p", minute * 60 * SECOND) for minute in range(200)])
    apply(made, found)
    starts = [row["start"] // SECOND for row in made.windows_of("p", SIZES)]
    assert starts == [198 * 60, 199 * 60, 2 * 3_600, 3 * 3_600]
    assert len(windows) == 4
    apply(made, found[:150])
    assert len(windows) == 4


def test_a_leap_in_time_forgets_all_that_lies_before_it() -> None:
    made, _, windows = tables(kept=3)
    apply(made, records([view("p", 0), view("p", 60 * SECOND), view("p", 10**6 * SECOND)]))
    assert {row["start"] for row in windows.values()} == {
        10**6 * SECOND // (size * SECOND) * size * SECOND for size in SIZES
    }


def test_the_follower_takes_each_output_once_and_stops_at_a_gap_or_a_fork() -> None:
    first, second, third = records([view("p", at) for at in (1, 2, 3)])
    follower = Follower()
    assert follower.take(first) is not None
    assert follower.take(first) is None
    assert follower.missing(third)
    with pytest.raises(ChainBroken, match="missing"):
        follower.take(third)
    fork = Record("decisions", 0, 9, 2, encode_output(1, 0, 1, "0" * 64, view("p", 2)))
    with pytest.raises(ChainBroken, match="follow"):
        follower.take(fork)
    assert follower.take(second) is not None
    assert follower.place == Place(second.position, 1, digest(second.payload))


def test_what_was_skipped_is_missing_also_where_the_next_output_follows() -> None:
    first, second, _ = records([view("p", at) for at in (1, 2, 3)])
    follower = Follower()
    assert follower.take(first) is not None
    assert not follower.missing(Record("decisions", 0, first.position + 1, 2, second.payload))
    # A forged record stands between them, and the delivery has left it behind.
    assert follower.missing(second)


def test_a_follower_begins_where_the_topic_begins() -> None:
    *_, second, third = records([view("p", at) for at in (1, 2, 3)])
    follower = Follower()
    follower.jump(second)
    assert follower.take(second) is not None
    assert follower.take(third) is not None


def test_a_change_is_exact() -> None:
    before = {"nav": "0.1", "cash": "0", "traded": "0.1", "fees": "0", "fills": 1}
    after = {"nav": "0.3", "cash": "0", "traded": "0.3", "fees": "0", "fills": 4}
    assert change(before, after)["traded"] == "0.2"
    assert change(before, after)["fills"] == 3
