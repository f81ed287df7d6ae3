"""Activity: windows of any length, made of rows of panes when somebody asks.

Place in the flow: behind `PaneTables`, for HTTP and the command line alike. A window that slides is
made of smaller ones that lie in it, from the first's beginning to the last's end: totals are
subtracted, so nothing is counted twice. It must never write a row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from coordinator.core.accounts import EXACT, ZERO
from coordinator.core.clock import SECOND
from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from coordinator.log.live import begin_of
from projections.panes import Kind, PaneTables
from projections.tables import Follower, Place, Row

__all__ = ["Shape", "WrongWindow", "panes_of", "portfolio_windows", "source_windows"]

LAST_MAX = 1_000
PARTS_MAX = 10_000
"""Smaller windows that one is made of, at most."""
_MONEY = ("traded", "fees")
_HEARD = ("used", "contested", "conflicts")


class WrongWindow(ValueError):
    """A window that cannot be made of those that are kept."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which windows are asked for: their size, how far each slides on, and how many, newest last.

    size, hop: seconds; where both are equal they tumble.
    """

    size: int
    hop: int
    last: int

    @classmethod
    def asked(cls, kept: tuple[int, ...], size: int, hop: int | None, last: int) -> Shape:
        """As somebody wants them. Raises WrongWindow for what the kept sizes do not give."""
        step = size if hop is None else hop
        if step not in kept:
            sizes = ", ".join(map(str, kept))
            raise WrongWindow(f"windows are made of those of {sizes} s: {step} s is none of them")
        if size < step or size % step or size // step > PARTS_MAX:
            raise WrongWindow(
                f"a window of {size} s is not 1 to {PARTS_MAX} times as long as {step} s"
            )
        if not 1 <= last <= LAST_MAX:
            raise WrongWindow(f"1 to {LAST_MAX} windows at a time, not {last}")
        return cls(size, step, last)

    def parts(self, rows: Sequence[Row], *, oldest: int, until: int) -> Iterator[tuple[int, Any]]:
        """(end, rows) of each window that holds any, the newest first.

        rows: of the hop's size, by time. oldest: windows that begin earlier are not whole any more.
        until: the end of the newest window, on the grid of the hop.
        """
        size, hop = self.size * SECOND, self.hop * SECOND
        starts = [row["start"] for row in rows]
        end, found = until, 0
        while found < self.last and end - size >= oldest:
            low, high = bisect_left(starts, end - size), bisect_left(starts, end)
            if low < high:
                yield end, rows[low:high]
                found += 1
                end -= hop
            elif high:
                end = starts[high - 1] + size
            else:
                return

    def until(self, at: int) -> int:
        """Where the window ends whose last hop holds a moment."""
        hop = self.hop * SECOND
        return at - at % hop + hop


def portfolio_windows(tables: PaneTables, name: str, shape: Shape) -> list[Row]:
    """A portfolio's windows, oldest first, each as plain JSON.

    Raises WrongWindow where its panes do not lie within them.
    """
    found = [
        {"begins_at": end - shape.size * SECOND, "ends_at": end} | _portfolio_window(rows)
        for end, rows in _parts(tables, "portfolio", name, shape)
    ]
    return found[::-1]


def source_windows(tables: PaneTables, name: str, shape: Shape) -> list[Row]:
    """A source's windows, oldest first, each as plain JSON.

    signals: what its home shard says, None where that is not in the tables, or nothing came.
    rounds: the sums over all portfolios in the tables, None where none heard it. Raises WrongWindow
    where a pane does not lie within one window.
    """
    until = _newest_end(tables, name, shape)
    signals = {
        end: _source_window(rows) for end, rows in _parts(tables, "source", name, shape, until)
    }
    heard: dict[int, Row] = {}
    for portfolio, pane in tables.newest("portfolio"):
        if all(line["source"] != name for line in pane["heard"]):
            continue
        for end, rows in _parts(tables, "portfolio", portfolio, shape, until):
            _add(heard, end, _heard(rows).get(name))
    ends = sorted({*signals, *heard})[-shape.last :]
    return [
        {
            "begins_at": end - shape.size * SECOND, "ends_at": end,
            "signals": signals.get(end), "rounds": _rated(heard.get(end)),
        }
        for end in ends
    ]  # fmt: skip


def _newest_end(tables: PaneTables, source: str, shape: Shape) -> int:
    """One end for all whose figures stand side by side."""
    own = tables.newest_of("source", source)
    panes = [pane for _, pane in tables.newest("portfolio")] + ([own] if own is not None else [])
    return max((shape.until(pane["begins_at"]) for pane in panes), default=0)


def _parts(
    tables: PaneTables, kind: Kind, name: str, shape: Shape, until: int | None = None
) -> Iterator[tuple[int, list[Row]]]:
    newest = tables.newest_of(kind, name)
    if newest is None:
        return iter(())
    rows = tables.rows(kind, name, shape.hop)
    _check_panes(rows, shape.hop)
    oldest = tables.oldest(kind, name, shape.hop)
    end = shape.until(newest["begins_at"]) if until is None else until
    return shape.parts(rows, oldest=oldest, until=end)


def _check_panes(rows: Sequence[Row], hop: int) -> None:
    """Raises WrongWindow where a pane may reach beyond the window that it begins in.

    Only the last pane of a row can. One that begins where the portfolio's last one ended, or where
    it was opened, may be shorter than the grid, and tells no length.
    """
    panes = [pane for row in rows for pane in (row["first"], row["last"])]
    spans = [pane["ends_at"] - pane["begins_at"] for pane in panes]
    whole = [
        span for pane, span in zip(panes, spans, strict=True)
        if "opening" not in pane or pane["begins_at"] > pane["opening"]["at"]
    ]  # fmt: skip
    uneven = bool(whole) and hop * SECOND % max(whole) > 0
    if uneven or any(row["last"]["ends_at"] > row["start"] + hop * SECOND for row in rows):
        longest = max(spans) / SECOND
        raise WrongWindow(f"panes of this log are {longest:g} s: give a multiple, {hop} s is none")


def _portfolio_window(rows: Sequence[Row]) -> Row:
    first, last = rows[0]["first"], rows[-1]["last"]
    counts = _change(first, last)
    opening, closing = first["opening"], last["closing"]
    extremes = [row["extremes"] for row in rows]
    return {
        "as_of": last["as_of"],
        "opening": opening,
        "closing": closing,
        "pnl": _less(closing["gain"], opening["gain"]),
        "gross_max": max(one["gross_max"] for one in extremes),
        "net_min": min(one["net_min"] for one in extremes),
        "net_max": max(one["net_max"] for one in extremes),
        **counts,
        "turnover": _turnover(counts["traded"], opening["nav"], closing["nav"]),
        "sources": [
            {"source": name} | (_rated(one) or {}) for name, one in sorted(_heard(rows).items())
        ],
        "unpriced": last["unpriced"],
    }


def _change(first: Row, last: Row) -> Row:
    """The last pane's totals less what they were before the first pane."""
    found: Row = {}
    for name, total in last["totals"].items():
        before, own = first["totals"][name], first["counts"][name]
        if name in _MONEY:
            found[name] = _less(total, _less(before, own))
        else:
            found[name] = total - (before - own)
    return found


def _less(after: str, before: str) -> str:
    left = EXACT.subtract(Decimal(after), Decimal(before))
    return format(left.normalize(EXACT) if left else ZERO, "f")


def _turnover(traded: str, *worth: str) -> float | None:
    """Half of what was traded as a fraction of the NAV, the mean of opening and closing."""
    mean = sum(map(float, worth)) / len(worth)
    return float(traded) / 2.0 / mean if mean > 0.0 else None


def _heard(rows: Sequence[Row]) -> dict[str, Row]:
    """By source, what the rounds of a window made of its signals; those with any."""
    before = {line["source"]: line for line in rows[0]["first"]["heard"]}
    found = {}
    for line in rows[-1]["last"]["heard"]:
        then = before.get(line["source"])
        counts = {
            name: line[f"{name}_total"] - (then[f"{name}_total"] - then[name] if then else 0)
            for name in _HEARD
        }
        if any(counts.values()):
            found[line["source"]] = counts
    return found


def _add(sums: dict[int, Row], end: int, more: Row | None) -> None:
    if more is not None:
        known = sums.setdefault(end, dict.fromkeys((*_HEARD, "portfolios"), 0))
        for name in _HEARD:
            known[name] += more[name]
        known["portfolios"] += 1


def _rated(heard: Row | None) -> Row | None:
    """With the share of the signals used that a conflict of their round names."""
    if heard is None:
        return None
    used = heard["used"]
    return heard | {"conflict_rate": heard["contested"] / used if used else None}


def _source_window(rows: Sequence[Row]) -> Row:
    first, last = rows[0]["first"], rows[-1]["last"]
    accepted, late = (
        last["totals"][name] - (first["totals"][name] - first["counts"][name])
        for name in ("accepted", "late")
    )
    before, own = dict(first["totals"]["rejected"]), dict(first["counts"]["rejected"])
    rejected = {
        reason: count
        for reason, total in last["totals"]["rejected"]
        if (count := total - before.get(reason, 0) + own.get(reason, 0))
    }
    judged = accepted + sum(rejected.values()) - rejected.get(_NO_SIGNAL, 0)
    return {
        "as_of": last["as_of"],
        "accepted": accepted,
        "rejected": rejected,
        "late": late,
        "acceptance_rate": accepted / judged if judged else None,
    }


_NO_SIGNAL = "unknown_signal"
"""A withdrawal that was refused: no signal, so neither accepted nor refused as one."""


def panes_of(reader: LogReader, sizes: tuple[int, ...]) -> PaneTables:
    """The panes of a log's decisions, by the reader's rule, with windows of these sizes.

    Raises ChainBroken where the decisions are not one chain.
    """
    latest: dict[str, Row] = {}
    windows: dict[str, Row] = {}
    tables = PaneTables(latest, windows, sizes=sizes, kept=None)
    for shard in shards_in(reader, "decisions"):
        begin, follower = begin_of(reader, "decisions", shard), Follower()
        for record in reader.read("decisions", shard, begin):
            if begin and follower.place == Place():
                follower.jump(record)  # what lies before was archived
            head = follower.take(record)
            if head is not None:
                tables.apply(record, head)
    return tables
