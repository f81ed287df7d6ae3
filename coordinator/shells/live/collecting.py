"""Collecting: how seldom a live process searches for garbage, and what memory it gives back.

Place in the flow: called once by each process, and once its shards are there. It must never turn
the search off: what does hold itself in a cycle has to go in the end.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["collect_seldom", "settle"]

COLLECT_AFTER = (50_000, 20, 100)
"""A round makes thousands of objects that no cycle holds: to look for cycles after every 700 of
them, and each time through all that is kept, finds next to nothing."""


MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's malloc.h."""
LARGE_BYTES = 256 << 10


def collect_seldom() -> None:
    """From now on."""
    gc.set_threshold(*COLLECT_AFTER)
    _give_back()


def _give_back() -> None:
    """Large blocks go back to the system as soon as they are freed, where malloc is glibc's.

    Left alone, it keeps all that is as large as the largest freed so far: what the checkpoints of
    eight shards take for a moment, in pieces, and a little more with each that is larger.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)


def settle() -> None:
    """What is held now stays: it is not searched again."""
    gc.collect()
    gc.freeze()
