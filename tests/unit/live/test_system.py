"""Parts of a live system: what is killed when one of their processes is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.system import Part, until

WITHIN_S = 20.0
FORKS = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    if not os.fork():
        time.sleep(60)
        os._exit(0)
print("forked", flush=True)
if sys.argv[2] == "waits":
    os._exit(7 if os.WTERMSIG(os.wait()[1]) == 9 else 8)
time.sleep(60)
"""


@pytest.fixture
def part(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Part]:
    """A process that has forked so many, in a group of its own, ended with them."""
    count, then = request.param
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKS, str(count), then],
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"forked\n"
    yield Part("engine", process, tmp_path / "log")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(WITHIN_S)
    process.stdout.close()


@pytest.mark.parametrize("part", [(1, "waits")], indirect=True)
def test_the_deciding_process_is_killed_alone(part: Part) -> None:
    assert part.kill_deciding()
    assert part.process.wait(WITHIN_S) == 7
    assert not part.kill_deciding(), "it has ended"


@pytest.mark.parametrize("part", [(0, "stays"), (2, "stays")], indirect=True)
def test_where_it_is_not_clear_who_decides_nobody_is_killed(part: Part) -> None:
    assert not part.kill_deciding()
    assert part.running


def test_what_does_not_come_to_hold_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"^not within .* s: it rains"):
        until("it rains", lambda: False, within_s=0.05, every_s=0.01)
