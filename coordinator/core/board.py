"""The board: the views that count in a round, in columns, with who shares an instrument.

Place in the flow: made by `views` at the end of a round; `match` pools it, `conflicts` and `decide`
read it. Columns, because a round has hundreds of views and every step does the same with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats
from coordinator.core.state import View

__all__ = ["Board", "Indices", "Layout", "lay_out", "sums"]

Indices = NDArray[np.intp]
BATCH_MAX = 2**18
"""Numbers of one matrix per instrument that are worked on together: a bound on memory."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Who speaks of what, whatever they say.

    pick: (rows,) each one's instrument, as an index of the round's instruments, rising. sources:
    the sorted names; source: (rows,) index in them. picks: (m,) instruments with a view, rising.
    slot: (rows,) index in picks. first, count: (m,) where its rows begin and how many; rows: those.
    """

    pick: Indices
    sources: tuple[str, ...]
    source: Indices
    picks: Indices
    slot: Indices
    first: Indices
    count: Indices
    rows: tuple[tuple[int, ...], ...]


def lay_out(pick: Indices, names: Sequence[str]) -> Layout:
    """The layout of rows of these instruments and sources. Raises ValueError for unsorted ones."""
    if len(pick) and (np.diff(pick) < 0).any():
        message = "board: instruments do not rise; sort the views by instrument"
        raise ValueError(message)
    sources = tuple(sorted(set(names)))
    column = {name: i for i, name in enumerate(sources)}
    begins = np.empty(len(pick), dtype=np.bool_)
    begins[:1] = True
    np.not_equal(pick[1:], pick[:-1], out=begins[1:])
    first = np.flatnonzero(begins)
    slot = np.cumsum(begins) - 1
    count = np.bincount(slot, minlength=len(first))
    spans = zip(first.tolist(), count.tolist(), strict=True)
    return Layout(
        pick=pick,
        sources=sources,
        source=np.array([column[name] for name in names], dtype=np.intp),
        picks=pick[first],
        slot=slot,
        first=first,
        count=count,
        rows=tuple(tuple(range(begin, begin + size)) for begin, size in spans),
    )


class Board:
    """Views ready to be pooled: row i belongs to one signal.

    views: sorted by (instrument, source, strategy). score: (rows,) about N(0, 1) without skill.
    skill: (rows,) rho over the horizon. soon: (rows,) share of what is to come that arrives within
    one session. k: (rows,) variance of the view in units of its pick's variance. references: what
    outputs call them. The others are as in `Layout`.
    """

    __slots__ = ("_rows", "count", "first", "k", "pick", "picks", "references", "score", "skill",
                 "slot", "soon", "source", "sources", "views")  # fmt: skip

    def __init__(
        self,
        views: Sequence[View],
        layout: Layout,
        score: Floats,
        skill: Floats,
        soon: Floats,
        references: Sequence[str],
    ) -> None:
        self.views = tuple(views)
        self.score, self.skill, self.soon = score, skill, soon
        self.k: Floats = (1.0 - skill**2) / skill**2
        self.references = tuple(references)
        self.pick, self.picks, self.slot = layout.pick, layout.picks, layout.slot
        self.source, self.sources = layout.source, layout.sources
        self.first, self.count, self._rows = layout.first, layout.count, layout.rows

    def __len__(self) -> int:
        """Rows."""
        return len(self.views)

    def groups(self) -> Iterator[tuple[Indices, Indices]]:
        """Instruments with equally many views, a bounded number at a time.

        Yields (g,) indices of picks and (g, size) the rows of each, the smallest sizes first.
        """
        for size in np.unique(self.count):
            alike = np.flatnonzero(self.count == size)
            batch = max(1, BATCH_MAX // int(size) ** 2)
            for start in range(0, len(alike), batch):
                slots = alike[start : start + batch]
                yield slots, self.first[slots][:, None] + np.arange(size)

    def rows_of(self, slot: int) -> tuple[int, ...]:
        """The rows of one instrument."""
        return self._rows[slot]


def sums(at: Indices, weights: Floats, *, count: int) -> Floats:
    """(count,) sum of the weights at each index, added in their order."""
    # Of nothing numpy makes integers.
    return np.bincount(at, weights=weights, minlength=count).astype(np.float64, copy=False)
