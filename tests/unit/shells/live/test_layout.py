"""A part waits for its topics, with one word about it, and refuses another number of shards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

import coordinator.shells.live.layout as module
from coordinator.core.engine import WrongShards
from coordinator.log.errors import LogUnavailable
from coordinator.log.kafka.layout import TopicsMissing
from coordinator.settings import Settings, WorkerSettings
from coordinator.shells.live.layout import await_layout, refuse_other_shards
from coordinator.telemetry.health import Health

MISSING = TopicsMissing("kafka://there", ["journal"])
AWAY = LogUnavailable("kafka://there", "refused")
SETTINGS = Settings(worker=WorkerSettings(shards=4))
FITS = {"journal": 4, "decisions": 4}


class Waiting:
    """A part that waits while the cluster answers so, one after the other; then it is stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.health = Health(expected=("views",))
        self.reasons: list[str] = []
        self._left = list(answers)
        self._stop = asyncio.Event()
        monkeypatch.setattr(module, "find_topics", self._find)
        monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)

    async def _find(self, *_: Any) -> dict[str, int]:
        checks: Any = self.health.ready()[1]["checks"]
        self.reasons.append(checks["views"]["reason"])
        if not self._left:
            self._stop.set()
            raise MISSING
        answer = self._left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, int] = answer
        return found

    def ended(self, settings: Settings = SETTINGS) -> tuple[bool, list[Any]]:
        async def within() -> bool:
            async with asyncio.timeout(20):
                return await await_layout(settings, self.health, "views", self._stop)

        with capture_logs() as logs:
            fits = asyncio.run(within())
        return fits, logs


def test_it_waits_until_the_topics_are_made_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = Waiting(monkeypatch, MISSING, MISSING, MISSING, FITS)
    fits, logs = waiting.ended()
    assert fits
    assert [line["event"] for line in logs] == ["part_waits"]
    assert all("run `coordinator topics apply`" in reason for reason in waiting.reasons[1:])
    assert (waiting.reasons[0], len(waiting.reasons)) == ("joining", 4)


def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Waiting(monkeypatch, MISSING).ended()[0] is False


def test_other_numbers_are_refused_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongShards, match=r"journal has 8 partitions.*--shards\) to 8"):
        Waiting(monkeypatch, {"journal": 8, "decisions": 4}).ended()
    with pytest.raises(WrongShards, match="decisions has 2"):
        refuse_other_shards(SETTINGS, {"journal": 4, "decisions": 2})
    refuse_other_shards(SETTINGS, FITS)


def test_a_broker_that_is_away_is_waited_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Waiting(monkeypatch, AWAY, AWAY, FITS).ended()[0]
    brief = Settings(worker=WorkerSettings(shards=4, join_s=1))
    clock = iter(range(1_000))
    monkeypatch.setattr(module, "time", type("Clock", (), {"monotonic": lambda: next(clock)}))
    with pytest.raises(LogUnavailable, match="cannot be joined: refused"):
        Waiting(monkeypatch, AWAY, AWAY, AWAY).ended(brief)
