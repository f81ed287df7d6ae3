"""Waiting for projectors, within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from projections.projector import Projector

__all__ = ["drain", "until"]

WITHIN_S = 60.0
LOOK_EVERY_S = 0.02


def drain(projector: Projector, seconds: float = WITHIN_S) -> None:
    """Step until the log is projected."""
    end = time.monotonic() + seconds
    while projector.step() or not projector._open:
        if time.monotonic() > end:
            pytest.fail("not caught up in time")


def until(met: Callable[[], bool], seconds: float = WITHIN_S) -> None:
    """Look until it is so."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            pytest.fail("did not come about in time")
        time.sleep(LOOK_EVERY_S)
