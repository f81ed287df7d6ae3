from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Literal, TypeAlias

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.importers.errors import ImportFailed
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import Columns, table_from_frame
from coordinator.importers.times import TIME_LEAST, TIME_MOST
from schemas.base import parse_time
from tests.unit.importers.support import NEW_YORK, at, reasons

TimeUnit: TypeAlias = Literal["ms", "us"]
WANTED = Columns(("t",), ())


def parsed(values: pl.Series, *, dates: bool = False) -> tuple[list[int | None], list[str]]:
    table = table_from_frame(pl.DataFrame({"t": values}), name="f", columns=WANTED)
    sieve = Sieve(table, topic="signals")
    sieve.time("t", bare=NEW_YORK.closes_of if dates else None, required=True)
    return sieve.frame["t"].to_list(), reasons(sieve.rejects().frame)


moments = st.datetimes(
    datetime(1971, 1, 1),
    datetime(2115, 1, 1),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)


@given(st.lists(st.tuples(moments, st.sampled_from("Tt "), st.integers(0, 10**9 - 1)), min_size=1))
def test_rfc_3339_means_what_the_language_says(
    given_moments: list[tuple[datetime, str, int]],
) -> None:
    texts = [
        f"{m:%Y-%m-%d}{sep}{m:%H:%M:%S}.{ns:09}{m.isoformat()[-6:]}" for m, sep, ns in given_moments
    ]
    assert parsed(pl.Series(texts)) == ([parse_time(text) for text in texts], [])


def test_integers_and_zoned_columns_are_nanoseconds() -> None:
    moment = datetime(2025, 1, 6, 21, tzinfo=UTC)
    expected = at("2025-01-06T21:00:00Z")
    assert parsed(pl.Series([expected])) == ([expected], [])
    assert parsed(pl.Series([f" {expected} "])) == ([expected], [])
    for unit in ("ms", "us", "ns"):
        zoned = pl.Series([moment], dtype=pl.Datetime(unit, "America/New_York"))
        assert parsed(zoned) == ([expected], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing"),
        ("2025-01-06T21:00:00", "no time zone"),
        ("2025-01-06 21:00", "no time zone"),
        ("2025-01-06", "bare date"),
        ("2025-02-30", "no moment"),
        ("2025-02-30T10:00:00Z", "no moment"),
        ("1969-12-31T23:59:59Z", "no moment"),
        ("9999-12-31T00:00:00Z", "no moment"),
        ("2025-01-06T24:00:00Z", "no time"),
        ("2025-01-06T21:00:60Z", "no time"),
        ("06/01/2025", "no time"),
        ("1736197200", "too small for nanoseconds"),
        ("1736197200000", "too small for nanoseconds"),
        ("1736197200000000", "too small for nanoseconds"),
        ("9999999999999999999", "no time"),
        ("-1736197200000000000", "no time"),
        ("1.7361972e18", "no time"),
        ("nan", "no time"),
        ("\u0662\u0660\u0662\u0665-01-06T21:00:00Z", "no time"),
    ],
)
def test_what_is_not_plainly_a_moment_is_refused(text: str, reason: str) -> None:
    good = "2025-01-06T21:00:00Z"
    values, found = parsed(pl.Series([good, text]))
    assert values[0] == at(good)
    assert len(found) == 1
    assert reason in found[0]


def test_bare_dates_mean_what_the_caller_says() -> None:
    close = at("2025-01-06T21:00:00Z")
    assert parsed(pl.Series(["2025-01-06"]), dates=True) == ([close], [])
    assert parsed(pl.Series([date(2025, 1, 6)]), dates=True) == ([close], [])


@pytest.mark.parametrize("day", ["1969-01-01", "2116-01-01", "0001-01-01", "2025-13-01"])
def test_dates_outside_the_calendar_of_the_log_are_refused(day: str) -> None:
    _, found = parsed(pl.Series([day, "2025-01-06"]), dates=True)
    assert len(found) == 1
    assert "no moment" in found[0]


def test_far_typed_times_are_refused_not_wrapped_around() -> None:
    far = pl.Series([datetime(9999, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    _, found = parsed(far)
    assert "no moment" in found[0]
    _, found = parsed(pl.Series([date(9999, 1, 1)]), dates=True)
    assert "no moment" in found[0]
    assert TIME_LEAST < at("1973-03-04T00:00:00Z") < TIME_MOST


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([datetime(2025, 1, 6)]),
        pl.Series([1.7e18]),
        pl.Series([True]),
        pl.Series([[1]]),
    ],
    ids=["naive", "float", "bool", "list"],
)
def test_columns_whose_type_is_no_time_are_refused_whole(values: pl.Series) -> None:
    with pytest.raises(ImportFailed, match="column t"):
        parsed(values)


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_moment_beyond_any_calendar_is_a_bad_row_and_no_crash(unit: TimeUnit) -> None:
    right = 1_736_193_600_000 * (1 if unit == "ms" else 1_000)
    far = pl.Series("t", [2**62, right]).cast(pl.Datetime(unit, "UTC"))
    times, told = parsed(far)
    assert times[1] == 1_736_193_600_000_000_000
    assert told == ["t is no moment of the years 1970 to 2115"]
