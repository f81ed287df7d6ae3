"""What a process freed goes back to the system, and garbage is still found."""

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


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="another malloc than glibc's"
)
def test_large_blocks_go_back_to_the_system_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREED], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert int(done.stdout) < 20
