from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.importers.bars import Bar, closings, opens_known_at
from coordinator.importers.errors import ImportFailed
from coordinator.importers.sessions import Session
from tests.unit.importers.support import NEW_YORK, at

HOURLY, DAILY = Bar.parse("hourly"), Bar.parse("daily")
MINUTE = 60_000_000_000


def known(bar: Bar | None, *rows: tuple[str, str | None]) -> list[int | None]:
    """open_at of AAA's bars, given as (end, open_time)."""
    frame = pl.DataFrame(
        {
            "time": [at(end) for end, _ in rows],
            "instrument": ["AAA"] * len(rows),
            "open": [1.0] * len(rows),
            "open_time": [None if given is None else at(given) for _, given in rows],
            "time#bare": [False] * len(rows),
        },
        schema_overrides={"open_time": pl.Int64},
    )
    return opens_known_at(frame, bar=bar, session=NEW_YORK)["open_at"].to_list()


def ends(*texts: str, bar: Bar | None = HOURLY) -> tuple[set[int], list[int]]:
    found = closings(np.array([at(t) for t in texts]), bar=bar, session=NEW_YORK)
    return set(found.flagged), [close for close, _ in found.made]


def test_an_intraday_open_is_known_a_bar_length_before_the_end() -> None:
    assert known(HOURLY, ("2025-01-06T17:00:00Z", None)) == [at("2025-01-06T16:00:00Z")]


def test_a_daily_open_is_known_at_the_sessions_open() -> None:
    for end in ("2025-01-06T21:00:00Z", "2025-01-06T18:00:00Z", "2025-01-07T03:00:00Z"):
        assert known(DAILY, (end, None)) == [at("2025-01-06T14:30:00Z")]


def test_an_open_is_never_known_before_the_session_opened() -> None:
    clock_aligned = "2025-01-06T15:00:00Z"  # the bar 9:00 to 10:00 of a session that opens at 9:30
    assert known(HOURLY, (clock_aligned, None)) == [at("2025-01-06T14:30:00Z")]


def test_an_overstated_length_does_not_make_opens_known_before_the_bar_before_ended() -> None:
    first, second = "2025-01-06T16:00:00Z", "2025-01-06T16:05:00Z"
    assert known(HOURLY, (first, None), (second, None))[1] == at(first)


def test_a_given_open_time_counts() -> None:
    given_time = "2025-01-06T14:31:00Z"
    assert known(HOURLY, ("2025-01-06T15:30:00Z", given_time)) == [at(given_time)]
    assert known(None, ("2025-01-06T15:30:00Z", given_time)) == [at(given_time)]


def test_without_a_length_no_open_is_known_before_the_end() -> None:
    assert known(None, ("2025-01-06T15:30:00Z", None)) == [None]


@given(
    st.lists(st.integers(0, 60 * 24 * 20), min_size=1, max_size=30, unique=True),
    st.one_of(st.none(), st.integers(1, 2000)),
)
def test_opens_lie_before_the_end_and_not_before_the_bar_before(
    minutes: list[int], length: int | None
) -> None:
    times = sorted(at("2025-03-01T00:00:00Z") + m * MINUTE for m in minutes)
    frame = pl.DataFrame({"time": times}).with_columns(
        pl.lit("AAA").alias("instrument"),
        pl.lit(1.0).alias("open"),
        pl.lit(None, pl.Int64).alias("open_time"),
        pl.lit(value=False).alias("time#bare"),
    )
    found = opens_known_at(frame, bar=Bar(length), session=NEW_YORK)["open_at"].to_list()
    for i, (end, opened) in enumerate(zip(times, found, strict=True)):
        assert opened < end
        assert i == 0 or opened >= times[i - 1]
        assert length is None or opened >= end - length * MINUTE


def test_the_bar_that_ends_at_the_close_ends_the_session() -> None:
    flagged, made = ends("2025-01-06T20:00:00Z", "2025-01-06T21:00:00Z", "2025-01-06T22:00:00Z")
    assert flagged == {at("2025-01-06T21:00:00Z")}
    assert made == []


def test_a_session_without_a_bar_at_its_close_is_closed_there_and_not_before() -> None:
    flagged, made = ends("2025-01-06T18:00:00Z", "2025-01-07T21:00:00Z")
    assert made == [at("2025-01-06T21:00:00Z")]
    assert flagged == {at("2025-01-07T21:00:00Z")}


def test_the_last_session_is_closed_as_every_other() -> None:
    assert ends("2025-01-06T18:00:00Z") == (set(), [at("2025-01-06T21:00:00Z")])


def test_bars_outside_hours_end_no_session() -> None:
    assert ends("2025-01-06T12:00:00Z", "2025-01-06T23:00:00Z") == (set(), [])


def test_a_daily_bar_after_the_close_ends_its_session_once() -> None:
    flagged, made = ends("2025-01-06T21:30:00Z", "2025-01-06T22:00:00Z", bar=DAILY)
    assert flagged == {at("2025-01-06T21:30:00Z")}
    assert made == []


@given(st.lists(st.integers(0, 60 * 24 * 12), min_size=2, max_size=60, unique=True), st.booleans())
def test_later_bars_do_not_change_which_earlier_ones_end_sessions(
    minutes: list[int], daily: bool
) -> None:
    times = np.array(sorted(at("2025-03-03T00:00:00Z") + m * MINUTE for m in minutes))
    bar = DAILY if daily else HOURLY
    whole = closings(times, bar=bar, session=NEW_YORK)
    for cut in range(1, len(times)):
        part = closings(times[:cut], bar=bar, session=NEW_YORK)
        last = times[cut - 1]
        assert part.flagged == {time for time in whole.flagged if time <= last}
        assert {item for item in part.made if item[0] <= last} == {
            item for item in whole.made if item[0] <= last
        }


def test_a_session_closed_without_a_bar_is_not_closed_again_by_a_late_one() -> None:
    flagged, made = ends("2025-01-06T18:00:00Z", "2025-01-06T22:00:00Z", bar=DAILY)
    assert flagged == set()
    assert made == [at("2025-01-06T21:00:00Z")]


def test_round_the_clock_markets_close_at_midnight() -> None:
    whole_day = Session.parse("00:00-24:00@UTC")
    times = np.array([at("2025-01-06T23:00:00Z"), at("2025-01-07T00:00:00Z")])
    found = closings(times, bar=HOURLY, session=whole_day)
    assert found.flagged == {at("2025-01-07T00:00:00Z")}


@pytest.mark.parametrize("text", ["", "0min", "weekly", "1h", "99999min", "-5min", "5 min"])
def test_a_length_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ImportFailed, match="--bar"):
        Bar.parse(text)


def test_lengths_are_written_as_they_are_read() -> None:
    assert [Bar.parse(t).text for t in ("daily", "hourly", "minute", "5min")] == [
        "daily", "60min", "1min", "5min",
    ]  # fmt: skip
