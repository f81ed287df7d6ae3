"""Lifeline: a part that a supervisor started ends when that supervisor is gone, however it went.

Place in the flow: in a child of `coordinator run`, beside its part. The child's stdin is a pipe of
which the supervisor alone holds the other end: the system closes it with that process, after
kill -9 too, whenever it was and on every system. It must never end a part that nobody supervises.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import structlog

__all__ = ["hold_on"]

STDIN = 0


def hold_on(*, grace_s: float) -> None:
    """From now on: once stdin ends, this process gets SIGTERM, and is killed after the grace."""
    thread = threading.Thread(target=_hold_on, args=(grace_s,), name="lifeline", daemon=True)
    thread.start()


def _hold_on(grace_s: float) -> None:
    with suppress(OSError):  # what cannot be read holds nobody
        while os.read(STDIN, 1):
            pass
    try:
        structlog.get_logger("lifeline").warning("supervisor_gone", grace_s=grace_s)
    finally:  # where it said so may be gone with it
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)
