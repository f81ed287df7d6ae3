"""Tails: value at risk and expected shortfall of returns that were.

Place in the flow: asked by whoever measures a portfolio from a folded state; no decision reads it.
Source: McNeil, Frey and Embrechts 2015, chapter 2.
"""

from __future__ import annotations

import math

import numpy as np

from coordinator.core.ports import Floats

__all__ = ["SESSIONS_MIN", "over_sessions", "past_tail"]

SESSIONS_MIN = 20
"""Fewer sessions than this tell nothing of a tail, nor of a beta."""


def past_tail(past: Floats, level: float) -> tuple[float | None, float | None]:
    """Historical value at risk and expected shortfall, from the worst of (t,) returns.

    Losses, positive ones. None where they are too few, or where the tail is less than one of them.
    """
    beyond = math.floor(len(past) * (1.0 - level) + 1e-9)
    if len(past) < SESSIONS_MIN or beyond < 1:
        return None, None
    worst = np.sort(past)[:beyond]
    return max(0.0, -float(worst[-1])), max(0.0, -float(worst.mean()))


def over_sessions(past: Floats, sessions: int) -> Floats:
    """Returns of every run of so many sessions, weights kept, from (t,) of one; runs overlap."""
    total = np.concatenate([[0.0], np.cumsum(past)])
    runs: Floats = total[sessions:] - total[:-sessions]
    return runs
