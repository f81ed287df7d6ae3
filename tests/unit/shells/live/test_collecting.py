"""What a process freed goes back to the system, what a round works with does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
FREED = """
import gc, psutil
from coordinator.shells.live.collecting import COLLECT_AFTER, collect_seldom

collect_seldom()
assert gc.get_threshold() == COLLECT_AFTER
own = psutil.Process()
large = bytes(30 << 20)
del large
before, kept = own.memory_info().rss, []
for _ in range(3):
    checkpoints = []
    for _ in range(40):
        checkpoints.append(b"x" * (4 << 20))
        kept.append(b"x" * 5_000)
    del checkpoints
print((own.memory_info().rss - before) >> 20)
"""
"""The block freed first tells malloc what is large; small ones lie between the others and stay."""

WORKED = """
import resource
import numpy as np
from coordinator.shells.live.collecting import collect_seldom

collect_seldom()
np.ones((500, 500)) @ np.ones((500, 500))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    np.ones((500, 500)) + np.ones((500, 500))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Pages that the system had to hand out anew; one array has 489."""

glibc_only = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="another malloc than glibc's"
)


def printed(program: str) -> int:
    """The number that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    return int(done.stdout)


@glibc_only
def test_large_blocks_go_back_to_the_system_at_once() -> None:
    assert printed(FREED) < 20


@glibc_only
def test_the_arrays_of_a_round_are_not_asked_for_again_and_again() -> None:
    assert printed(WORKED) < 5_000
