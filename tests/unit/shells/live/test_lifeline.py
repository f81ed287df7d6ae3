"""Parts end with their supervisor, also when it was killed: gracefully, or at the grace's end."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from coordinator.shells.live.supervisor import command

ROOT = Path(__file__).resolve().parents[4]
WITHIN_S = 60.0
SUPERVISE = """
import sys
from coordinator.shells.live.supervisor import Child, supervise
children = [Child("a part", [sys.executable, "-c", program]) for program in sys.argv[1:]]
sys.exit(supervise(children, grace_s=30))
"""
PART = """
import os, signal, sys, time
from coordinator.shells.live.lifeline import hold_on
hold_on(grace_s={grace_s})
def stop(*_):
    os.write(1, b"stopped\\n")
    {ends}
signal.signal(signal.SIGTERM, stop)
os.write(1, b'"part_started" "process":%d\\n' % os.getpid())
time.sleep(600)
"""
GOOD = PART.format(grace_s=600, ends="sys.exit()")
DEAF = PART.format(grace_s=0.2, ends="time.sleep(600)")


class Running:
    """A process whose stdout all of its children share: it ends when the last of them has."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""
        self._end = time.monotonic() + WITHIN_S

    @property
    def started(self) -> list[int]:
        """The processes of the parts that run."""
        return [int(found) for found in re.findall(r'"part_started".*?"process":(\d+)', self.said)]

    def read(self) -> bool:
        """Read on; False once all have ended."""
        assert self.process.stdout is not None
        left = self._end - time.monotonic()
        ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
        assert ready, f"not within {WITHIN_S} s, said was: {self.said}"
        found = os.read(self.process.stdout.fileno(), 1 << 16)
        self.said += found.decode()
        return bool(found)


@contextmanager
def running(command: Sequence[str], **more: str) -> Iterator[Running]:
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **more},
    )  # fmt: skip
    with process:
        run = Running(process)
        try:
            yield run
            while run.read():
                pass
        except BaseException:
            for number in run.started:  # ours, and where the test failed nobody ends them
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            raise
        finally:
            process.kill()


@pytest.mark.parametrize("part", [GOOD, DEAF])
def test_parts_end_when_their_supervisor_was_killed(part: str) -> None:
    with running([sys.executable, "-c", SUPERVISE, part, part]) as run:
        while len(run.started) < 2:
            assert run.read()
        run.process.kill()
    assert run.said.count("stopped") == 2
    assert "supervisor_gone" in run.said


def test_a_part_ends_whose_supervisor_was_gone_before_it_looked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GOOD], cwd=ROOT, input=b"", capture_output=True, timeout=WITHIN_S,
        check=False,
    )  # fmt: skip
    # It may have come before the part knew what to do about it.
    assert done.returncode in {0, -signal.SIGTERM}
    assert done.stdout.count(b"stopped") == (done.returncode == 0)


def test_the_parts_of_a_killed_worker_end() -> None:
    """The real command, and routers that look for a broker where none is."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = {
            "COORDINATOR_KAFKA__BOOTSTRAP": f"127.0.0.1:{nobody.getsockname()[1]}",
            "COORDINATOR_HTTP__PORT": "0",
        }
        own = [sys.executable, "-m", "coordinator", "run", "--only", "router", "--only", "router"]
        with running(own, **where) as run:
            while len(run.started) < 2:
                assert run.read()
            run.process.kill()
    assert run.said.count('"part_ended"') == 2


def test_only_children_hold_on() -> None:
    assert "--supervised" in command("router", [])
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "run", "--help"], cwd=ROOT, text=True, timeout=60,
        capture_output=True, check=True,
    )  # fmt: skip
    assert "--only" in done.stdout
    assert "--supervised" not in done.stdout
