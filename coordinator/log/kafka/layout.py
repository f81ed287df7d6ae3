"""Whether the topics are there, and how many partitions they have.

Place in the flow: before anybody joins a group or sends, because Kafka's clients ask for a missing
topic again and again and say only that nobody answers. It must never make a topic: a broker that
makes them itself would lay them out wrongly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from coordinator.log.errors import LogError, LogUnavailable
from coordinator.log.kafka.options import client_options
from coordinator.settings import KafkaSettings

__all__ = ["TopicsMissing", "find_topics", "partitions_of", "require_topics"]

ANSWER_S = 5.0
NAMED_MAX = 3


class TopicsMissing(LogError):
    """Topics are not there: nobody has made them, or the prefix is another one's."""

    def __init__(self, where: str, names: Iterable[str]) -> None:
        missing = sorted(names)
        more = len(missing) - NAMED_MAX
        named = ", ".join(missing[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
        super().__init__(
            f"{where}: the topics are not there: run `coordinator topics apply` (missing: {named})",
            where=where,
        )


async def partitions_of(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: Iterable[str]
) -> dict[str, int]:
    """How many partitions each topic has, by its name without prefix.

    Raises TopicsMissing, KafkaError. Asks for all there are: to be asked by name for a topic that
    is missing makes some brokers make it.
    """
    there = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics()}
    found = {topic: there.get(settings.prefix + topic, 0) for topic in topics}
    missing = [settings.prefix + topic for topic, count in found.items() if not count]
    if missing:
        raise TopicsMissing(f"kafka://{settings.bootstrap}", missing)
    return found


async def find_topics(settings: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """The same by a connection of its own. Raises TopicsMissing, LogUnavailable."""
    admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
    try:
        async with asyncio.timeout(ANSWER_S):
            await admin.start()
            return await partitions_of(admin, settings, topics)
    except (KafkaError, OSError, TimeoutError) as error:
        where = f"kafka://{settings.bootstrap}"
        raise LogUnavailable(where, f"{type(error).__name__}: {error}") from error
    finally:
        await admin.close()


def require_topics(settings: KafkaSettings, topics: Iterable[str]) -> None:
    """Return if they are there. Raises TopicsMissing, LogUnavailable, within seconds."""
    asyncio.run(find_topics(settings, topics))
