"""Delivery: what Faust is told, because its defaults do not go together."""

from __future__ import annotations

import pytest

from coordinator.settings import Settings, WorkerSettings
from coordinator.shells.live.delivery import faust_app


@pytest.mark.parametrize("session_ms", [6_000, 30_000])
def test_a_join_is_over_before_its_request_is_and_before_a_worker_gives_up(session_ms: int) -> None:
    settings = Settings(worker=WorkerSettings(session_timeout_ms=session_ms))
    conf = faust_app(settings, "engine").conf
    assert conf.broker_rebalance_timeout == session_ms / 1000
    assert conf.broker_rebalance_timeout * 1.5 <= conf.broker_request_timeout
    assert conf.broker_rebalance_timeout * 1.5 <= settings.worker.join_s
