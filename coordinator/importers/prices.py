"""Prices: bars from a file become snapshots of the market, each at the moment it was known.

Place in the flow: table to messages. One snapshot per bar end, one per moment at which opens were
known, one without prices per session close that no bar stands at. Never says a price before it was
known: see bars.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from coordinator.importers.bars import Bar, Closings, closings, opens_known_at, owning_session
from coordinator.importers.errors import ImportFailed
from coordinator.importers.messages import Message, Rank, by_time, message
from coordinator.importers.rejects import Rejects
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import BARE, Sieve
from coordinator.importers.tables import ROW, Columns, Table

__all__ = ["PRICE_COLUMNS", "Prices", "read_prices"]

PRICE_COLUMNS = Columns(
    ("time", "instrument", "close"), ("open", "high", "low", "volume", "open_time")
)
SNAPSHOT_ROWS = 1_500
"""Instruments per record: with the longest names and numbers still below 1 MiB."""
_VOLUME_MOST = 1e18
_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Accepted bars by time and instrument, when their opens were known, and how sessions end.

    bar: as stated, or daily where all times were bare dates; None: not known (a bare date is a
    daily bar all the same).
    """

    frame: pl.DataFrame
    rejects: Rejects
    bar: Bar | None
    closings: Closings
    session: Session

    @property
    def instruments(self) -> tuple[str, ...]:
        """Sorted names."""
        return tuple(self.frame["instrument"].unique().sort())

    @property
    def first_priced(self) -> dict[str, int]:
        """When each instrument's first price was known, ns UTC, by sorted name."""
        known = pl.min_horizontal("time", "open_at").min()
        return dict(self.frame.group_by("instrument").agg(known).sort("instrument").iter_rows())

    @property
    def first_at(self) -> int | None:
        """The earliest moment at which one of the prices was known; None: there is none."""
        return min(self.first_priced.values(), default=None)

    @property
    def snapshots(self) -> int:
        """How many messages there will be, about (large ones are split)."""
        opens = self.frame["open_at"].drop_nulls().n_unique()
        return self.frame["time"].n_unique() + opens + len(self.closings.made)

    def messages(self) -> Iterator[Message]:
        """Snapshots in order of time."""
        return heapq.merge(self._bars(), self._opens(), self._made(), key=by_time)

    def _bars(self) -> Iterator[Message]:
        columns = ("close", "open", "high", "low", "volume")
        for time, rows in _groups(self.frame, "time", ("instrument", *columns)):
            parts = range(0, len(rows[0]), SNAPSHOT_ROWS)
            for part in parts:
                names, close, *rest = (column[part : part + SNAPSHOT_ROWS] for column in rows)
                # The close of a split snapshot is its last part: only then are all prices there.
                ends = time in self.closings.flagged and part == parts[-1]
                fields = {"price": close} | dict(zip(columns[1:], rest, strict=True))
                given = {key: value for key, value in fields.items() if _any(value)}
                yield _snapshot("bar", time, part, names, given, ends=ends)

    def _opens(self) -> Iterator[Message]:
        known = self.frame.filter(pl.col("open_at").is_not_null()).sort("open_at", "instrument")
        for time, (names, prices) in _groups(known, "open_at", ("instrument", "open")):
            for part in range(0, len(names), SNAPSHOT_ROWS):
                cut = slice(part, part + SNAPSHOT_ROWS)
                yield _snapshot("open", time, part, names[cut], {"price": prices[cut]}, ends=False)

    def _made(self) -> Iterator[Message]:
        for close, start in self.closings.made:
            inside = self.frame.filter(pl.col("time").is_between(start, close, closed="right"))
            names = inside["instrument"].unique().sort().to_list()
            for part in range(0, len(names), SNAPSHOT_ROWS):
                cut = names[part : part + SNAPSHOT_ROWS]
                # No price: an old one said again would pass for one that can be traded at.
                nothing = {"price": [None] * len(cut)}
                ends = part + SNAPSHOT_ROWS >= len(names)
                yield _snapshot("bar", close, part, cut, nothing, ends=ends)


def read_prices(table: Table, *, bar: Bar | None, session: Session) -> Prices:
    """Accepted bars and rejects of a table. Raises ImportFailed for a file in doubt."""
    sieve = Sieve(table, topic="market", optional=PRICE_COLUMNS.optional)
    sieve.time("time", bare=session.closes_of, required=True)
    sieve.name("instrument", required=True)
    sieve.time("open_time", bare=session.opens_of)
    _check_values(sieve)
    sieve.refuse_repeats("time", "instrument", shown="instrument")
    bar = _settled_bar(sieve.standing(), table.name, bar=bar, session=session)
    known = opens_known_at(sieve.standing(), bar=bar, session=session)
    sieve.refuse_rows(
        known.filter(pl.col("open_time") < pl.col("previous"))[ROW],
        "open_time lies before the end of the instrument's bar before",
    )
    known = opens_known_at(sieve.standing(), bar=bar, session=session).sort("time", "instrument")
    rejects = sieve.rejects()
    if known.is_empty():
        rejects.raise_unusable()
    ends = known["time"].unique().sort().to_numpy()
    found = closings(ends, bar=bar, session=session)
    return Prices(known, rejects, bar, found, session)


def _check_values(sieve: Sieve) -> None:
    """Refuse prices that are none, and bars that contradict themselves."""
    for column in ("close", "open", "high", "low"):
        sieve.price(column, required=column == "close")
    sieve.number("volume")
    sieve.refuse(
        ~pl.col("volume").is_between(0, _VOLUME_MOST),
        "volume is not between 0 and 1e18",
        shown="volume",
    )
    sieve.refuse(pl.col("high") < pl.col("low"), "high is below low")
    for column in ("open", "close"):
        outside = (pl.col(column) > pl.col("high")) | (pl.col(column) < pl.col("low"))
        sieve.refuse(outside, f"{column} is outside low and high", shown=column)
    sieve.refuse(pl.col("open_time") >= pl.col("time"), "open_time is not before time")


def _settled_bar(rows: pl.DataFrame, name: str, *, bar: Bar | None, session: Session) -> Bar | None:
    """The bar's length: as stated, daily where all times are bare dates, else not known."""
    bare = rows["time" + BARE]
    if bare.any() and bar is not None and not bar.daily:
        raise ImportFailed(
            name,
            f"--bar {bar.text}, but its times are bare dates",
            remedy="give times, or --bar daily",
        )
    if not rows.is_empty() and not bare.any() and _only_midnights(rows["time"], session):
        raise ImportFailed(
            name,
            "every time is a midnight: these look like dates, not like the ends of bars, and"
            " would tell prices before they were known",
            remedy="write bare dates, or give a --session that ends at midnight",
        )
    return Bar(None) if bar is None and not rows.is_empty() and bare.all() else bar


def _only_midnights(times: pl.Series, session: Session) -> bool:
    ends = times.unique().sort().to_numpy()
    _, closed = owning_session(ends, session)
    if (closed == ends).any():
        return False
    local = pl.from_epoch(times, time_unit="ns").dt.replace_time_zone("UTC")
    walls = local.dt.convert_time_zone(session.zone)
    at_home = ((walls.dt.hour() == 0) & (walls.dt.minute() == 0)).all()
    return bool((times % _DAY == 0).all() or at_home)


def _snapshot(
    kind: str,
    time: int,
    part: int,
    names: list[str],
    columns: Mapping[str, Sequence[float | None]],
    *,
    ends: bool,
) -> Message:
    fields: dict[str, object] = {
        "event_id": f"{kind}-{time}-{part // SNAPSHOT_ROWS}",
        "event_time": time,
        "kind": kind,
        "instruments": names,
        **columns,
    }
    if ends:
        fields["session_close"] = True
    return message(time, Rank.BAR if kind == "bar" else Rank.OPEN, "PricesObserved", fields)


def _groups(
    frame: pl.DataFrame, key: str, columns: tuple[str, ...]
) -> Iterator[tuple[int, list[list[Any]]]]:
    """Columns of each run of equal keys; the frame is sorted by the key."""
    if frame.is_empty():
        return
    lists = [frame[column].to_list() for column in columns]
    start = 0
    for time, length in frame[key].rle().struct.unnest().select("value", "len").iter_rows():
        yield time, [column[start : start + length] for column in lists]
        start += length


def _any(column: list[float | None]) -> bool:
    return any(value is not None for value in column)
