"""The board: the views that count in a round, in columns, with who shares a pick.

Place in the flow: made by `views` at the end of a round; `match` pools it, `conflicts` and `decide`
read it. Columns, because a round has hundreds of views and every step does the same with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.picks import ALONE, Legs, exposures
from coordinator.core.ports import Floats
from coordinator.core.state import View

__all__ = ["Board", "Indices", "Layout", "lay_out", "sums"]

Indices = NDArray[np.intp]
BATCH_MAX = 2**18
"""Numbers of one matrix per pick that are worked on together: a bound on memory."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Who speaks of what, whatever they say.

    pick: (rows,) each one's instrument, as an index of the round's instruments, rising. sources:
    the sorted names; source: (rows,) index in them. picks: (m,) the instrument of each pick that is
    spoken of, rising. slot: (rows,) index in picks. first, count: (m,) where its rows begin and how
    many; rows: those. exposure: (m, n) the picks' weights in the instruments; None where each pick
    is its instrument alone.
    """

    pick: Indices
    sources: tuple[str, ...]
    source: Indices
    picks: Indices
    slot: Indices
    first: Indices
    count: Indices
    rows: tuple[tuple[int, ...], ...]
    exposure: Floats | None = None


def lay_out(
    pick: Indices,
    names: Sequence[str],
    *,
    kind: Indices | None = None,
    legs: Sequence[Legs] = (ALONE,),
    width: int = 0,
) -> Layout:
    """The layout of rows of these instruments and sources.

    kind: (rows,) index of each one's legs, rising within an instrument; absent: all are alone.
    width: n, instruments of the round. Raises ValueError for unsorted rows.
    """
    kind = np.zeros(len(pick), dtype=np.intp) if kind is None else kind
    step, turn = np.diff(pick), np.diff(kind)
    if (step < 0).any() or ((step == 0) & (turn < 0)).any():
        message = "board: picks do not rise; sort the views by instrument, and by what against"
        raise ValueError(message)
    sources = tuple(sorted(set(names)))
    column = {name: i for i, name in enumerate(sources)}
    begins = np.empty(len(pick), dtype=np.bool_)
    begins[:1] = True
    begins[1:] = (step != 0) | (turn != 0)
    first = np.flatnonzero(begins)
    against = [legs[i] for i in kind[first].tolist()]
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
        exposure=exposures(pick[first].tolist(), against, width=width) if any(against) else None,
    )


class Board:
    """Views ready to be pooled: row i belongs to one signal.

    views: sorted by (instrument, what against, source, strategy). score: (rows,) about N(0, 1)
    without skill. skill: (rows,) rho over the horizon. left: (rows,) part of each forecast that is
    still to come; soon: (rows,) share of that which arrives within one session. k: (rows,) variance
    of the view in units of its pick's variance. references: what outputs call them. The others are
    as in `Layout`.
    """

    __slots__ = ("_rows", "count", "exposure", "first", "k", "left", "pick", "picks", "references",
                 "score", "skill", "slot", "soon", "source", "sources", "views")  # fmt: skip

    def __init__(
        self,
        views: Sequence[View],
        layout: Layout,
        score: Floats,
        skill: Floats,
        left: Floats,
        soon: Floats,
        references: Sequence[str],
    ) -> None:
        self.views = tuple(views)
        self.score, self.skill, self.left, self.soon = score, skill, left, soon
        self.k: Floats = (1.0 - skill**2) / skill**2
        self.references = tuple(references)
        self.pick, self.picks, self.slot = layout.pick, layout.picks, layout.slot
        self.source, self.sources = layout.source, layout.sources
        self.first, self.count, self._rows = layout.first, layout.count, layout.rows
        self.exposure = layout.exposure

    def __len__(self) -> int:
        """Rows."""
        return len(self.views)

    def groups(self) -> Iterator[tuple[Indices, Indices]]:
        """Picks with equally many views, a bounded number at a time.

        Yields (g,) indices of picks and (g, size) the rows of each, the smallest sizes first.
        """
        for size in np.unique(self.count):
            alike = np.flatnonzero(self.count == size)
            batch = max(1, BATCH_MAX // int(size) ** 2)
            for start in range(0, len(alike), batch):
                slots = alike[start : start + batch]
                yield slots, self.first[slots][:, None] + np.arange(size)

    def rows_of(self, slot: int) -> tuple[int, ...]:
        """The rows of one pick."""
        return self._rows[slot]

    def along(self, weights: Floats) -> Floats:
        """(m,) how much each pick is held by these (n,) weights of instruments, or trades."""
        if self.exposure is None:
            return weights[self.picks]
        found: Floats = self.exposure @ weights
        return found

    def seen(self, covariance: Floats) -> Floats:
        """(m, n) covariance of every pick with every instrument. covariance: (n, n)."""
        if self.exposure is None:
            return covariance[self.picks]
        found: Floats = self.exposure @ covariance
        return found

    def within(self, seen: Floats) -> Floats:
        """(m, m) covariance of the picks. seen: as `seen` gives it."""
        if self.exposure is None:
            return seen[:, self.picks]
        found: Floats = seen @ self.exposure.T
        return (found + found.T) / 2.0


def sums(at: Indices, weights: Floats, *, count: int) -> Floats:
    """(count,) sum of the weights at each index, added in their order."""
    # Of nothing numpy makes integers.
    return np.bincount(at, weights=weights, minlength=count).astype(np.float64, copy=False)
