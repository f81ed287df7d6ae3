"""Every way of solving gives the same bits in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.solver_paths import lines

ROOT = Path(__file__).parents[2]


def _elsewhere(seed: str) -> list[str]:
    """The same lines from a process of its own, with another order of sets."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.solver_paths"],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True,
        check=True, timeout=300,
    )  # fmt: skip
    return run.stdout.splitlines()


def test_every_way_of_solving_gives_the_same_bits_in_separate_processes() -> None:
    first, second = _elsewhere("1"), _elsewhere("2")
    assert first == second
    assert first == lines()
    answered = {line.split(":")[0]: line.rsplit(maxsplit=3)[1:3] for line in first}
    assert answered["segments"] == ["solved", "PIQP"]
    assert answered["curved"] == ["solved", "PIQP"]
    assert answered["coupled"] == answered["coupled sleeves"] == ["solved", "NEWTON"]
    assert answered["house"][1] == "CLARABEL"
    assert answered["model with cones"] == ["solved", "CLARABEL"]
    assert answered["restored"][0] == "relaxed"
    assert answered["tiers"][0] == "relaxed"
    assert answered["rule"] == ["rule", "none"]
    assert answered["hold"] == ["hold", "none"]
