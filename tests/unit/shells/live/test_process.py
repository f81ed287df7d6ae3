"""A part's process: ends when it is told to, by force where the part does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
WITHIN_S = 30.0
PART = """
import asyncio, sys, threading, time
from coordinator.settings import HttpSettings, Settings, WorkerSettings
from coordinator.shells.live import process

process.END_MORE_S = 0.2

async def good(stop, metrics, health):
    await stop.wait()

async def deaf(stop, metrics, health):
    await asyncio.Event().wait()

async def stuck(stop, metrics, health):
    await stop.wait()
    time.sleep(600)

async def thread(stop, metrics, health):
    # What asyncio itself waits for at the end, without a bound.
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    await stop.wait()

async def failing(stop, metrics, health):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    raise ValueError("no")

settings = Settings(worker=WorkerSettings(stop_s=0.3), http=HttpSettings(port=0))
sys.exit(process.run_part(settings, "engine", globals()[sys.argv[1]], expected=("engine",)))
"""


def ran(part: str, *, told: bool = True) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and what was logged."""
    lines = []
    with subprocess.Popen(
        [sys.executable, "-c", PART, part], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        late = threading.Timer(WITHIN_S, process.kill)
        late.start()
        try:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(json.loads(line))
                if lines[-1]["event"] == "part_started" and told:
                    process.send_signal(signal.SIGTERM)
            code = process.wait(WITHIN_S)
        finally:
            late.cancel()
            process.kill()
    return code, lines


@pytest.mark.parametrize("part", ["deaf", "stuck", "thread"])
def test_a_part_that_does_not_end_in_time_is_ended_and_that_is_said(part: str) -> None:
    began = time.monotonic()
    code, lines = ran(part)
    assert (code, lines[-1]["event"], lines[-1]["after_s"]) == (1, "part_ends_late", 0.5)
    assert time.monotonic() - began < WITHIN_S


def test_a_part_that_failed_and_left_a_thread_ends_too() -> None:
    code, lines = ran("failing", told=False)
    assert code == 1
    assert {"part_failed", "part_ends_late"} <= {line["event"] for line in lines}


def test_a_part_that_ends_when_it_is_told_to_is_not_disturbed() -> None:
    code, lines = ran("good")
    assert (code, lines[-1]["event"]) == (0, "part_ended")
