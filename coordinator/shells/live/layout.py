"""Whether the cluster's topics fit this worker: they are there, and have a partition for a shard.

Place in the flow: asked by a part before it joins its group, and by a router at each session. With
another number of shards a router would leave journals out, and nobody would see it. It must never
let a part go on where the numbers differ, or make a topic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog

from coordinator.core.engine import WrongShards
from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.layout import TopicsMissing, find_topics
from coordinator.settings import Settings
from coordinator.telemetry.health import Health

__all__ = ["LOG_TOPICS", "await_layout", "refuse_other_shards"]

LOG_TOPICS = ("decisions", "journal")
LOOK_EVERY_S = 2.0


def refuse_other_shards(settings: Settings, partitions: Mapping[str, int]) -> None:
    """Raise WrongShards where a log topic has not as many partitions as there are shards."""
    shards = settings.worker.shards
    for topic in LOG_TOPICS:
        count = partitions.get(topic, shards)
        if count != shards:
            raise WrongShards(
                f"topic {settings.kafka.prefix}{topic} has {count} partitions, "
                f"and worker.shards is {shards}: set worker.shards (--shards) to {count}, "
                "or use another prefix"
            )


async def await_layout(settings: Settings, health: Health, check: str, stop: asyncio.Event) -> bool:
    """Wait until the logs' topics are there; False when `stop` was set before.

    check: the name under which health is told why. Raises WrongShards, and LogUnavailable when no
    broker has answered for worker.join_s.
    """
    log = structlog.get_logger(check)
    answered = time.monotonic()
    said = ""
    health.set(check, ok=False, reason="joining")
    while not stop.is_set():
        try:
            found = await find_topics(settings.kafka, LOG_TOPICS)
        except (TopicsMissing, LogUnavailable) as error:
            health.set(check, ok=False, reason=str(error))
            if str(error) != said:
                said = str(error)
                log.warning("part_waits", reason=said)
            if isinstance(error, TopicsMissing):
                answered = time.monotonic()
            elif time.monotonic() - answered > settings.worker.join_s:
                raise LogUnavailable(error.where, f"it cannot be joined: {error.what}") from error
        else:
            refuse_other_shards(settings, found)
            return True
        try:
            await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
        except TimeoutError:
            continue
    return False
