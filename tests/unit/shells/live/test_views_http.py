"""The pages of views: windows that tumble or slide, whom they cover, and what cannot be asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from coordinator.core.shards import shard_of
from coordinator.log.memory import MemoryLog
from coordinator.shells.live.views_http import ViewPages
from projections.panes import PaneTables
from projections.tables import Follower, Row, ViewTables
from tests.journals import SECOND, T0, Inputs, run

SIZES = (60, 3600, 7)
MINUTE = 60 * SECOND


def log() -> MemoryLog:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.registered("mute")]
    inputs += [make.opened("a"), make.prices({"A": 10.0}, T0)]
    for minute in (0, 1, 3):
        at = T0 + minute * MINUTE
        inputs += [make.signal("s", "A", at + SECOND), make.signal("s", "NONE", at + SECOND)]
        inputs += [make.fill("a", "A", "10", "10", at + 2 * SECOND)]
    return run(inputs, shards=2, end=T0 + 10 * MINUTE)


def pages(*, shards: tuple[int, ...] = (0, 1)) -> ViewPages:
    latest: dict[str, Row] = {}
    windows: dict[str, Row] = {}
    views = ViewTables(latest, windows, sizes=SIZES, kept=100)
    panes = PaneTables(latest, windows, sizes=SIZES, kept=100)
    found = log()
    for shard in shards:
        follower = Follower()
        for record in found.read("decisions", shard):
            head = follower.take(record)
            if head is not None:
                views.apply(record, head)
                panes.apply(record, head)
    made = ViewPages(SIZES, shards=2)
    fake: Any = SimpleNamespace(tables=views, panes=panes, shards=dict.fromkeys(shards))
    made.views = fake
    return made


def ask(made: ViewPages, *paths: str) -> list[tuple[int, Any]]:
    """Status and JSON (or the reason) of each."""

    async def asked() -> list[tuple[int, Any]]:
        app = web.Application()
        app.add_routes(made.routes())
        answers: list[tuple[int, Any]] = []
        async with TestServer(app) as server, ClientSession() as session:
            for path in paths:
                async with session.get(server.make_url(path)) as answer:
                    told = await answer.json() if answer.status == 200 else answer.reason
                    answers.append((answer.status, told))
        return answers

    return asyncio.run(asked())


def test_a_portfolios_windows_tumble_or_slide() -> None:
    ((_, tumbling), (_, sliding), (_, hour)) = ask(
        pages(), "/views/a/activity?size=60", "/views/a/activity?size=120&hop=60",
        "/views/a/activity?size=3600",
    )  # fmt: skip
    begins = [(one["begins_at"] - T0) // MINUTE for one in tumbling["windows"]]
    assert begins == [0, 1, 3]
    assert [one["fills"] for one in tumbling["windows"]] == [1, 1, 1]
    slid = [((one["begins_at"] - T0) // MINUTE, one["fills"]) for one in sliding["windows"]]
    assert slid == [(-1, 1), (0, 2), (1, 1), (2, 1)]
    (whole,) = hour["windows"]
    assert (whole["fills"], whole["traded"]) == (3, "300")
    assert (hour["shards"], hour["shards_missing"]) == ([0, 1], 0)


def test_a_source_has_what_came_of_its_signals_and_of_rounds() -> None:
    ((_, told), (_, all_)) = ask(pages(), "/sources/s/activity?size=3600", "/sources")
    (window,) = told["windows"]
    assert window["signals"]["accepted"] == 3
    assert window["signals"]["rejected"] == {"unknown_instrument": 3}
    assert window["signals"]["acceptance_rate"] == 0.5
    # What it wants more of reached its largest weight twice: a conflict with the mandate.
    assert window["rounds"] == {
        "used": 3, "contested": 2, "conflicts": 2, "portfolios": 1, "conflict_rate": 2 / 3,
    }  # fmt: skip
    (source,) = all_["sources"]
    assert (source["source"], source["accepted"]) == ("s", 3)


def test_a_worker_tells_which_shards_it_covers_and_what_it_cannot_say() -> None:
    home, other = shard_of("s", 2), shard_of("a", 2)
    assert home != other
    for shard in (home, other):
        ((_, told),) = ask(pages(shards=(shard,)), "/sources/s/activity?size=3600")
        assert (told["shards"], told["shards_missing"]) == ([shard], 1)
        (window,) = told["windows"]
        assert (window["signals"] is None) == (shard != home)
        assert (window["rounds"] is None) == (shard == home)


def test_what_cannot_be_asked_is_told_apart() -> None:
    answers = ask(
        pages(), "/views/nobody/activity", "/sources/mute/activity", "/views/a/activity?size=61",
        "/views/a/activity?size=x", "/views/a/activity?hop=7", "/views/a/activity?last=0",
        "/views/a/activity?size=" + "9" * 5000,
    )  # fmt: skip
    assert [status for status, _ in answers] == [404, 404, 400, 400, 400, 400, 400]
    nobody = ViewPages(SIZES, shards=2)
    assert [status for status, _ in ask(nobody, "/sources", "/views/a/activity")] == [503, 503]


def test_windows_that_would_cut_a_pane_in_two_are_refused() -> None:
    answers = ask(
        pages(), "/views/a/activity?size=7", "/views/a/activity?size=63&hop=7",
        "/sources/s/activity?size=7",
    )  # fmt: skip
    told = "panes of this log are 60 s: give a multiple, 7 s is none"
    assert answers == [(400, told)] * 3


def test_without_windows_nothing_can_be_made() -> None:
    made = pages()
    made._sizes = ()
    ((status, reason),) = ask(made, "/views/a/activity")
    assert status == 400
    assert "windows are made of" in reason
