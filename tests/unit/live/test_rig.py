"""What chaos calls a violation: an end that no fault explains, and a fault that never came."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.live import chaos, faults
from tests.live.rig import WORKERS, Rig


class Fake:
    """A part of a process that does as told. log: what it said."""

    def __init__(self, log: Path, *, running: bool = True, code: int = 0) -> None:
        log.write_text("")
        self.log, self.running, self.code = log, running, code
        self.process = SimpleNamespace(returncode=code, send_signal=lambda _: None)

    def kill(self) -> None:
        self.running = False

    def stop(self) -> int:
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
