"""Windowed views of portfolios as tables: what a decisions topic says, assigned and never added.

Place in the flow: the pure half of the part `views`; `coordinator.shells.live.views` gives it the
records of a shard in order and two tables that a changelog keeps. A row is stamped with what it was
made from, `as_of` = (shard, seq), and only a newer one replaces it: repeats, restarts and another
owner's late words change nothing. Counters of a view are cumulative, so a window's figures are
differences. It must never add to what a table holds.

Late data: windows go by the engine's clock, which never goes back within a shard, and a portfolio
has one shard: nothing comes late. A window that lies further back than the ones that are kept is
not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from pydantic_core import from_json

from coordinator.core.chain import ChainBroken
from coordinator.core.clock import NEVER, SECOND
from coordinator.core.ports import Record
from schemas.books import PortfolioViewUpdated
from schemas.canonical import digest
from schemas.entries import GENESIS, OutputHead, decode_head, opening

__all__ = [
    "Follower",
    "Place",
    "Row",
    "Table",
    "ViewTables",
    "WindowRows",
    "change",
    "ends_of",
    "start_of",
]

Row: TypeAlias = dict[str, Any]
"""Plain JSON: a table's value as its changelog has it."""
Table: TypeAlias = MutableMapping[str, Row]

_VIEW = opening(PortfolioViewUpdated)
_FIGURES = ("nav", "cash", "traded", "fees")
"""Of a view, money as text; their change over a window is a difference."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a shard's decisions were followed. position: of the last record; -1: none yet."""

    position: int = -1
    seq: int = -1
    hash: str = GENESIS


class Follower:
    """The reader's rule on one shard: the next output, each once, in one unbroken chain."""

    def __init__(self, place: Place = Place()) -> None:
        self.place = place

    def jump(self, record: Record) -> None:
        """Begin at this record: what lies before it is not there any more."""
        head = decode_head(record.payload)
        self.place = Place(record.position - 1, head.seq - 1, head.prev)

    def missing(self, record: Record) -> bool:
        """Whether something that we have not read lies before this record.

        By position, not by seq: what broke the chain is read again, whatever stands behind it.
        """
        return record.position > self.place.position + 1

    def take(self, record: Record) -> OutputHead | None:
        """The output's head if it is the next one; None for a repeat. Raises ChainBroken."""
        head = decode_head(record.payload)
        place = self.place
        if head.seq <= place.seq:
            return None
        if head.seq != place.seq + 1:
            raise ChainBroken(record, f"seq {head.seq} after {place.seq}: an output is missing")
        if head.prev != place.hash:
            raise ChainBroken(record, f"seq {head.seq} does not follow from the output before it")
        self.place = Place(record.position, head.seq, digest(record.payload))
        return head


class WindowRows:
    """Rows by who, size and start, in a table that holds others, too.

    sizes: of the windows, seconds. kept: windows of one size that everybody keeps; None: all.
    """

    def __init__(self, table: Table, *, sizes: tuple[int, ...], kept: int | None) -> None:
        self.table = table
        self.sizes = sizes
        self._kept = kept

    def holding(self, at: int, *, newest: int) -> Iterator[tuple[int, int]]:
        """(size, start) of each kept window that holds a moment. newest: the last one known."""
        for size in self.sizes:
            start = start_of(at, size)
            if start >= self.oldest(newest, size):
                yield size, start

    def oldest(self, newest: int, size: int) -> int:
        """Where the oldest window that is kept begins, when that is the newest moment."""
        if self._kept is None:
            return -NEVER
        return start_of(newest, size) - (self._kept - 1) * size * SECOND

    def forget(self, who: str, *, before: int, now: int) -> None:
        """Windows that are further back than the ones that are kept go, as the newest moves on."""
        for size in self.sizes if self._kept is not None else ():
            step = size * SECOND
            gone = self.oldest(before, size)
            end = min(self.oldest(now, size), gone + (self._kept or 0) * step)
            for start in range(gone, end, step):
                self.table.pop(_key(who, size, start), None)

    def get(self, who: str, size: int, start: int) -> Row | None:
        """The row of one window."""
        return self.table.get(_key(who, size, start))

    def put(self, who: str, size: int, start: int, row: Row) -> None:
        """Assign the row of one window."""
        self.table[_key(who, size, start)] = row

    def rows(self, who: str, size: int, *, newest: int) -> list[Row]:
        """What is kept of one size, by time."""
        if self._kept is None:
            begin = f"{who}\t{size}\t"
            found = [row for key, row in self.table.items() if key.startswith(begin)]
            return sorted(found, key=lambda row: int(row["start"]))
        starts = range(self.oldest(newest, size), newest + 1, size * SECOND)
        return [row for start in starts if (row := self.get(who, size, start)) is not None]


class ViewTables:
    """Two tables: `latest` by portfolio, `windows` by portfolio, size and start.

    sizes: of the windows, seconds. kept: windows of one size that a portfolio keeps.
    """

    def __init__(self, latest: Table, windows: Table, *, sizes: tuple[int, ...], kept: int) -> None:
        self.latest = latest
        self._windows = WindowRows(windows, sizes=sizes, kept=kept)

    def apply(self, record: Record, head: OutputHead) -> None:
        """Take one output into account; most are none of ours."""
        if not record.payload.startswith(_VIEW):
            return
        view: Row = from_json(record.payload)["event"]
        as_of = [record.shard, head.seq]
        name, at = view["portfolio"], view["decided_at"]
        known = self.latest.get(name)
        newest = at if known is None else known["view"]["decided_at"]
        if known is None or known["as_of"] < as_of:
            self.latest[name] = {"as_of": as_of, "view": view}
            self._windows.forget(name, before=newest, now=at)
            newest = at
        small = {"as_of": as_of} | {k: v for k, v in view.items() if k != "holdings"}
        for size, start in self._windows.holding(at, newest=newest):
            self._assign(name, size, start, small)

    def _assign(self, name: str, size: int, start: int, view: Row) -> None:
        """First and last view of a window: the oldest and the newest that were ever seen."""
        known = self._windows.get(name, size, start)
        first, last = ends_of(known, view)
        row = {
            "as_of": last["as_of"], "portfolio": name, "size_s": size, "start": start,
            "first": first, "last": last,
        }  # fmt: skip
        if row != known:
            self._windows.put(name, size, start, row)

    def windows_of(self, name: str, sizes: tuple[int, ...]) -> Iterator[Row]:
        """A portfolio's windows by size and time, each with its change."""
        known = self.latest.get(name)
        if known is None:
            return
        newest = known["view"]["decided_at"]
        for size in sizes:
            for row in self._windows.rows(name, size, newest=newest):
                yield row | {"change": change(row["first"], row["last"])}


def ends_of(known: Row | None, seen: Row) -> tuple[Row, Row]:
    """The oldest and the newest of a window's row and what was seen in it, by `as_of`."""
    if known is None:
        return seen, seen
    return min(known["first"], seen, key=_as_of), max(known["last"], seen, key=_as_of)


def _as_of(view: Row) -> list[int]:
    stamp: list[int] = view["as_of"]
    return stamp


def change(first: Row, last: Row) -> Row:
    """What became different from one view to another: money as exact text, fills as a count."""
    money = {name: str(Decimal(last[name]) - Decimal(first[name])) for name in _FIGURES}
    return {**money, "fills": last["fills"] - first["fills"]}


def start_of(at: int, size: int) -> int:
    """Where the window of that many seconds begins that holds a moment, ns."""
    step = size * SECOND
    return at - at % step


def _key(who: str, size: int, start: int) -> str:
    """No name holds a tab."""
    return f"{who}\t{size}\t{start}"
