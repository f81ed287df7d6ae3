"""What chaos calls a violation: an end that no fault explains, and a fault that never came."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.live import chaos, faults
from tests.live.rig import GONE, WORKERS, Rig


class Fake:
    """A part of a process that does as told. log: what it said."""

    def __init__(self, log: Path, *, running: bool = True, code: int | None = 0) -> None:
        log.write_text("")
        self.log, self.running, self.code = log, running, code
        self.process = SimpleNamespace(returncode=code, send_signal=lambda _: None, wait=self.wait)
        self.decides, self.last_words = True, ""

    def kill(self) -> None:
        self.running = False

    def kill_deciding(self) -> bool:
        self.log.write_text(self.last_words)
        return self.decides

    def wait(self, within_s: float) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired("worker", within_s)
        return self.code

    def stop(self) -> int | None:
        return self.code

    def ready(self) -> bool:
        return True


class FakeRig(Rig):
    """Whatever is started is a part that runs."""

    folder: Path

    def start(self, name: str) -> Any:
        self.parts[name] = cast("Any", Fake(self.folder / "started.log"))
        return self.parts[name]


@pytest.fixture
def rig(tmp_path: Path) -> FakeRig:
    parts = {name: Fake(tmp_path / f"{name}.log") for name in WORKERS}
    stores = SimpleNamespace(servers={})
    system = SimpleNamespace(folder=tmp_path)
    nothing = cast("Any", None)
    made = FakeRig(nothing, nothing, cast("Any", system), nothing, cast("Any", stores))
    made.parts |= cast("Any", parts)
    made.folder = tmp_path
    return made


def judged(rig: Rig) -> list[str]:
    """The violations, of a run whose topics were not looked at."""
    outcome = chaos.Outcome(chaos.Plan(1, 1), wrong=dict(rig.wrong))
    outcome.findings.fault("the topics were not read")
    rig.broker = cast("Any", SimpleNamespace(bootstrap=""))
    chaos._judge(rig, outcome)
    return outcome.findings.faults[1:]


def test_a_part_that_ends_by_itself_is_a_violation(rig: FakeRig, tmp_path: Path) -> None:
    rig.parts[WORKERS[0]] = cast("Any", Fake(tmp_path / "x.log", running=False, code=-11))
    assert not rig._is_ready(WORKERS[0])
    (fault,) = judged(rig)
    assert "worker ended with -11 (1 times)" in fault


def test_a_part_that_a_fault_killed_is_none(rig: FakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "LATER_MAX_S", 0.0)
    faults.FAULTS["worker killed"](rig, random.Random(1))
    assert all(rig._is_ready(name) for name in WORKERS)
    assert judged(rig) == []


HALT = f'{{"event":"shard_halted","shard":2,"error":"{GONE}"}}\n'


def bereave(rig: FakeRig, monkeypatch: pytest.MonkeyPatch, **worker: Any) -> None:
    """Kill a deciding process; what its worker then does."""
    monkeypatch.setattr(faults, "LATER_MAX_S", 0.0)
    for name in WORKERS:
        for what, value in worker.items():
            setattr(rig.parts[name], what, value)
    faults.FAULTS["decider killed"](rig, random.Random(1))
    assert all(rig._is_ready(name) for name in WORKERS)


def test_a_worker_that_ends_with_its_deciding_process_is_started_again_and_no_violation(
    rig: FakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bereave(rig, monkeypatch, code=1, last_words=HALT)
    assert sum(part.log.name == "started.log" for part in rig.parts.values()) == 1
    assert judged(rig) == []


def test_any_other_halt_is_a_violation_also_of_that_worker(
    rig: FakeRig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = '{"event":"shard_halted","shard":1,"error":"the log holds another output"}\n'
    bereave(rig, monkeypatch, code=1, last_words=HALT + other)
    (tmp_path / "another part.log").write_text(HALT)
    (fault,) = judged(rig)
    assert fault.startswith("a shard halted")
    assert len(rig.halts()) == 2


@pytest.mark.parametrize(
    ("worker", "what"),
    [
        ({"code": 0, "last_words": HALT}, "deciding process was killed ended with 0"),
        ({"code": 1, "last_words": ""}, "deciding process was killed ended with 1"),
        ({"code": -9, "last_words": HALT}, "deciding process was killed ended with -9"),
        ({"code": None}, "worker that outlived its deciding process"),
        ({"decides": False}, "worker without a deciding process"),
    ],
)
def test_a_worker_that_does_not_end_with_its_deciding_process_is_a_violation(
    rig: FakeRig, monkeypatch: pytest.MonkeyPatch, worker: dict[str, Any], what: str
) -> None:
    bereave(rig, monkeypatch, **worker)
    (fault,) = judged(rig)
    assert what in fault


@pytest.mark.parametrize("code", [0, 1, -9])
def test_a_worker_that_ends_badly_when_told_to_is_a_violation(rig: FakeRig, code: int) -> None:
    for part in rig.parts.values():
        cast("Any", part).code = code
    faults.FAULTS["worker terminated"](rig, random.Random(1))
    assert [f"SIGTERM ended with {code}" in one for one in judged(rig)] == [True] * (code != 0)


def test_a_planted_fault_that_never_comes_is_a_violation(
    rig: FakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "PLANTED_WITHIN_S", 0.1)
    faults.FAULTS["worker's send fails"](rig, random.Random(1))
    (fault,) = judged(rig)
    assert "planted fault that did not come to pass" in fault
