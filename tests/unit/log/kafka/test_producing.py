"""Producing: all that was acknowledged is counted, and nobody waits for a broker without end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka import producing, sending
from coordinator.log.kafka.producing import Message, produce
from coordinator.settings import KafkaSettings

WITHIN_S = 10.0
SETTINGS = KafkaSettings(bootstrap="127.0.0.1:1", prefix="p.", producer={"request_timeout_ms": 1})


@dataclass
class Producer:
    """Answers the first ones; then as told. never: what is never done."""

    answered: int = 0
    never: tuple[str, ...] = ()
    error: Exception | None = None
    sent: list[asyncio.Future[int]] = field(default_factory=list)
    stopped: bool = False

    async def start(self) -> None:
        await self._may("start")

    async def send(self, topic: str, value: bytes, **_: Any) -> asyncio.Future[int]:
        assert (topic, value) == ("p.control", b"x")
        if len(self.sent) >= self.answered:
            await self._may("send")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if len(self.sent) < self.answered:
            answer.set_result(len(self.sent))
        elif self.error is not None:
            answer.set_exception(self.error)
        self.sent.append(answer)
        return answer

    async def stop(self) -> None:
        await self._may("stop")
        self.stopped = True

    async def _may(self, step: str) -> None:
        if step in self.never:
            await asyncio.Event().wait()


def run(monkeypatch: pytest.MonkeyPatch, producer: Producer, count: int) -> int:
    """With bounds that pass at once."""
    monkeypatch.setattr(producing, "AIOKafkaProducer", lambda **_: producer)
    monkeypatch.setattr(producing, "START_S", 0.05)
    monkeypatch.setattr(sending, "BEYOND_S", 0.05)
    monkeypatch.setattr(sending, "STOPPING_S", 0.05)
    monkeypatch.setattr(sending, "GIVE_UP_S", 0.05)
    return produce(SETTINGS, [Message("control", None, b"x")] * count)


def test_every_acknowledged_message_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "IN_FLIGHT_MAX", 2)
    producer = Producer(answered=5)
    assert run(monkeypatch, producer, 5) == 5
    assert producer.stopped


@pytest.mark.parametrize(
    ("never", "in_flight", "what"),
    [
        (("stop",), 1_000, "no acknowledgement within 0.051 s; 3 messages are acknowledged"),
        (("stop",), 2, "no acknowledgement within 0.051 s; 3 messages are acknowledged"),
        (("send", "stop"), 1, "no acknowledgement within 0.051 s; 3 messages are acknowledged"),
        (("start",), 1_000, "no connection within 0.05 s; 0 messages are acknowledged"),
    ],
)
def test_a_broker_that_never_answers_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, never: tuple[str, ...], in_flight: int, what: str
) -> None:
    monkeypatch.setattr(producing, "IN_FLIGHT_MAX", in_flight)
    producer, began = Producer(answered=3, never=never), time.monotonic()
    with pytest.raises(LogUnavailable) as raised:
        run(monkeypatch, producer, 6)
    assert what in str(raised.value)
    assert "kafka://127.0.0.1:1/p." in str(raised.value)
    assert time.monotonic() - began < WITHIN_S
    assert producer.stopped == ("stop" not in never)


def test_a_refused_message_is_told_with_what_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer(answered=2, error=KafkaError("too large"))
    with pytest.raises(LogUnavailable, match="too large; 2 messages are acknowledged"):
        run(monkeypatch, producer, 4)
    assert producer.stopped
