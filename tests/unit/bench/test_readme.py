"""The page of the benchmarks names every one that can be run."""

from __future__ import annotations

import re
from pathlib import Path

PARTS = {"bare"}
"""Processes that a benchmark starts; nobody runs them by hand."""
BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_the_page_names_every_benchmark_and_no_other() -> None:
    page = (BENCH / "README.md").read_text(encoding="utf-8")
    programs = {
        path.stem
        for path in BENCH.glob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert (
        set(re.findall(r"^\| `\S+ -m tests\.bench\.(\w+)", page, re.MULTILINE)) == programs - PARTS
    )
