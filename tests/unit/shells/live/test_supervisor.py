"""Supervisor: starts again, gives up, ends all together; what does not end in time is killed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.shells.live.supervisor import SEALED, ports_taken

ROOT = Path(__file__).resolve().parents[4]
SUPERVISE = """
import sys
from coordinator.shells.live import supervisor
supervisor.PAUSE_S, supervisor.FAILURES_MAX, supervisor.LOOK_EVERY_S = (0.01,), 3, 0.02
children = [
    supervisor.Child(name, [sys.executable, "-c", program])
    for name, program in zip(sys.argv[2::2], sys.argv[3::2], strict=True)
]
sys.exit(supervisor.supervise(children, grace_s=float(sys.argv[1])))
"""
# Each writes one line more into the file whenever it starts.
NOTE = "import sys, time, signal; open({path!r}, 'a').write('x\\n'); "
SLEEPS = NOTE + "time.sleep(60)"
DEAF = NOTE.replace("; open", "; signal.signal(signal.SIGTERM, signal.SIG_IGN); open") + (
    "time.sleep(60)"
)


def supervising(grace_s: float, **programs: str) -> subprocess.Popen[bytes]:
    """By the part's name, what it runs."""
    words = [word for named in programs.items() for word in named]
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(grace_s), *words], cwd=ROOT,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def starts(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def await_start(path: Path, count: int = 1) -> None:
    end = time.monotonic() + 60
    while starts(path) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_engine_whose_shards_are_all_sealed_ends_the_worker(tmp_path: Path) -> None:
    router, views = tmp_path / "router", tmp_path / "views"
    engine = f"""
import os, sys, time
until = time.monotonic() + 60
while not all(map(os.path.exists, {[str(router), str(views)]!r})):
    assert time.monotonic() < until
    time.sleep(0.02)
sys.exit({SEALED})
"""
    gracefully = NOTE.replace(
        "; open", "; signal.signal(signal.SIGTERM, lambda *_: (note('told'), sys.exit(0))); open"
    ).replace("; open", "; note = lambda word: open({path!r}, 'a').write(word + '\\n'); open", 1)
    words = {
        name: gracefully.format(path=str(path)) + "time.sleep(60)"
        for name, path in (("router", router), ("views", views))
    }
    assert supervising(30, engine=engine, **words).wait(60) == 0
    assert [path.read_text().split() for path in (router, views)] == [["x", "told"]] * 2


@pytest.mark.parametrize("part", ["router", "engine"])
def test_a_part_that_was_told_to_end_is_started_again(tmp_path: Path, part: str) -> None:
    told, other = tmp_path / "told", tmp_path / "other"
    first = f"open({str(told)!r}).read() == 'x\\n'"
    ends = NOTE.format(path=str(told)) + f"{first} or time.sleep(60)"
    process = supervising(30, **{part: ends, "views": SLEEPS.format(path=str(other))})
    await_start(told, 2)
    await_start(other)
    process.terminate()
    assert process.wait(25) == 0
    assert (starts(told), starts(other)) == (2, 1)


def test_a_port_is_taken_while_somebody_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert ports_taken("127.0.0.1", [0, port]) == [port]
        assert ports_taken("localhost", [port]) == [port]
    assert ports_taken("127.0.0.1", [0, port]) == []
    assert ports_taken("nobody.invalid", [port]) == []


@pytest.mark.parametrize("part", ["postgres", "redis", "views"])
def test_a_disposable_part_that_keeps_failing_ends_nobody(tmp_path: Path, part: str) -> None:
    failing, good = tmp_path / "failing", tmp_path / "good"
    fails = NOTE.format(path=str(failing)) + "sys.exit(5)"
    words = {part: fails, "engine": SLEEPS.format(path=str(good))}
    process = supervising(30, **words)
    await_start(good)
    await_start(failing, 6)
    process.terminate()
    assert process.wait(25) == 0
    assert starts(good) == 1


def test_a_needed_part_that_keeps_failing_is_started_again_and_at_last_ends_all(
    tmp_path: Path,
) -> None:
    failing, good = tmp_path / "failing", tmp_path / "good"
    fails = NOTE.format(path=str(failing)) + "sys.exit(5)"
    done = supervising(5, engine=fails, router=SLEEPS.format(path=str(good)))
    assert done.wait(60) == 1
    assert (starts(failing), starts(good)) == (3, 1)


@pytest.mark.parametrize(("program", "grace_s"), [(SLEEPS, 30.0), (DEAF, 0.3)])
def test_a_stop_ends_the_children_by_the_grace_at_the_latest(
    tmp_path: Path, program: str, grace_s: float
) -> None:
    path = tmp_path / "started"
    process = supervising(grace_s, engine=program.format(path=str(path)))
    await_start(path)
    process.terminate()
    assert process.wait(25) == 0
