"""Windowed views on real Kafka: what the tables serve is a pure fold of the decisions."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.log.kafka import KafkaLog
from coordinator.settings import KafkaSettings
from projections.activity import Shape, panes_of, portfolio_windows, source_windows
from projections.tables import Follower, Row, ViewTables
from tests.live.feeding import feed
from tests.live.system import Part, System, until
from tests.live.world import World

pytestmark = pytest.mark.integration
SHARDS = 2
SIZES = (1, 3600)


def folded(log: KafkaLog) -> ViewTables:
    """The decisions topic, read by the rule, into plain dictionaries."""
    latest: dict[str, Row] = {}
    windows: dict[str, Row] = {}
    tables = ViewTables(latest, windows, sizes=SIZES, kept=1_500)
    for shard in range(SHARDS):
        follower = Follower()
        for record in log.read("decisions", shard):
            head = follower.take(record)
            if head is not None:
                tables.apply(record, head)
    return tables


def served(part: Part, name: str) -> tuple[Any, Any]:
    """The newest view and the windows of a portfolio, as HTTP has them."""
    view = json.loads(part.ask(f"/views/{name}")[1] or "{}")
    windows = json.loads(part.ask(f"/views/{name}/windows")[1] or "{}")
    return view, windows.get("windows")


def equal(part: Part, log: KafkaLog) -> bool:
    """Whether all that is served is what the fold says."""
    wanted = folded(log)
    return bool(wanted.latest) and all(
        served(part, name) == (row, list(wanted.windows_of(name, SIZES)))
        for name, row in wanted.latest.items()
    )


def accepted(part: Part) -> int:
    """Signals of all sources that count, as the panes so far say."""
    told = json.loads(part.ask("/sources")[1])
    return sum(one["accepted"] for one in told["sources"])


def activity_equal(part: Part, log: KafkaLog) -> bool:
    """Whether windows that tumble and that slide are those of the panes in the log."""
    panes = panes_of(log, SIZES)
    names = [name for name, _ in panes.newest("portfolio")]
    sources = [name for name, _ in panes.newest("source")]
    for shape in (Shape(3600, 3600, 20), Shape(3, 1, 20)):
        asked = f"activity?size={shape.size}&hop={shape.hop}"
        for name in names:
            found = json.loads(part.ask(f"/views/{name}/{asked}")[1] or "{}")
            if found.get("windows") != portfolio_windows(panes, name, shape):
                return False
        for name in sources:
            found = json.loads(part.ask(f"/sources/{name}/{asked}")[1] or "{}")
            if found.get("windows") != source_windows(panes, name, shape):
                return False
    return len(names) == 3 and len(sources) == 3


def test_views_are_a_fold_of_the_decisions_also_after_a_kill(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    world = World(instruments=4, portfolios=3)
    environment = {
        "COORDINATOR_WORKER__GROUP": kafka_prefix.rstrip("."),
        "COORDINATOR_WORKER__VIEW_WINDOWS_S": json.dumps(SIZES),
        "COORDINATOR_WORKER__SESSION_TIMEOUT_MS": "6000",
    }
    settings = KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)
    with (
        System(
            kafka_servers, kafka_prefix, tmp_path, shards=SHARDS, environment=environment
        ) as system,
        closing(KafkaLog(settings)) as log,
    ):
        system.topics()
        router, engine = system.start("router"), system.start("engine")
        views = system.start("views")
        panes = {"pane_ms": 1_000, "pane_grace_ms": 500}
        feed(system, world.opening(sessions=3, parameters=panes))
        system.await_ready(router, engine, views)
        feed(system, (world.signal() for _ in range(40)))
        until("all portfolios are seen", lambda: len(folded(log).latest) == 3, within_s=20)
        until("views equal the fold", lambda: equal(views, log), within_s=20)
        shown = json.loads(views.ask("/views")[1])
        assert [one["portfolio"] for one in shown["views"]] == ["p0", "p1", "p2"]
        assert views.ask("/views/nobody")[0] == 404
        assert views.ask("/views/p0/windows?size=7")[0] == 400
        until("activity equals the panes", lambda: activity_equal(views, log), within_s=20)
        until("each signal counts", lambda: accepted(views) == 40, within_s=20)
        assert views.ask("/views/nobody/activity")[0] == 404
        assert views.ask("/sources/s0/activity?size=7")[0] == 400

        views.kill()
        feed(system, (world.signal() for _ in range(40)))  # while nobody looks
        again = system.start("views")
        until("views equal the fold after a kill", lambda: equal(again, log), within_s=40)
        recovered = [
            line for line in again.log.read_text().splitlines() if "views_recovered" in line
        ]
        assert json.loads(recovered[-1])["portfolios"] == 3  # from the changelogs, not from scratch
        feed(system, (world.signal() for _ in range(10)))
        until("and go on", lambda: equal(again, log), within_s=20)
        until("activity after it", lambda: activity_equal(again, log), within_s=20)
        until("no signal counts twice", lambda: accepted(again) == 90, within_s=20)
        assert again.stop() == 0, again.tail()
