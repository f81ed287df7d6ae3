"""Checks hold, fail, lapse and are dropped; reasons show no secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

import pytest

from coordinator.settings import REDACTED, WorkerSettings
from coordinator.telemetry.health import CHECKS_MAX, Health


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def reason(told: Mapping[str, object], name: str) -> str:
    checks = told["checks"]
    assert isinstance(checks, dict)
    return str(checks[name]["reason"])


def test_nothing_known_is_alive_and_not_ready() -> None:
    health = Health()
    assert health.live()[0] is True
    assert health.ready()[0] is False


def test_what_is_expected_is_missing_until_it_is_set() -> None:
    health = Health(expected=("kafka", "engine"))
    health.set("kafka", True)
    ok, told = health.ready()
    assert not ok
    assert reason(told, "engine") == "not yet known"
    health.set("engine", True)
    assert health.ready()[0] is True


def test_a_check_that_is_not_renewed_in_time_fails_and_says_so() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.set("progress", True, "at 5", vital=True, lapses_s=10)
    clock.now += 10
    assert health.live()[0] is True
    clock.now += 1
    ok, told = health.live()
    assert not ok
    assert reason(told, "progress") == "not heard of for too long; last said: at 5"
    health.set("progress", True, "at 6", vital=True, lapses_s=10)
    assert health.live()[0] is True


def test_how_long_a_check_has_stood_is_told() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.set("kafka", False, "away")
    clock.now += 5
    health.set("kafka", False, "still away")
    _, told = health.ready()
    assert told["checks"] == {"kafka": {"ok": False, "reason": "still away", "for_s": 5.0}}


def test_a_dropped_check_counts_no_more() -> None:
    health = Health()
    health.set("kafka", True)
    health.set("shard 1", False, "recovering")
    health.drop("shard 1")
    health.drop("shard 1")
    assert health.ready()[0] is True


def test_reasons_are_short_and_show_no_secret() -> None:
    health = Health(secrets=["sesame"])
    health.set("db", False, f"sesame and postgresql://ann:pw@h {'x' * 10_000}")
    shown = reason(health.ready()[1], "db")
    assert shown.startswith(f"{REDACTED} and postgresql://ann:{REDACTED}@h xxx")
    assert len(shown) <= 500


def test_a_worker_may_own_every_shard_there_can_be_and_the_one_that_fails_is_told() -> None:
    field = WorkerSettings.model_fields["shards"]
    most = next(one.le for one in field.metadata if hasattr(one, "le"))
    health = Health(expected=("group",))
    for name in ("group", "broker", "engine"):
        health.set(name, True)
    for shard in range(most):
        health.set(f"shard {shard}", True)
    assert health.ready()[0] is True
    health.set(f"shard {most - 1}", False, "recovering")
    ok, told = health.ready()
    assert not ok
    assert reason(told, f"shard {most - 1}") == "recovering"
    assert json.dumps(told).count('"ok": false') == 2  # it, and all in all


def test_checks_are_limited() -> None:
    health = Health()
    for number in range(CHECKS_MAX):
        health.set(f"{number}", True)
    health.set("0", False)
    with pytest.raises(ValueError, match="drop"):
        health.set("more", True)


def test_many_threads_may_set_and_ask() -> None:
    health = Health()
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(200):
                health.set(f"{number}.{turn % 5}", True)
                health.ready()
                health.drop(f"{number}.{turn % 7}")
        except Exception as error:  # noqa: BLE001 - shown by the assert
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert health.ready()[0] is True
