"""What all benchmarks share: the machine they ran on, and where a result is kept."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).parent / "results"
Result = TypeVar("Result")
BAR = 30
VERSIONS = ("numpy", "scipy", "cvxpy", "piqp", "clarabel", "pydantic", "polars")


def machine() -> dict[str, Any]:
    """Processor, cores, Python and the versions that matter."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "python_loop_ms": _loop_ms(),
        "load_before": os.getloadavg()[0],
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _loop_ms() -> float:
    """How long this Python needs for a fixed loop, at best: builds differ, and virtual machines."""
    times = []
    for _ in range(20):
        began = time.perf_counter()
        total = 0
        for number in range(500_000):
            total += number & 7
        times.append(time.perf_counter() - began)
    return round(min(times) * 1000, 2)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def options(description: str) -> argparse.ArgumentParser:
    """The parser with what every benchmark understands."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--record", action="store_true", help="keep the result in results/")
    return parser


def watched(results: Iterable[Result], count: int, label: str) -> list[Result]:
    """All results of as many seeds, with a bar on stderr on the way."""
    found, began = [], time.monotonic()
    for number, result in enumerate(results, 1):
        found.append(result)
        passed = time.monotonic() - began
        left = passed / number * (count - number)
        bar = ("#" * (BAR * number // count)).ljust(BAR, ".")
        line = f"{label} [{bar}] seed {number} of {count}, {passed:.0f} s, {left:.0f} s left"
        print(line.strip(), file=sys.stderr, end="    \r", flush=True)
    print(file=sys.stderr)
    return found


def finish(name: str, figures: dict[str, Any], *, record: bool) -> None:
    """Print the figures, and keep them when asked to."""
    result = {"benchmark": name, "machine": machine(), "figures": figures}
    text = json.dumps(result, indent=1)
    print(text)
    if record:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def quantile(values: list[float], q: float) -> float:
    """The q-quantile by rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
