"""Supervisor: the parts of one worker as child processes, ended together.

Place in the flow: what `coordinator run` is when more than one part is asked for. A child that ends
by itself is started again after a pause that grows. An engine whose shards are all sealed says so
by its exit code and ends them all: nothing more is routed for a build that decides nothing. A
router or an engine that keeps failing ends them all; views and projections never do: decisions go
on without them. Each child's stdin is a pipe that ends with this process, by which it knows
(lifeline). It must never outlive its children, nor they it for longer than the grace.
"""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

__all__ = ["SEALED", "Child", "command", "ports_taken", "supervise"]

PAUSE_S = (0.5, 1.0, 2.0, 5.0, 10.0)
GOOD_S = 60.0
FAILURES_MAX = 10
LOOK_EVERY_S = 0.2
NEEDED = frozenset({"router", "engine"})
"""Parts without which nothing is decided."""
SEALED = 10
"""How a supervised engine ends whose shards are all sealed; 0 is one that was told to end."""


@dataclass(slots=True)
class Child:
    """One part: its command, and how it has gone."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    failures: int = 0
    again_at: float = 0.0
    sealed: bool = False


def supervise(children: Sequence[Child], *, grace_s: float) -> int:
    """Run them until SIGTERM, SIGINT or a seal of all shards; returns 0.

    Returns 1 when one that is needed kept failing.
    """
    log = structlog.get_logger("supervisor")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        while not stop.is_set():
            for child in children:
                if not _look_after(child, log):
                    return 1
            if any(child.sealed for child in children):
                log.warning("worker_sealed", reason="sealed: start the next build")
                return 0
            stop.wait(LOOK_EVERY_S)
        return 0
    finally:
        _end(children, grace_s, log)


def _look_after(child: Child, log: structlog.stdlib.BoundLogger) -> bool:
    """Start it where it does not run; False when one that is needed has failed too often."""
    now = time.monotonic()
    if child.process is not None and child.process.poll() is None:
        return True
    if child.process is not None:
        code = child.process.returncode
        _let_go(child.process)
        child.process = None
        if code == SEALED and child.name == "engine":
            child.sealed = True
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


def ports_taken(host: str, ports: Sequence[int]) -> list[int]:
    """Which of the ports somebody else listens on; 0 is any, and never taken."""
    return [port for port in ports if port and _taken(host, port)]


def _taken(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        return False  # a host that nobody knows: the parts say so
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            # As the parts' own servers: connections that have ended do not keep a port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
    return False


def command(part: str, arguments: Sequence[str]) -> list[str]:
    """How a part is started as a child of ours."""
    own = ["run", "--only", part, "--supervised"]
    return [sys.executable, "-m", "coordinator", *own, *arguments]
