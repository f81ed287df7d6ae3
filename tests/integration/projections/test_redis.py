"""The Redis projection on a real server: one script, one writer, nothing older, no half state."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from ops.servers_redis import RedisServer
from projections.errors import (
    ProjectionStopped,
    SchemaRefused,
    TargetAway,
    TargetBusy,
    TargetChanged,
)
from projections.following import Batch
from projections.projector import Pace, Projector
from projections.redis.reading import RedisView
from projections.redis.sink import RedisSink
from projections.redis.values import ActiveSignals
from projections.rows import PortfolioViewRow, Row
from projections.sink import Snapshot, digest
from tests.integration.projections.waiting import drain, until
from tests.journals import law
from tests.support.projected import batches, busy_log, everything

pytestmark = pytest.mark.integration

PACE = Pace(rows_max=300, interval=0.01, pause=0.05, pause_max=0.2, beat=0.0, look=0.0)


@pytest.fixture
def sink(redis_url: str, redis_prefix: str) -> Iterator[RedisSink]:
    made = RedisSink(redis_url, redis_prefix)
    yield made
    made.close()
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(match=f"{{{redis_prefix}}}:*"):
            client.delete(key)


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as made:
        yield made


def whole(sink: RedisSink) -> Snapshot:
    """What a log projected at once gives, under another prefix."""
    other = RedisSink(sink.url, f"{sink.prefix}.whole")
    drain(Projector(busy_log(), other, pace=PACE))
    found = other.snapshot()
    other.close()
    with redis.Redis.from_url(sink.url) as client:
        for key in client.scan_iter(match=f"{{{other.prefix}}}:*"):
            client.delete(key)
    return found


def test_a_reader_finds_views_decisions_and_active_signals(sink: RedisSink, client: Any) -> None:
    drain(Projector(busy_log(), sink, pace=PACE))
    rows, marks = everything(batches(busy_log()))
    base = f"{{{sink.prefix}}}:"
    generation = client.get(base + "live")
    newest = {row.portfolio: row for row in rows if isinstance(row, PortfolioViewRow)}
    views = client.hgetall(f"{base}{generation}:portfolio_views")
    assert set(views) == set(newest)
    for name, text in views.items():
        assert from_json(text)["nav"] == format(newest[name].nav, "f")
    assert client.hlen(f"{base}{generation}:decisions") > 1
    active = ActiveSignals()
    active.changes(rows)
    stored = {
        field
        for name in client.smembers(f"{base}{generation}:instruments")
        for field in client.hkeys(f"{base}{generation}:signals:{name}")
    }
    assert stored == {one.field for one in active._places.values()}
    assert stored
    assert RedisView(sink.url, sink.prefix).snapshot().marks == marks


def test_batches_restarts_and_repeats_change_nothing(sink: RedisSink) -> None:
    expected = whole(sink)
    for batch in batches(busy_log(), rows_max=60):
        sink.open()
        sink.commit(batch)
        sink.close()
    sink.open()
    assert sink.snapshot() == expected
    for batch in batches(busy_log(), rows_max=60)[::7]:
        with pytest.raises(TargetChanged, match="not where it was"):
            sink.commit(batch)
        sink.open()
    assert sink.snapshot() == expected


def test_an_older_value_never_replaces_a_newer_in_any_order(sink: RedisSink) -> None:
    expected = whole(sink).views
    rows, _ = everything(batches(busy_log()))
    rng = random.Random(3)

    @law(4)
    @given(st.integers(0, 2**32), st.integers(20, 400))
    def shuffled(seed: int, size: int) -> None:
        rng.seed(seed)
        groups: dict[Any, list[Row]] = {}
        for row in rows:
            groups.setdefault((row.view in ("signals", "withdrawals"), row.as_of), []).append(row)
        entries = [*groups.values(), *rng.sample(list(groups.values()), len(groups) // 3)]
        rng.shuffle(entries)
        other = RedisSink(sink.url, f"{sink.prefix}.{seed}")
        other.open()
        for start in range(0, len(entries), size):
            made = [row for entry in entries[start : start + size] for row in entry]
            other.commit(Batch(rows=made))
        found = other.snapshot().views
        other.close()
        with redis.Redis.from_url(sink.url) as client:
            for key in client.scan_iter(match=f"{{{other.prefix}}}:*"):
                client.delete(key)
        assert found["portfolio_views"] == expected["portfolio_views"]
        assert found["decisions"] == expected["decisions"]

    shuffled()


def test_a_second_projector_waits_and_takes_over(sink: RedisSink) -> None:
    first = Projector(busy_log(), sink, pace=PACE)
    first.step()
    second = RedisSink(sink.url, sink.prefix)
    standby = Projector(busy_log(), second, pace=PACE)
    assert standby.step() == 0
    assert standby._state == "standby"
    first.close()
    drain(standby)
    assert second.snapshot().marks == everything(batches(busy_log()))[1]
    standby.close()


def test_a_writer_that_was_frozen_beyond_its_lease_writes_nothing(sink: RedisSink) -> None:
    zombie = RedisSink(sink.url, sink.prefix, lease_ms=50)
    zombie.open()
    made = batches(busy_log(), rows_max=100)
    until(lambda: _opens(sink))
    sink.commit(made[0])
    before = sink.snapshot()
    with pytest.raises(TargetChanged, match="took over"):
        zombie.commit(made[0])
    assert sink.snapshot() == before
    zombie.close()
    sink.commit(made[1])


def _opens(sink: RedisSink) -> bool:
    try:
        sink.open()
    except TargetBusy:
        return False
    return True


def test_a_first_fill_is_read_only_when_it_has_caught_up(sink: RedisSink, client: Any) -> None:
    live = f"{{{sink.prefix}}}:live"
    projector = Projector(busy_log(), sink, pace=PACE)
    while projector.step():
        assert client.get(live) is None
    assert client.get(live) == sink.generation


def test_a_wiped_server_is_filled_anew_by_itself(
    own_server: Callable[[type[RedisServer]], RedisServer],
) -> None:
    server = own_server(RedisServer)
    sink = RedisSink(server.url, "views")
    projector = Projector(busy_log(), sink, pace=PACE)
    drain(projector)
    expected = sink.snapshot()
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        assert projector.step() == 0
        assert client.get("{views}:live") is None
    drain(projector)
    assert sink.snapshot() == expected
    assert RedisView(server.url, "views").snapshot() == expected
    projector.close()


def test_a_server_that_is_killed_and_comes_back_empty_or_not_is_followed(
    own_server: Callable[[type[RedisServer]], RedisServer],
) -> None:
    server = own_server(RedisServer)
    sink = RedisSink(server.url, "views")
    projector, stop = Projector(busy_log(), sink, pace=PACE), threading.Event()
    thread = threading.Thread(target=projector.run, args=[stop])
    thread.start()
    view = RedisView(server.url, "views")
    expected = everything(batches(busy_log()))[1]
    try:
        until(lambda: _marks(view) == expected)
        server.kill()
        until(lambda: projector._state == "away")
        server.restart()
        until(lambda: _marks(view) == expected)
        server.pause()
        until(lambda: projector._state == "away")
        server.resume()
        until(lambda: projector._state == "writing")
        assert _marks(view) == expected
    finally:
        server.resume()
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def _marks(view: RedisView) -> object:
    try:
        return view.snapshot().marks
    except (TargetAway, TargetChanged):
        return None


def test_keys_of_a_newer_layout_are_refused_and_of_an_older_made_anew(
    sink: RedisSink, client: Any
) -> None:
    drain(Projector(busy_log(), sink, pace=PACE))
    checkpoints = f"{{{sink.prefix}}}:{sink.generation}:checkpoints"
    client.hset(checkpoints, "layout", 99)
    with pytest.raises(SchemaRefused, match="layout 99"):
        sink.open()
    client.hset(checkpoints, "layout", 0)
    old = sink.generation
    assert sink.open() == {}
    assert sink.generation != old
    assert client.get(f"{{{sink.prefix}}}:live") == old


def test_somebody_else_s_key_in_our_place_stops(sink: RedisSink, client: Any) -> None:
    sink.open()
    client.set(f"{{{sink.prefix}}}:{sink.generation}:portfolio_views", "mine")
    with pytest.raises(ProjectionStopped, match="WRONGTYPE"):
        drain(Projector(busy_log(), sink, pace=PACE))


def test_digests_differ_when_one_value_does(sink: RedisSink, client: Any) -> None:
    drain(Projector(busy_log(), sink, pace=PACE))
    before = digest(sink)
    name = f"{{{sink.prefix}}}:{sink.generation}:decisions"
    field = min(client.hkeys(name))
    client.hset(name, field, client.hget(name, field).replace('"round"', '"Round"'))
    assert digest(sink)["decisions"].rows == before["decisions"].rows
    assert digest(sink)["decisions"] != before["decisions"]
    assert digest(sink)["signals"] == before["signals"]
