"""The engine worker: ends when it is out of its group, when a shard halts or stands still."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import coordinator.shells.live.worker as module
from coordinator.settings import Settings, WorkerSettings
from coordinator.shells.live.decider import DeciderGone
from coordinator.shells.live.owner import Phase
from coordinator.shells.live.worker import EngineWorker, WorkerFailed
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics

WITHIN_S = 20.0
SETTINGS = Settings(worker=WorkerSettings(shards=2, id="me", join_s=0.3, stall_s=0.3, stop_s=1.0))


class FakeOwner:
    """An owner as the worker sees it: a test says how it stands."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.phase = Phase.RUNNING
        self.reason = ""
        self.position = 4
        self.moved_at = time.monotonic()
        self.fault: BaseException | None = None
        self.drained = False
        self.started = self.stopped = False

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True

    def join(self, _timeout_s: float) -> bool:
        return self.stopped


class FakeDelivery:
    """Faust, as far as it tells anything."""

    def __init__(self, _settings: Settings, shards: EngineWorker) -> None:
        self.joined = asyncio.Event()
        self.crashed: BaseException | None = None
        self.shards = shards
        self.stopping: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def start(self) -> None:
        """Join at once; whoever wants it otherwise replaces this."""
        self.give(0, 1)

    def give(self, *shards: int) -> None:
        self.shards.assigned(frozenset(shards))
        self.joined.set()

    async def stop(self) -> None:
        if self.stopping is not None:
            await self.stopping()


class Bench(EngineWorker):
    """A worker without a broker: owners, deliveries and ends of journals are the test's."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.seen = Metrics()
        self.checks = Health(expected=("group",))
        self.decider_gone = False
        super().__init__(
            settings, metrics=self.seen, health=self.checks, settle=lambda: None,
            check=self._decider_is_there,
        )  # fmt: skip
        self.made: list[FakeOwner] = []
        self.ends: dict[int, int] | None = None
        self.prepare: Callable[[FakeOwner], None] = lambda _: None

    def _decider_is_there(self) -> None:
        if self.decider_gone:
            raise DeciderGone("the deciding process has ended")

    def _owner(self, number: int) -> Any:
        owner = FakeOwner(number)
        self.prepare(owner)
        self.made.append(owner)
        return owner

    async def _ends(self) -> dict[int, int]:
        if self.ends is not None:
            return self.ends
        return {number: owner.position + 1 for number, owner in self._owners.items()}

    def check(self, name: str) -> tuple[bool, str]:
        checks: Any = self.checks.ready()[1]["checks"]
        return checks[name]["ok"], checks[name]["reason"]


@pytest.fixture(autouse=True)
def deliveries(monkeypatch: pytest.MonkeyPatch) -> list[FakeDelivery]:
    made: list[FakeDelivery] = []

    def make(settings: Settings, shards: EngineWorker) -> FakeDelivery:
        made.append(FakeDelivery(settings, shards))
        return made[-1]

    async def there(*_: Any) -> bool:
        return True

    monkeypatch.setattr(module, "await_layout", there)
    monkeypatch.setattr(module, "FaustDelivery", make)
    monkeypatch.setattr(module, "settle", lambda: None)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)
    return made


def running(
    worker: Bench, then: Callable[[asyncio.Event], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Run the worker, and beside it what a test does; both end in time."""

    async def both() -> None:
        stop = asyncio.Event()
        async with asyncio.timeout(WITHIN_S):
            task = asyncio.create_task(worker.run(stop))
            if then is not None:
                await then(stop)
            await task

    asyncio.run(both())


def shown(worker: Bench) -> str:
    return worker.seen.render().decode()


async def until(true: Callable[[], bool]) -> None:
    for _ in iter(true, True):
        await asyncio.sleep(0.005)


def test_a_worker_that_never_joins_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def idle(_self: FakeDelivery) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeDelivery, "start", idle)
    worker = Bench()
    with pytest.raises(WorkerFailed, match=r"not in group coordinator\.engine for 0\.3 s"):
        running(worker)
    assert worker.check("group") == (False, "joining")


def test_a_worker_whose_shards_were_taken_and_that_never_joins_again_ends(
    deliveries: list[FakeDelivery],
) -> None:
    worker = Bench()

    async def taken(_stop: asyncio.Event) -> None:
        await until(lambda: worker.checks.ready()[0])
        await worker.revoked(frozenset({0, 1}))
        assert not deliveries[0].joined.is_set()

    with pytest.raises(WorkerFailed, match="not in group"):
        running(worker, taken)
    assert all(owner.stopped for owner in worker.made)


def test_a_worker_that_joins_again_goes_on(deliveries: list[FakeDelivery]) -> None:
    worker = Bench()

    async def again(stop: asyncio.Event) -> None:
        await until(lambda: worker.checks.ready()[0])
        await worker.revoked(frozenset({0, 1}))
        await until(lambda: worker.check("group") == (False, "joining"))
        deliveries[0].give(1)
        await until(lambda: worker.checks.ready()[0])
        stop.set()

    running(worker, again)


def test_a_worker_that_the_broker_does_not_know_any_more_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its owners would read the log themselves and decide for ever beside the new ones."""
    members = [frozenset({"me.engine", "other.engine"}), frozenset({"other.engine"})]

    async def clients(_self: object) -> frozenset[str]:
        return members.pop(0) if len(members) > 1 else members[0]

    monkeypatch.setattr("coordinator.shells.live.membership.ASK_EVERY_S", 0.02)
    monkeypatch.setattr("coordinator.shells.live.membership.Membership._clients", clients)
    worker = Bench()
    with pytest.raises(WorkerFailed, match="not in group"):
        running(worker)
    assert worker.check("group") == (False, "the broker does not know us")


def test_a_shard_that_halts_ends_the_worker() -> None:
    worker = Bench()
    fault = ValueError("other bytes")

    def halted(owner: FakeOwner) -> None:
        if owner.number == 1:
            owner.phase, owner.fault, owner.reason = Phase.HALTED, fault, "Diverged: other bytes"

    worker.prepare = halted
    with pytest.raises(WorkerFailed, match="shard 1 halted: Diverged: other bytes") as failed:
        running(worker)
    assert failed.value.__cause__ is fault


def test_a_worker_without_a_shard_ends_with_its_deciding_process(
    deliveries: list[FakeDelivery],
) -> None:
    worker = Bench()

    async def then(_: asyncio.Event) -> None:
        await until(lambda: bool(deliveries))
        deliveries[0].give()
        worker.decider_gone = True

    with pytest.raises(WorkerFailed, match="the deciding process has ended"):
        running(worker, then)


def test_a_shard_that_stands_still_behind_its_journal_ends_the_worker() -> None:
    worker = Bench()
    worker.ends = {0: 5, 1: 9}
    with pytest.raises(WorkerFailed, match=r"shard 1 stands still at 4 for 0 s \(running\), 4 rec"):
        running(worker)
    assert all(owner.stopped for owner in worker.made)


def test_a_fresh_record_of_a_shard_that_was_idle_for_long_is_no_standstill() -> None:
    worker = Bench()

    def idle(owner: FakeOwner) -> None:
        owner.moved_at = time.monotonic() - 3_600

    async def comes_and_goes(stop: asyncio.Event) -> None:
        await until(lambda: worker.checks.ready()[0])
        worker.ends = {0: 5, 1: 6}
        await until(lambda: 'lag_records{shard="1",topic="journal"} 1.0' in shown(worker))
        assert 'lag_seconds{shard="1",topic="journal"} 3' not in shown(worker)
        worker.ends = {0: 5, 1: 5}
        await until(lambda: 'lag_records{shard="1",topic="journal"} 0.0' in shown(worker))
        stop.set()

    worker.prepare = idle
    running(worker, comes_and_goes)


def test_a_recovery_that_applies_nothing_for_very_long_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coordinator.shells.live.standstill.RECOVERY_FACTOR", 1)
    worker = Bench()

    def recovering(owner: FakeOwner) -> None:
        owner.phase = Phase.RECOVERING

    worker.prepare = recovering
    with pytest.raises(WorkerFailed, match=r"shard 0 stands still at 4 for 0 s \(recovering\)"):
        running(worker)


def test_the_seal_of_all_shards_ends_it() -> None:
    worker = Bench()

    async def sealed(_stop: asyncio.Event) -> None:
        await until(lambda: worker.checks.ready()[0])
        for owner in worker.made:
            owner.phase, owner.drained = Phase.SEALED, True

    running(worker, sealed)
    assert worker.sealed
    assert all(owner.stopped for owner in worker.made)


def test_a_worker_that_is_told_to_end_was_not_sealed() -> None:
    worker = Bench()

    async def told(stop: asyncio.Event) -> None:
        stop.set()

    running(worker, told)
    assert not worker.sealed


def test_a_shard_is_not_ready_from_the_moment_it_is_ours() -> None:
    worker = Bench()
    worker.checks.set("group", ok=True)
    assert worker.checks.ready()[0]
    worker.assigned(frozenset({3}))
    assert not worker.checks.ready()[0]
    assert worker.check("shard 3") == (False, "recovering")


def test_what_is_assigned_while_it_ends_is_not_begun(deliveries: list[FakeDelivery]) -> None:
    worker = Bench()

    async def ends(stop: asyncio.Event) -> None:
        await until(lambda: worker.checks.ready()[0])

        async def rebalanced() -> None:
            deliveries[0].give(0, 1)

        deliveries[0].stopping = rebalanced
        stop.set()

    running(worker, ends)
    assert [owner.number for owner in worker.made] == [0, 1]
    assert all(owner.stopped for owner in worker.made)


@pytest.mark.parametrize("hangs", [True, False])
def test_a_delivery_that_does_not_let_go_is_left_in_time(
    deliveries: list[FakeDelivery], monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """Cancelled before the last connection is closed; and what it raises is looked at."""
    worker = Bench()
    seen: list[str] = []
    monkeypatch.setattr(worker._io, "close", lambda: seen.append("closed"))

    async def ends(stop: asyncio.Event) -> None:
        await until(lambda: worker.checks.ready()[0])

        async def stopping() -> None:
            if not hangs:
                raise OSError("gone")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        asyncio.get_running_loop().set_exception_handler(lambda _, about: seen.append(str(about)))
        deliveries[0].stopping = stopping
        stop.set()

    began = time.monotonic()
    running(worker, ends)
    assert time.monotonic() - began < WITHIN_S / 2
    gc.collect()
    assert seen == ["cancelled", "closed"][not hangs :]
