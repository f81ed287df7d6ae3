"""Whether the topics are there: by a listing, under their prefix, with what to do."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.layout import TopicsMissing, partitions_of, require_topics
from coordinator.settings import KafkaSettings


class FakeAdmin:
    """Lists; asked for one by its name it would make it."""

    async def describe_topics(self) -> list[dict[str, Any]]:
        return [
            {"topic": "mine.journal", "partitions": [{}] * 8},
            {"topic": "mine.market", "partitions": [{}]},
            {"topic": "signals", "partitions": [{}]},
        ]


def asked(*topics: str) -> dict[str, int]:
    admin: Any = FakeAdmin()
    settings = KafkaSettings(bootstrap="there:1", prefix="mine.")
    return asyncio.run(partitions_of(admin, settings, topics))


def test_partitions_are_told_by_names_without_the_prefix() -> None:
    assert asked("journal", "market") == {"journal": 8, "market": 1}


def test_missing_topics_are_named_with_the_command_that_makes_them() -> None:
    with pytest.raises(TopicsMissing) as error:
        asked("journal", "signals", "orders", "a", "b")
    assert "the topics are not there: run `coordinator topics apply`" in str(error.value)
    assert "mine.a, mine.b, mine.orders and 1 more" in str(error.value)


def test_who_does_not_answer_is_said_so_within_seconds() -> None:
    began = time.monotonic()
    with socket.socket() as silent:  # bound, and nobody listens
        silent.bind(("127.0.0.1", 0))
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(LogUnavailable, match="does not answer"):
            require_topics(settings, ["signals"])
    assert time.monotonic() - began < 15
