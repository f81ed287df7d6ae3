"""Dead letters are counted again and again; a cluster that does not answer changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

import coordinator.shells.live.dead_letters as module
from coordinator.settings import KafkaSettings
from coordinator.shells.live.dead_letters import DeadLetters
from coordinator.telemetry.metrics import Metrics

WITHIN_S = 20.0


class Cluster:
    """Where the topics begin and end. ask: what happens whenever somebody wants to know."""

    def __init__(self, begin: int, end: int, *, looks: int) -> None:
        self.begin, self.end = begin, end
        self.asked, self.looks = 0, looks
        self.enough = asyncio.Event()
        self.ask: Callable[[], None] = lambda: None
        self.silent = False

    async def beginning_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        if self.asked == self.looks:
            self.enough.set()
        self.ask()
        if self.silent:
            await asyncio.Event().wait()
        assert {where.topic for where in asked} >= {"mine.signals.dlq", "mine.control.dlq"}
        return dict.fromkeys(asked, self.begin)

    async def end_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(asked, self.end)


async def watched(cluster: Cluster, metrics: Metrics) -> None:
    letters = DeadLetters(KafkaSettings(prefix="mine."), metrics=metrics)
    letters._consumer = cluster
    watching = asyncio.create_task(letters.watch())
    try:
        async with asyncio.timeout(WITHIN_S):
            await cluster.enough.wait()
        assert not watching.done()
    finally:
        watching.cancel()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)


def told(metrics: Metrics, topic: str, depth: int) -> bool:
    text = metrics.render().decode()
    return f'coordinator_dlq_depth_records{{topic="{topic}"}} {depth}.0' in text


@pytest.mark.parametrize(("begin", "end", "depth"), [(0, 0, 0), (3, 7, 4), (7, 3, 0)])
def test_what_stands_there_is_told_by_topic(begin: int, end: int, depth: int) -> None:
    metrics = Metrics()
    asyncio.run(watched(Cluster(begin, end, looks=3), metrics))
    assert told(metrics, "signals.dlq", depth)
    assert told(metrics, "control.dlq", depth)


def test_a_cluster_that_is_away_is_asked_again_and_the_last_count_stands() -> None:
    cluster, metrics = Cluster(0, 5, looks=5), Metrics()

    def away() -> None:
        if cluster.asked > 1:
            raise KafkaConnectionError

    cluster.ask = away
    asyncio.run(watched(cluster, metrics))
    assert told(metrics, "signals.dlq", 5)


def test_no_question_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.01)
    cluster = Cluster(0, 5, looks=3)
    cluster.silent = True
    asyncio.run(watched(cluster, Metrics()))


def test_what_nobody_foresaw_ends_no_router() -> None:
    cluster, metrics = Cluster(0, 5, looks=3), Metrics()

    def strange() -> None:
        raise ZeroDivisionError

    cluster.ask = strange
    asyncio.run(watched(cluster, metrics))
