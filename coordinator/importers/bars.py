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
    session had bars, with the first moment of their session; there the last prices are said once
    more.
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

    bars: time, instrument, open, open_time (null where not given).
    """
    ordered = bars.sort("instrument", "time").with_columns(
        pl.col("time").shift(1).over("instrument").alias("previous")
    )
    derived = pl.lit(None, pl.Int64)
    if bar is not None:
        distinct = ordered["time"].unique().sort()
        opened, _ = owning_session(distinct.to_numpy(), session)
        ordered = ordered.join(
            pl.DataFrame({"time": distinct, "#opened": opened}), on="time", how="left"
        )
        bounds = [pl.col("#opened"), pl.col("previous")]
        if bar.minutes is not None:
            bounds.append(pl.col("time") - bar.minutes * _MINUTE)
        derived = pl.max_horizontal(bounds)
    known = pl.when(pl.col("open").is_not_null()).then(pl.coalesce("open_time", derived))
    return ordered.with_columns(known.alias("open_at")).drop("#opened", strict=False)


def closings(times: Times, *, bar: Bar | None, session: Session) -> Closings:
    """Which of the rising, distinct bar ends close a session, and which closes must be made.

    A bar that ends at its session's close does. Where a session has bars but none ends at its close
    (half days, thin data), the close itself is a record: at that moment it was known that no bar
    came. A daily bar after the close (data published late) ends its session when nothing did
    before.
    """
    opened, closed = owning_session(times, session)
    flagged = set(times[times == closed].tolist())
    ended = set(flagged)
    made = []
    within = times < closed
    for start, close in sorted(
        set(zip(opened[within].tolist(), closed[within].tolist(), strict=True))
    ):
        if close not in ended and close <= times[-1]:
            made.append((close, start))
        ended.add(close)
    if bar is not None and bar.daily:
        late = times > closed
        for time, close in zip(times[late].tolist(), closed[late].tolist(), strict=True):
            if close not in ended:
                flagged.add(time)
                ended.add(close)
    return Closings(frozenset(flagged), tuple(made))
