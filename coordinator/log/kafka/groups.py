"""Who reads which partition now: the members of a consumer group and what they were given.

Place in the flow: asked by commands that wait for owners. Reads only.
"""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.options import client_options
from coordinator.settings import KafkaSettings

__all__ = ["members_by_partition"]

ANSWER_S = 30.0
_MEMBERS = 5
"""Place of the members in a described group, by Kafka's protocol guide."""


def members_by_partition(settings: KafkaSettings, group: str, topic: str) -> dict[int, str]:
    """The client that has each partition of a topic (without prefix). Raises LogUnavailable."""
    try:
        return asyncio.run(asyncio.wait_for(_members(settings, group, topic), ANSWER_S))
    except (KafkaError, OSError, TimeoutError) as error:
        where = f"kafka://{settings.bootstrap}/{settings.prefix}"
        raise LogUnavailable(where, f"{type(error).__name__}: {error}") from error


async def _members(settings: KafkaSettings, group: str, topic: str) -> dict[int, str]:
    admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
    found: dict[int, str] = {}
    try:
        await admin.start()
        for answer in await admin.describe_consumer_groups([group]):
            for described in answer.groups:
                for _member, client, _host, _metadata, assignment in described[_MEMBERS]:
                    if not assignment:
                        continue
                    given = ConsumerProtocolMemberAssignment.decode(assignment)
                    for name, partitions in given.assignment:
                        if name == settings.prefix + topic:
                            found |= dict.fromkeys(partitions, client)
    finally:
        await admin.close()
    return found
