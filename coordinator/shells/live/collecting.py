"""Collecting: how seldom a live process searches for garbage, and what it leaves out.

Place in the flow: called once by each process, and once its shards are there. It must never turn
the search off: what does hold itself in a cycle has to go in the end.
"""

from __future__ import annotations

import gc

__all__ = ["collect_seldom", "settle"]

COLLECT_AFTER = (50_000, 20, 100)
"""A round makes thousands of objects that no cycle holds: to look for cycles after every 700 of
them, and each time through all that is kept, finds next to nothing."""


def collect_seldom() -> None:
    """From now on."""
    gc.set_threshold(*COLLECT_AFTER)


def settle() -> None:
    """What is held now stays: it is not searched again."""
    gc.collect()
    gc.freeze()
