"""Membership: told by the delivery, asked of the broker; silence is no answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError

import coordinator.shells.live.membership as module
from coordinator.settings import Settings, WorkerSettings
from coordinator.shells.live.membership import Membership

WITHIN_S = 20.0
SETTINGS = Settings(worker=WorkerSettings(id="me"))


def described(*clients: str, error: int = 0) -> Any:
    members = [(f"{client}-1", client, "/host", b"", b"") for client in clients]
    group = (error, "coordinator.engine", "Stable", "consumer", "roundrobin", members)
    return [SimpleNamespace(groups=[group])]


async def asked(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[float, bool]:
    """What is said after these answers: how long away, and whether everything was closed."""
    told = list(answers)
    enough, closed = asyncio.Event(), []

    class Admin:
        def __init__(self, **_options: Any) -> None:
            closed.append(False)

        async def start(self) -> None:
            pass

        async def describe_consumer_groups(self, groups: list[str]) -> Any:
            assert groups == ["coordinator.engine"]
            if not told:
                enough.set()
                await asyncio.Event().wait()
            answer = told.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def close(self) -> None:
            closed[-1] = True

    monkeypatch.setattr(module, "AIOKafkaAdminClient", Admin)
    monkeypatch.setattr(module, "ASK_EVERY_S", 0.001)
    joined = asyncio.Event()
    joined.set()
    membership = Membership(SETTINGS, joined)
    assert membership.away_s() == 0
    async with asyncio.timeout(WITHIN_S):
        watching = asyncio.create_task(membership.watch())
        await enough.wait()
        away = membership.away_s()
        watching.cancel()
        await asyncio.wait({watching})
    return away, all(closed)


OURS, OTHERS = "me.engine", "other.engine"


@pytest.mark.parametrize(
    ("answers", "there"),
    [
        ([described(OURS, OTHERS)], True),
        ([described(OTHERS)], False),
        ([described()], False),
        ([described(error=69)], False),  # there is no such group any more
        ([described(OTHERS), described(OURS)], True),
        ([described(OURS), KafkaConnectionError("away")], True),
        ([described(OTHERS), KafkaConnectionError("away"), TimeoutError()], False),
        ([described(OURS), described(error=15)], True),
        ([described(error=GroupAuthorizationFailedError.errno)], True),
    ],
)
def test_the_last_answer_stands(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any], *, there: bool
) -> None:
    away, closed = asyncio.run(asked(monkeypatch, *answers))
    assert (away == 0, closed) == (there, True)


def test_who_has_not_joined_is_away_whatever_the_broker_says() -> None:
    async def away() -> float:
        joined = asyncio.Event()
        membership = Membership(SETTINGS, joined)
        await asyncio.sleep(0.002)
        return membership.away_s()

    assert asyncio.run(away()) > 0
