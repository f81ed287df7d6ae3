"""What a command asks of a cluster in one go, from settings to answer.

Place in the flow: between the command line and the topics' declaration, so that no command speaks
to Kafka's client itself. It must never change partitions or delete a topic.
"""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.topics import TopicPlan, apply, declared, plan
from coordinator.settings import Settings

__all__ = ["prepare_topics"]


def prepare_topics(settings: Settings, *, change: bool) -> TopicPlan:
    """The topics as they were found; with `change`, they are made so, unless some are refused.

    Raises SettingsError, LogUnavailable.
    """
    try:
        return asyncio.run(_prepared(settings, change=change))
    except (KafkaError, OSError, TimeoutError) as error:
        where = f"kafka://{settings.kafka.bootstrap}"
        raise LogUnavailable(where, f"{type(error).__name__}: {error}") from error


async def _prepared(settings: Settings, *, change: bool) -> TopicPlan:
    admin = AIOKafkaAdminClient(**client_options(settings.kafka, "admin"))
    try:
        await admin.start()
        topics = declared(shards=settings.worker.shards, prefix=settings.kafka.prefix)
        found = await plan(admin, topics)
        if change and not found.refused:
            await apply(admin, found, replication=settings.kafka.replication)
        return found
    finally:
        await admin.close()
