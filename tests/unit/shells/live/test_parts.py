"""The parts of a worker are made as its settings say."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from coordinator.core.engine import Engine
from coordinator.settings import Settings
from coordinator.settings.sections import WorkerSettings
from coordinator.shells.live import decider, parts


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is forked")
@pytest.mark.parametrize(("settings", "children"), [({}, 0), ({"round_processes": 3}, 2)])
def test_a_worker_works_out_rounds_with_as_many_processes_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, int], children: int
) -> None:
    made: list[Engine] = []

    class Deciding:
        """A decider that makes its engine here, and is never asked."""

        settle = check = engine = None

        def __init__(self, make: Any, shards: int) -> None:
            made.append(make(shards - 1, shards))

        def close(self) -> None:
            pass

    monkeypatch.setattr(decider, "Decider", Deciding)
    monkeypatch.setattr(parts, "run_part", lambda *_, **__: 0)
    ours = Settings(worker=WorkerSettings.model_validate({"shards": 2} | settings))
    assert parts.run_named(ours, "engine") == 0
    (one,) = made
    hands: Any = one._together._hands
    assert hands._children == children
    assert (one.state.shard, one.state.shards) == (1, 2)
