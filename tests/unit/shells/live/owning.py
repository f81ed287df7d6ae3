"""One shard's owner on a log in memory, and what a router and a delivery would do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from coordinator.core.ports import Record
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.errors import LogUnavailable
from coordinator.log.memory import MemoryLog
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.observing import Observer
from coordinator.shells.live.owner import Owner, OwnerSettings, Phase
from coordinator.shells.live.pacing import Pace
from coordinator.telemetry.metrics import Metrics
from schemas.journal import EngineSealed
from tests.journals import Inputs, engine, started
from tests.unit.shells.live.fakes import FakeLog

__all__ = ["WITHIN_S", "Bench", "ended", "until"]

WITHIN_S = 20.0


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.005)


class Bench:
    """One shard's owner on a log in memory, and what a router and a delivery would do."""

    def __init__(self) -> None:
        self.memory = MemoryLog()
        self.make = Inputs()
        self.refusals: list[str] = []
        self.logs: list[FakeLog] = []
        self.owners: list[Owner] = []
        self.metrics = Metrics()

    def owner(
        self,
        *,
        build: str = "build",
        pace: Pace | None = None,
        broker_time: BrokerTime | None = None,
        **settings: Any,
    ) -> Owner:
        told = {"queue_records_max": 1_000, "checkpoint_decisions": 500, "checkpoint_s": 600.0}
        made = Owner(
            0,
            open_log=self._open,  # type: ignore[arg-type] # what an owner uses of it
            engine=lambda: engine(0, 1),
            started=lambda at: started(at, build),
            settings=OwnerSettings(**(told | settings)),
            observer=Observer(0, self.metrics),
            pace=pace,
            broker_time=broker_time,
        )
        self.owners.append(made)
        return made

    def _open(self) -> FakeLog:
        log = FakeLog(self.memory, refuse=self._refuse)
        self.logs.append(log)
        return log

    def _refuse(self, what: str) -> None:
        if self.refusals and what.startswith(self.refusals[0]):
            self.refusals.pop(0)
            raise LogUnavailable("fake", "away")

    def running(self, **settings: Any) -> Owner:
        made = self.owner(**settings)
        made.start()
        until(lambda: made.phase is Phase.RUNNING, f"{made.phase}: {made.reason}")
        return made

    def lay(self, *names: str) -> list[Record]:
        """A few records; with an unknown source each, every one of them is answered."""
        before = self.memory.end("journal", 0)
        raws = [self.make.signal(name, "A", time.time_ns()).raw for name in names or "abc"]
        Router(self.memory, shards=1).accept(raws)
        return list(self.memory.read("journal", 0, before))

    def write(self, event: Any) -> None:
        Router(self.memory, shards=1).write(event, shards=[0], journal_time=None)

    def seal(self) -> None:
        now = time.time_ns()
        self.write(EngineSealed(event_id=f"seal {now}", event_time=now, reason="test"))

    def said(self) -> int:
        return self.memory.end("decisions", 0)

    def audit(self) -> None:
        """Another owner finds every output there, and nothing else."""
        found = Shard(self.memory, engine(0, 1)).recover()
        assert found.outputs_missing == 0


def ended(owner: Owner) -> Owner:
    owner.stop()
    assert owner.join(WITHIN_S)
    return owner
