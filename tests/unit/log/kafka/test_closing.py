"""KafkaLog closed while it connects: whatever has started is stopped, and nobody is answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from coordinator.log.errors import LogClosed, LogUnavailable
from coordinator.log.kafka import log as log_module
from coordinator.log.kafka import tail as tail_module
from coordinator.log.kafka.log import KafkaLog
from coordinator.settings import KafkaSettings

BOUND_S = 20.0


class Client:
    """Any client: it is up when the test lets it, and says whether it was stopped."""

    made: list[Client]
    starts: threading.Event
    goes_on: threading.Event

    def __init__(self, **_: Any) -> None:
        self.made.append(self)
        self.running = False

    async def start(self) -> None:
        self.starts.set()
        await asyncio.to_thread(self.goes_on.wait, BOUND_S)
        self.running = True

    async def stop(self) -> None:
        self.running = False

    close = stop

    def assign(self, _: object) -> None:
        """As a consumer."""

    def seek(self, *_: object) -> None:
        """As a consumer."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    kind = type(
        "Kind", (Client,), {"made": [], "starts": threading.Event(), "goes_on": threading.Event()}
    )
    monkeypatch.setattr(log_module, "AIOKafkaConsumer", kind)
    monkeypatch.setattr(log_module, "AIOKafkaAdminClient", kind)
    monkeypatch.setattr(tail_module, "AIOKafkaConsumer", kind)
    return kind


USES: dict[str, Callable[[KafkaLog], object]] = {
    "ends": KafkaLog.ends,
    "truncate": lambda log: log.truncate("journal", 0, 1),
    "read": lambda log: next(log._found("journal", 0, 0, 1)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_connects_while_the_log_is_closed_is_stopped(
    client: type[Client], use: Callable[[KafkaLog], object]
) -> None:
    log = KafkaLog(KafkaSettings())
    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(use, log)
        assert client.starts.wait(BOUND_S)
        closed = threads.submit(log.close)
        while not log._closed:
            assert not closed.done()
        threading.Timer(0.1, client.goes_on.set).start()
        closed.result(BOUND_S)
        with pytest.raises((LogClosed, LogUnavailable)):
            asked.result(BOUND_S)
    assert [one.running for one in client.made] == [False]
