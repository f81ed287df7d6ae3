"""Views apply and mark nothing of a shard that was given away; what was refused is a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.exceptions import ProducerSendError

from coordinator.core.ports import Record
from coordinator.settings import Settings
from coordinator.shells.live.views import PortfolioViews, ViewsFailed
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics
from projections.tables import Place

WITHIN_S = 20.0


class FakeFollower:
    """Takes everything, as if it were the next."""

    def __init__(self) -> None:
        self.place = Place()

    def missing(self, record: Record) -> bool:
        return record.position > self.place.position + 1

    def take(self, record: Record) -> Any:
        self.place = Place(record.position, record.position, "h")
        return SimpleNamespace(seq=record.position)


class FakeTable:
    """Where marks would go."""

    def __init__(self) -> None:
        self.shard = 0
        self.unsettled: list[Any] = []
        self.marks: dict[str, Any] = {}

    def __setitem__(self, key: str, row: Any) -> None:
        self.marks[key] = row


class FakeReader:
    """A log of so many decisions on shard 0; called with each position before it is told."""

    def __init__(self, count: int, told: Callable[[int], None] = lambda _: None) -> None:
        self.count, self.told = count, told

    def ends(self) -> dict[tuple[str, int], int]:
        return {("decisions", 0): self.count}

    def begin(self, _topic: str, _shard: int) -> int:
        return 0

    def read(self, _topic: str, _shard: int, start: int, stop: int | None) -> Any:
        for position in range(start, self.count if stop is None else stop):
            self.told(position)
            yield Record("decisions", 0, position, 0, b"")

    def close(self) -> None:
        pass


class Bench:
    """Views without a cluster: `applied` are the positions whose rows were written."""

    def __init__(self, reader: FakeReader) -> None:
        views: Any = PortfolioViews(
            Settings(), metrics=Metrics(), health=Health(expected=("views",))
        )
        views._reader.close()
        views._reader = reader
        self.latest = views._latest = FakeTable()
        self.windows = views._windows = FakeTable()
        self.applied: list[int] = []
        views.tables = SimpleNamespace(
            apply=lambda record, _head: self.applied.append(record.position)
        )
        views.shards = {0: FakeFollower()}
        self.views = views


def using(reader: FakeReader, use: Callable[[Bench], Coroutine[Any, Any, None]]) -> Bench:
    async def within() -> Bench:
        bench = Bench(reader)
        async with asyncio.timeout(WITHIN_S):
            await use(bench)
        return bench

    return asyncio.run(within())


def message(position: int) -> Any:
    return SimpleNamespace(partition=0, offset=position, timestamp=0.0, value=b"", headers=())


@pytest.mark.parametrize("again", [True, False])
def test_a_delivery_that_waited_is_not_applied_by_a_follower_that_is_gone(*, again: bool) -> None:
    after = FakeFollower()
    after.place = Place(0, 0, "h")

    async def use(bench: Bench) -> None:
        before = bench.views.shards[0]
        async with bench.views._turn:
            delivered = asyncio.create_task(bench.views._deliver(message(0)))
            await asyncio.sleep(0)
            bench.views.shards = {0: after} if again else {}
        await delivered
        assert before.place == Place()

    bench = using(FakeReader(0), use)
    assert bench.applied == ([0] if again else [])
    assert bench.views._fault is None


def test_what_is_read_ends_where_the_shard_is_given_away_and_that_is_waited_for() -> None:
    seen: list[list[int]] = []

    async def use(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        begun = asyncio.Event()
        bench.views._reader.told = lambda _: loop.call_soon_threadsafe(begun.set)
        looking = asyncio.create_task(bench.views._look())
        await begun.wait()
        await bench.views._on_revoked(None, set())
        seen.append(list(bench.applied))
        await looking

    bench = using(FakeReader(5), use)
    assert seen == [bench.applied]
    assert bench.applied == []
    assert bench.latest.marks == bench.windows.marks == {}


def test_no_mark_is_written_for_a_shard_that_went_while_its_rows_were_waited_for() -> None:
    async def use(bench: Bench) -> None:
        row: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        bench.latest.unsettled.append(row)
        looking = asyncio.create_task(bench.views._look())
        for _ in iter(lambda: bench.applied and not bench.latest.unsettled, True):
            await asyncio.sleep(0.001)
        revoked = asyncio.create_task(bench.views._on_revoked(None, set()))
        await asyncio.sleep(0)
        assert not revoked.done()
        row.set_result(None)
        await asyncio.gather(looking, revoked)

    bench = using(FakeReader(3), use)
    assert bench.applied == [0, 1, 2]
    assert bench.latest.marks == bench.windows.marks == {}


def test_marks_follow_the_rows_of_shards_that_are_ours() -> None:
    async def use(bench: Bench) -> None:
        await bench.views._look()

    bench = using(FakeReader(3), use)
    mark = {"\t0": {"as_of": [0, 2], "place": {"position": 2, "seq": 2, "hash": "h"}}}
    assert bench.latest.marks == bench.windows.marks == mark


@pytest.mark.parametrize(
    "error", [KafkaConnectionError("away"), ProducerSendError("no"), TimeoutError(), OSError("x")]
)
def test_a_row_that_was_not_taken_ends_the_part_with_a_reason(error: Exception) -> None:
    async def use(bench: Bench) -> None:
        row: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        row.set_exception(error)
        bench.latest.unsettled.append(row)
        with pytest.raises(ViewsFailed, match=f"rows were not taken: {type(error).__name__}"):
            await bench.views._look_patiently()

    using(FakeReader(1), use)


def test_what_a_delivery_ran_into_is_told_as_a_failure_of_the_views() -> None:
    async def use(bench: Bench) -> None:
        bench.views._fault = KafkaConnectionError("away")
        joining = asyncio.create_task(asyncio.sleep(0))
        with pytest.raises(ViewsFailed, match="not applied: KafkaConnectionError"):
            bench.views._refuse_failure(joining, 0.0)
        await joining

    using(FakeReader(0), use)
