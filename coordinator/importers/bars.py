"""Bars: when a bar's open was known, and which bar ends a session. The rules against look-ahead.

Place in the flow: asked by the importer of prices. A bar is known at its end. Its open is known at
open_time where the file gives one, else at the latest of: the end less the bar's length (a daily
bar has no such bound), the last session's open before the end, the end of the instrument's bar
before. Without a stated length the open is not known before the bar's end, so there is no separate
record of it.

Nothing here looks at later rows to decide about earlier ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from coordinator.importers.errors import ImportFailed
from coordinator.importers.sessions import Session, Times
from coordinator.importers.sieve import BARE

__all__ = ["Bar", "Closings", "closings", "opens_known_at", "owning_session"]

_SHAPE = re.compile(r"([1-9]\d{0,3})min")
_MINUTE = 60_000_000_000
_NAMED = {"hourly": 60, "minute": 1}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar's length. minutes None: daily, from the session's open to the bar's end."""

    minutes: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """daily, hourly, minute, or a number of minutes such as 5min. Raises ImportFailed."""
        match = _SHAPE.fullmatch(text)
        if text == "daily":
            return cls(None)
        if text not in _NAMED and match is None:
            raise ImportFailed(
                "--bar",
                f"cannot read {text[:40]!r}",
                remedy="say daily, hourly, minute or e.g. 5min",
            )
        return cls(_NAMED[text] if match is None else int(match.group(1)))

    @property
    def daily(self) -> bool:
        """Whether a bar spans a session."""
        return self.minutes is None

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        return "daily" if self.minutes is None else f"{self.minutes}min"


@dataclass(frozen=True, slots=True)
class Closings:
    """Which snapshots end a session.

    flagged: times whose own bars do. made: session closes that no bar stands at although the
    session had bars, each with its session's open.
    """

    flagged: frozenset[int]
    made: tuple[tuple[int, int], ...]


def owning_session(times: Times, session: Session) -> tuple[Times, Times]:
    """Open and close of the last session that opened before each time. times: rising."""
    opens, closes = session.span(int(times[0]), int(times[-1]))
    index = np.searchsorted(opens, times, side="left") - 1
    return opens[index], closes[index]


def opens_known_at(bars: pl.DataFrame, *, bar: Bar | None, session: Session) -> pl.DataFrame:
    """The frame with "previous" (end of the instrument's bar before) and "open_at", ns or null.

    bars: time, "time#bare", instrument, open, open_time (null where not given). Where bar is None,
    a row with a bare date is a daily bar, the length of the others is not known.
    """
    ordered = bars.sort("instrument", "time").with_columns(
        pl.col("time").shift(1).over("instrument").alias("previous")
    )
    if ordered.is_empty():
        return ordered.with_columns(pl.lit(None, pl.Int64).alias("open_at"))
    distinct = ordered["time"].unique().sort()
    opened, _ = owning_session(distinct.to_numpy(), session)
    ordered = ordered.join(
        pl.DataFrame({"time": distinct, "#opened": opened}), on="time", how="left"
    )
    bounds = [pl.col("#opened"), pl.col("previous")]
    if bar is not None and bar.minutes is not None:
        bounds.append(pl.col("time") - bar.minutes * _MINUTE)
    # By row: what other rows of the file look like must not change what this one says.
    has_length = pl.lit(value=True) if bar is not None else pl.col("time" + BARE)
    derived = pl.when(has_length).then(pl.max_horizontal(bounds))
    known = pl.when(pl.col("open").is_not_null()).then(pl.coalesce("open_time", derived))
    return ordered.with_columns(known.alias("open_at")).drop("#opened")


def closings(times: Times, *, bar: Bar | None, session: Session) -> Closings:
    """Which of the rising, distinct bar ends close a session, and which closes must be made.

    A bar that ends at its session's close does. Where a session has bars but none ends at its close
    (half days, thin data), the close itself is a record: at that moment it was known that no bar
    came. That holds for the last session of the file, too: whether it is the last is not known
    then. A daily bar after the close (data published late) ends its session when nothing did
    before.
    """
    if not times.size:
        return Closings(frozenset(), ())
    opened, closed = owning_session(times, session)
    flagged = set(times[times == closed].tolist())
    ended = set(flagged)
    made = []
    within = times < closed
    for start, close in sorted(
        set(zip(opened[within].tolist(), closed[within].tolist(), strict=True))
    ):
        if close not in ended:
            made.append((close, start))
        ended.add(close)
    if bar is not None and bar.daily:
        late = times > closed
        for time, close in zip(times[late].tolist(), closed[late].tolist(), strict=True):
            if close not in ended:
                flagged.add(time)
                ended.add(close)
    return Closings(frozenset(flagged), tuple(made))
