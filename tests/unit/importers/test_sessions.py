from __future__ import annotations

import zoneinfo
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from coordinator.importers import sessions
from coordinator.importers.errors import ImportFailed
from coordinator.importers.sessions import SESSION_DEFAULT, Session
from tests.unit.importers.support import NEW_YORK, at


def test_open_and_close_follow_summer_time() -> None:
    assert NEW_YORK.opens(date(2025, 3, 7)) == at("2025-03-07T14:30:00Z")
    assert NEW_YORK.closes(date(2025, 3, 7)) == at("2025-03-07T21:00:00Z")
    assert NEW_YORK.opens(date(2025, 3, 10)) == at("2025-03-10T13:30:00Z")
    assert NEW_YORK.closes(date(2025, 3, 10)) == at("2025-03-10T20:00:00Z")


def test_a_close_at_24_is_the_next_midnight_and_counts_to_the_day_that_ends() -> None:
    whole = Session.parse("00:00-24:00@UTC")
    assert whole.opens(date(2025, 1, 6)) == at("2025-01-06T00:00:00Z")
    assert whole.closes(date(2025, 1, 6)) == at("2025-01-07T00:00:00Z")


def test_a_session_over_night_bears_the_date_of_its_close() -> None:
    futures = Session.parse("18:00-17:00@America/New_York")
    assert futures.opens(date(2025, 1, 7)) == at("2025-01-06T23:00:00Z")
    assert futures.closes(date(2025, 1, 7)) == at("2025-01-07T22:00:00Z")


def test_columns_of_dates_are_moments_and_nulls_stay() -> None:
    days = pl.Series([date(2025, 1, 6), None, date(2025, 1, 6)])
    close = at("2025-01-06T21:00:00Z")
    assert NEW_YORK.closes_of(days).to_list() == [close, None, close]
    assert NEW_YORK.opens_of(days).to_list()[0] == at("2025-01-06T14:30:00Z")


def test_a_span_covers_sessions_before_and_after() -> None:
    moment = at("2025-01-06T12:00:00Z")
    opens, closes = NEW_YORK.span(moment, moment)
    assert opens[0] < moment < opens[-1]
    assert closes[0] < moment < closes[-1]
    assert (opens < closes).all()


def test_a_day_begins_at_midnight_in_the_zone_whenever_its_session_opens() -> None:
    days = pl.Series([date(2025, 1, 6), None, date(2025, 7, 7)])
    for session in (NEW_YORK, Session.parse("18:00-17:00@America/New_York")):
        assert session.midnights_of(days).to_list() == [
            at("2025-01-06T00:00:00-05:00"), None, at("2025-07-07T00:00:00-04:00"),
        ]  # fmt: skip


def test_what_bare_dates_mean_is_for_somebody_to_say() -> None:
    days = pl.Series([date(2025, 1, 6)])
    opened, closed = NEW_YORK.meaning("open"), NEW_YORK.meaning("close")
    assert opened is not None
    assert closed is not None
    assert opened(days).to_list() == [at("2025-01-06T14:30:00Z")]
    assert closed(days).to_list() == [at("2025-01-06T21:00:00Z")]
    assert NEW_YORK.meaning(None) is None


def test_it_is_written_as_it_was_read() -> None:
    assert NEW_YORK.text == SESSION_DEFAULT
    assert Session.parse(NEW_YORK.text) == NEW_YORK


def test_zones_come_from_the_pinned_package_not_from_the_machine(tmp_path: Path) -> None:
    wrong = tmp_path / "America" / "New_York"
    wrong.parent.mkdir()
    wrong.write_bytes(files("tzdata").joinpath("zoneinfo", "UTC").read_bytes())
    before = zoneinfo.TZPATH
    sessions._zone.cache_clear()
    zoneinfo.reset_tzpath(to=[tmp_path])
    try:
        machine = ZoneInfo.no_cache("America/New_York")
        assert datetime(2025, 1, 6, tzinfo=machine).utcoffset() == timedelta(0)
        assert NEW_YORK.closes(date(2025, 1, 6)) == at("2025-01-06T21:00:00Z")
    finally:
        zoneinfo.reset_tzpath(to=before)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9:30-16:00@America/New_York",
        "09:30-16:00",
        "09:30-16:00@Mars/Base",
        "09:30-16:00@../etc",
        "09:60-16:00@UTC",
        "24:00-16:00@UTC",
        "09:30-24:01@UTC",
        "09:30-16:00@utc",
    ],
)
def test_a_session_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ImportFailed, match="--session"):
        Session.parse(text)
