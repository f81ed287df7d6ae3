"""Supervisor: starts again, gives up, ends all together; what does not end in time is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
SUPERVISE = """
import sys
from coordinator.shells.live import supervisor
supervisor.PAUSE_S, supervisor.FAILURES_MAX, supervisor.LOOK_EVERY_S = (0.01,), 3, 0.02
children = [
    supervisor.Child(f"part {n}", [sys.executable, "-c", program])
    for n, program in enumerate(sys.argv[2:])
]
sys.exit(supervisor.supervise(children, grace_s=float(sys.argv[1])))
"""
# Each writes one line more into the file whenever it starts.
NOTE = "import sys, time, signal; open({path!r}, 'a').write('x\\n'); "
SLEEPS = NOTE + "time.sleep(60)"
DEAF = NOTE.replace("; open", "; signal.signal(signal.SIGTERM, signal.SIG_IGN); open") + (
    "time.sleep(60)"
)


def supervising(grace_s: float, *programs: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(grace_s), *programs], cwd=ROOT,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def starts(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def await_start(path: Path) -> None:
    end = time.monotonic() + 60
    while not starts(path):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_that_ended_as_they_should_end_it() -> None:
    assert supervising(5, "pass", "pass").wait(60) == 0


def test_a_part_that_keeps_failing_is_started_again_and_at_last_ends_all(tmp_path: Path) -> None:
    failing, good = tmp_path / "failing", tmp_path / "good"
    fails = NOTE.format(path=str(failing)) + "sys.exit(5)"
    done = supervising(5, fails, SLEEPS.format(path=str(good)))
    assert done.wait(60) == 1
    assert (starts(failing), starts(good)) == (3, 1)


@pytest.mark.parametrize(("program", "grace_s"), [(SLEEPS, 30.0), (DEAF, 0.3)])
def test_a_stop_ends_the_children_by_the_grace_at_the_latest(
    tmp_path: Path, program: str, grace_s: float
) -> None:
    path = tmp_path / "started"
    process = supervising(grace_s, program.format(path=str(path)))
    await_start(path)
    process.terminate()
    assert process.wait(25) == 0
