"""Supervisor: the parts of one worker as child processes, ended together.

Place in the flow: what `coordinator run` is when more than one part is asked for. A child that ends
by itself is started again after a pause that grows, unless it is an engine whose shards are sealed.
A router or an engine that keeps failing ends them all; views and projections never do: decisions go
on without them. Each
child's stdin is a pipe that ends with this process, by which it knows (lifeline). It must never
outlive its children, nor they it for longer than the grace.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

__all__ = ["Child", "command", "supervise"]

PAUSE_S = (0.5, 1.0, 2.0, 5.0, 10.0)
GOOD_S = 60.0
FAILURES_MAX = 10
LOOK_EVERY_S = 0.2
NEEDED = frozenset({"router", "engine"})
"""Parts without which nothing is decided."""
SEALABLE = frozenset({"engine"})
"""Parts that are done once they end without a failure; any other is missed, however it ended."""


@dataclass(slots=True)
class Child:
    """One part: its command, and how it has gone."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    failures: int = 0
    again_at: float = 0.0
    done: bool = field(default=False)


def supervise(children: Sequence[Child], *, grace_s: float) -> int:
    """Run them until SIGTERM or SIGINT; returns 0, or 1 when one that is needed kept failing."""
    log = structlog.get_logger("supervisor")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        while not stop.is_set():
            for child in children:
                if not _look_after(child, log):
                    return 1
            if all(child.done for child in children):
                return 0
            stop.wait(LOOK_EVERY_S)
        return 0
    finally:
        _end(children, grace_s, log)


def _look_after(child: Child, log: structlog.stdlib.BoundLogger) -> bool:
    """Start it where it does not run; False when one that is needed has failed too often."""
    now = time.monotonic()
    if child.done or (child.process is not None and child.process.poll() is None):
        return True
    if child.process is not None:
        code = child.process.returncode
        _let_go(child.process)
        child.process = None
        if code == 0 and child.name in SEALABLE:
            child.done = True
            log.warning("part_done", part=child.name, reason="sealed, or told to end")
            return True
        child.failures = 1 if now - child.began > GOOD_S else child.failures + 1
        child.again_at = now + PAUSE_S[min(child.failures - 1, len(PAUSE_S) - 1)]
        log.warning("part_ended", part=child.name, code=code, failures=child.failures)
        if child.failures >= FAILURES_MAX:
            log.error("part_keeps_failing", part=child.name, failures=child.failures)
            return child.name not in NEEDED
        return True
    if now >= child.again_at:
        child.began = now
        # A group of its own: Ctrl-C is ours to pass on, once.
        child.process = subprocess.Popen(  # noqa: S603 - our own command
            child.command, process_group=0, stdin=subprocess.PIPE
        )
        log.info("part_starts", part=child.name, process=child.process.pid)
    return True


def _end(children: Sequence[Child], grace_s: float, log: structlog.stdlib.BoundLogger) -> None:
    running = [child for child in children if child.process is not None]
    for child in running:
        if child.process is not None and child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + grace_s
    for child in running:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("part_killed", part=child.name)
            child.process.kill()
            child.process.wait()
        _let_go(child.process)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """The lifeline of a child that has ended."""
    if process.stdin is not None:
        process.stdin.close()


def command(part: str, arguments: Sequence[str]) -> list[str]:
    """How a part is started as a child of ours."""
    own = ["run", "--only", part, "--supervised"]
    return [sys.executable, "-m", "coordinator", *own, *arguments]
