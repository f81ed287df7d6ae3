"""Children of this process and its open files, to see that nothing is left of forked hands."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["OWN", "children", "descriptors", "nothing_left"]

OWN = Path("/proc/self")


def children(known: Sequence[int] = ()) -> list[int]:
    """But for those known; also those that are dead, as long as nobody has looked."""
    found = [
        int(pid)
        for task in (OWN / "task").iterdir()
        for pid in (task / "children").read_text().split()
    ]
    return [pid for pid in found if pid not in known]


def descriptors() -> int:
    return len(list((OWN / "fd").iterdir()))


@contextmanager
def nothing_left() -> Iterator[None]:
    """Whatever happens: no child, no open file more, and garbage is searched for."""
    before, known = descriptors(), children()
    yield
    assert gc.isenabled()
    assert children() == known
    assert descriptors() == before
