"""Sessions: when a trading day opens and closes, so that a bare date can mean a moment.

Place in the flow: asked by the importers of every table. Time zones come from the pinned tzdata
package, never from the machine, so that the same files give the same log everywhere. Holidays are
not known here: a day without prices is simply a day without records.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import tzdata  # type: ignore[import-untyped] # time zone rules, no code to have types
from numpy.typing import NDArray

from coordinator.importers.errors import ImportFailed

__all__ = ["SESSION_DEFAULT", "DatesKnownAt", "Session", "Times"]

SESSION_DEFAULT = "09:30-16:00@America/New_York"
"""What a session is unless --session says otherwise: that of the New York exchanges."""

Times = NDArray[np.int64]
DatesKnownAt = Literal["open", "close"]
Meaning = Callable[[pl.Series], pl.Series]
"""What each of a column of dates means, ns UTC."""

_SHAPE = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)@([A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2})")
_EPOCH = date(1970, 1, 1)
_DAY_MINUTES = 1440
_REMEDY = f"write it like {SESSION_DEFAULT}"


@lru_cache(maxsize=16)
def _zone(key: str) -> ZoneInfo:
    """The pinned rules of a time zone. Raises ImportFailed for a name that tzdata does not list."""
    listed = files(tzdata).joinpath("zones").read_text(encoding="utf-8").split()
    if key not in listed:
        raise ImportFailed("--session", f"unknown time zone {key!r}", remedy=_REMEDY)
    with files(tzdata).joinpath("zoneinfo", *key.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=key)


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day's open and close in minutes of the zone's wall clock.

    close 1440: midnight at the day's end. Where close <= open the session began the evening before.
    A session bears the date on which it closes (a close at 24:00 counts to the day that ends).
    """

    open_minute: int
    close_minute: int
    zone: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The session written as HH:MM-HH:MM@Area/City. Raises ImportFailed."""
        match = _SHAPE.fullmatch(text.strip())
        if match is None:
            raise ImportFailed("--session", f"cannot read {text[:60]!r}", remedy=_REMEDY)
        hours, minutes, close_hours, close_minutes = (int(part) for part in match.groups()[:4])
        opened, closed = 60 * hours + minutes, 60 * close_hours + close_minutes
        on_the_clock = max(minutes, close_minutes) < 60 and 0 < closed <= _DAY_MINUTES  # noqa: PLR2004 - minutes of an hour
        if not on_the_clock or opened >= _DAY_MINUTES:
            raise ImportFailed("--session", f"no such time in {text[:60]!r}", remedy=_REMEDY)
        _zone(match.group(5))
        return cls(opened, closed, match.group(5))

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        (a, b), (c, d) = divmod(self.open_minute, 60), divmod(self.close_minute, 60)
        return f"{a:02}:{b:02}-{c:02}:{d:02}@{self.zone}"

    def opens(self, day: date) -> int:
        """When the session of that date opens, ns UTC."""
        overnight = self.close_minute <= self.open_minute
        return self._moment(day - timedelta(days=1) if overnight else day, self.open_minute)

    def closes(self, day: date) -> int:
        """When the session of that date closes, ns UTC."""
        return self._moment(day, self.close_minute)

    def opens_of(self, days: pl.Series) -> pl.Series:
        """`opens` for a column of dates."""
        return self._mapped(days, {day: self.opens(day) for day in days.unique().drop_nulls()})

    def closes_of(self, days: pl.Series) -> pl.Series:
        """`closes` for a column of dates."""
        return self._mapped(days, {day: self.closes(day) for day in days.unique().drop_nulls()})

    def midnights_of(self, days: pl.Series) -> pl.Series:
        """When each of a column of dates begins in the zone, ns UTC, whenever its session opens."""
        return self._mapped(days, {day: self._moment(day, 0) for day in days.unique().drop_nulls()})

    def meaning(self, dates_known_at: DatesKnownAt | None) -> Meaning | None:
        """What bare dates mean to whoever said so; None: nobody did."""
        meanings = {"open": self.opens_of, "close": self.closes_of}
        return None if dates_known_at is None else meanings[dates_known_at]

    def span(self, first: int, last: int) -> tuple[Times, Times]:
        """Opens and closes, rising, of every date around `first` to `last`, ns UTC."""
        start = _EPOCH.toordinal() + first // 86_400_000_000_000 - 3
        stop = _EPOCH.toordinal() + last // 86_400_000_000_000 + 4
        days = [date.fromordinal(n) for n in range(start, stop)]
        opens = np.array([self.opens(day) for day in days], dtype=np.int64)
        return opens, np.array([self.closes(day) for day in days], dtype=np.int64)

    def _moment(self, day: date, minute: int) -> int:
        days, rest = divmod(minute, _DAY_MINUTES)
        wall = datetime.combine(
            day + timedelta(days=days), time(*divmod(rest, 60)), tzinfo=_zone(self.zone)
        )
        return int(wall.timestamp()) * 1_000_000_000

    @staticmethod
    def _mapped(days: pl.Series, moments: dict[date, int]) -> pl.Series:
        return days.replace_strict(moments, default=None, return_dtype=pl.Int64)
