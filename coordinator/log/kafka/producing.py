"""Messages to input topics, as any producer would send them: by key, acknowledged, in order.

Place in the flow: outside the engine, for commands. A key's partition is that of every Kafka client
(murmur2). It must never write to a journal or to decisions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.headers import Headers
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.sending import answered_within_s, stopped
from coordinator.settings import KafkaSettings
from schemas.base import Event
from schemas.registry import INPUT_TOPICS

__all__ = ["Message", "key_of_event", "produce"]

IN_FLIGHT_MAX = 1_000
START_S = 30.0
UNANSWERED = "no acknowledgement"


@dataclass(frozen=True, slots=True)
class Message:
    """One message for an input topic, named without prefix."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers | tuple[()] = ()


def key_of_event(event: Event) -> bytes:
    """What a message is keyed by: whom it is about, so that their messages keep their order.

    Portfolio, source, decision or strategy, instrument, in this order; else the topic's name: a
    snapshot of many prices, parameters.
    """
    for field in ("portfolio", "source", "decision_id", "strategy", "instrument"):
        found = getattr(event, field, None)
        if isinstance(found, str):
            return found.encode()
    return event.topic.encode()


def produce(settings: KafkaSettings, messages: Iterable[Message]) -> int:
    """Send all of them; returns how many, once every one is acknowledged by the brokers.

    No message is waited for longer than the client's bound and some. Raises LogUnavailable, which
    says how many are acknowledged: the ones after them may be there too, and may be sent again, as
    engines pass over an event id that they know.
    """
    return asyncio.run(_produce(settings, messages))


async def _produce(settings: KafkaSettings, messages: Iterable[Message]) -> int:
    defaults = {"acks": "all", "enable_idempotence": True, "linger_ms": 5}
    options = {**defaults, **client_options(settings, "producer")}
    producer = AIOKafkaProducer(**options)
    bound_s = answered_within_s(options)
    waiting: deque[Any] = deque()
    done = 0
    try:
        async with _within(START_S, "no connection"):
            await producer.start()
        for message in messages:
            if message.topic not in INPUT_TOPICS:
                raise ValueError(f"{message.topic} is no input topic")
            async with _within(bound_s, UNANSWERED):
                waiting.append(await _begun(producer, settings.prefix, message))
                if len(waiting) >= IN_FLIGHT_MAX:
                    await waiting.popleft()
                    done += 1
        while waiting:
            async with _within(bound_s, UNANSWERED):
                await waiting.popleft()
            done += 1
    except (KafkaError, OSError, TimeoutError) as error:
        what = f"{type(error).__name__}: {error}; {done} messages are acknowledged"
        raise LogUnavailable(f"kafka://{settings.bootstrap}/{settings.prefix}", what) from error
    finally:
        for sent in waiting:
            sent.add_done_callback(_heard)
        await stopped(producer)
    return done


async def _begun(producer: AIOKafkaProducer, prefix: str, message: Message) -> Any:
    """The message is among those to be sent; returns what its acknowledgement comes by."""
    return await producer.send(
        prefix + message.topic, message.value, key=message.key, headers=list(message.headers)
    )


@asynccontextmanager
async def _within(bound_s: float, what: str) -> AsyncIterator[None]:
    """A wait that ends. Raises TimeoutError that says what did not come."""
    try:
        async with asyncio.timeout(bound_s):
            yield
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"{what} within {bound_s:g} s") from error


def _heard(sent: asyncio.Future[Any]) -> None:
    """An error of a message behind the one that failed is told by that one."""
    if not sent.cancelled():
        sent.exception()
