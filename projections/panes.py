"""Panes as tables: what happened to portfolios and sources, by windows that are made of panes.

Place in the flow: the pure half of the activity that the part `views` serves and `coordinator
activity` shows. A row holds the first and the last pane of its window; as panes carry totals, what
happened in between is a difference of these two, and largest and smallest exposures are the same
however often they are seen. So a row is assigned when newer and never added to: repeats, restarts
and any order lead to the same tables. Rows of shards are never added up here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from pydantic_core import from_json

from coordinator.core.ports import Record
from projections.tables import Row, Table, WindowRows, ends_of
from schemas.entries import OutputHead, opening
from schemas.panes import PortfolioPaneClosed, SourcePaneClosed

__all__ = ["Kind", "PaneTables"]

Kind: TypeAlias = Literal["portfolio", "source"]
_PORTFOLIO, _SOURCE = opening(PortfolioPaneClosed), opening(SourcePaneClosed)
_NEWEST = "newest"
"""What tells rows of panes in `latest` from views: a key of its own."""


class PaneTables:
    """Rows in two tables that hold others, too: the newest pane of everybody, and windows.

    sizes, kept: as of `WindowRows`.
    """

    def __init__(
        self, latest: Table, windows: Table, *, sizes: tuple[int, ...], kept: int | None
    ) -> None:
        self._latest = latest
        self._windows = WindowRows(windows, sizes=sizes, kept=kept)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the windows that are kept, seconds."""
        return self._windows.sizes

    def apply(self, record: Record, head: OutputHead) -> None:
        """Take one output into account; most are none of ours."""
        if record.payload.startswith(_PORTFOLIO):
            self._take("portfolio", record, head)
        elif record.payload.startswith(_SOURCE):
            self._take("source", record, head)

    def _take(self, kind: Kind, record: Record, head: OutputHead) -> None:
        pane: Row = {"as_of": [record.shard, head.seq]} | from_json(record.payload)["event"]
        name, at = pane[kind], pane["begins_at"]
        who = _who(kind, name)
        known = self._latest.get(who)
        newest = at if known is None else known[_NEWEST]["begins_at"]
        if known is None or known["as_of"] < pane["as_of"]:
            self._latest[who] = {"as_of": pane["as_of"], "kind": kind, _NEWEST: pane}
            self._windows.forget(who, before=newest, now=at)
            newest = at
        for size, start in self._windows.holding(at, newest=newest):
            self._assign(who, size, start, pane)

    def _assign(self, who: str, size: int, start: int, pane: Row) -> None:
        """First and last pane of a window, and the extremes of all that were seen."""
        known = self._windows.get(who, size, start)
        first, last = ends_of(known, pane)
        row = {
            "as_of": last["as_of"], "size_s": size, "start": start, "first": first, "last": last,
            "extremes": _extremes(known, pane),
        }  # fmt: skip
        if row != known:
            self._windows.put(who, size, start, row)

    def newest(self, kind: Kind) -> Iterator[tuple[str, Row]]:
        """Everybody of that kind with the newest pane, by name."""
        found = [row for row in self._latest.values() if row.get("kind") == kind]
        for row in sorted(found, key=lambda row: str(row[_NEWEST][kind])):
            yield row[_NEWEST][kind], row[_NEWEST]

    def newest_of(self, kind: Kind, name: str) -> Row | None:
        """Somebody's newest pane."""
        row = self._latest.get(_who(kind, name))
        pane: Row | None = None if row is None else row[_NEWEST]
        return pane

    def rows(self, kind: Kind, name: str, size: int) -> list[Row]:
        """Somebody's kept windows of one size, by time."""
        pane = self.newest_of(kind, name)
        if pane is None:
            return []
        return self._windows.rows(_who(kind, name), size, newest=pane["begins_at"])

    def oldest(self, kind: Kind, name: str, size: int) -> int:
        """Before this moment rows of that size may have been forgotten."""
        pane = self.newest_of(kind, name)
        return 0 if pane is None else self._windows.oldest(pane["begins_at"], size)


def _who(kind: Kind, name: str) -> str:
    """As a part of keys: apart from views, whose keys have one tab less."""
    return f"{kind}\t{name}"


def _extremes(known: Row | None, pane: Row) -> dict[str, float]:
    """Largest gross, smallest and largest net exposure; nothing of a source."""
    if "gross_max" not in pane:
        return {}
    told = {"gross_max": max, "net_min": min, "net_max": max}
    if known is None:
        return {name: pane[name] for name in told}
    return {name: pick(known["extremes"][name], pane[name]) for name, pick in told.items()}
