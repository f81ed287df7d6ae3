"""Messages of a world to the input topics of a live system, acknowledged, by a plain client.

Place in the flow: tests; a stranger's producer, as any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from tests.live.system import System
from tests.live.world import Message

__all__ = ["feed"]


def feed(system: System, messages: Iterable[Message]) -> None:
    """Send them one after the other; acknowledged on return."""
    asyncio.run(_feed(system, messages))


async def _feed(system: System, messages: Iterable[Message]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=system.bootstrap, linger_ms=0)
    await producer.start()
    try:
        for message in messages:
            topic = system.prefix + message.topic
            await producer.send_and_wait(topic, message.value, key=message.key.encode())
    finally:
        await producer.stop()
