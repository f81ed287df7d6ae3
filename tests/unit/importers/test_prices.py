from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from coordinator.core.route import PAYLOAD_MAX
from coordinator.importers import prices
from coordinator.importers.bars import Bar
from coordinator.importers.errors import ImportFailed
from coordinator.importers.prices import PRICE_COLUMNS, Prices, read_prices
from coordinator.importers.tables import table_from_frame
from schemas.market import PricesObserved
from tests.unit.importers.support import NEW_YORK, at, reasons, text_table

GOOD = {"time": "2025-01-06", "instrument": "AAA", "close": "10"}


def read(*rows: dict[str, str], bar: Bar | None = None) -> Prices:
    return read_prices(text_table(PRICE_COLUMNS, *rows), bar=bar, session=NEW_YORK)


def refused(**changes: str) -> str:
    """Why the second row is refused; the first is good."""
    (reason,) = reasons(read(GOOD, GOOD | {"instrument": "BBB"} | changes).rejects.frame)
    return reason


def snapshots(found: Prices) -> list[PricesObserved]:
    return [PricesObserved.model_validate_json(item.payload) for item in found.messages()]


def test_a_snapshot_holds_all_instruments_of_a_time_sorted() -> None:
    (seen,) = snapshots(read(GOOD | {"instrument": "BBB", "close": "20"}, GOOD))
    assert seen.instruments == ("AAA", "BBB")
    assert seen.price == (10.0, 20.0)
    assert (seen.kind, seen.event_time) == ("bar", at("2025-01-06T21:00:00Z"))
    assert seen.session_close


def test_an_open_is_a_record_of_its_own_at_the_time_it_was_known() -> None:
    found = read(GOOD | {"open": "9"}, GOOD | {"instrument": "BBB"})
    opened, bar = found.messages()
    assert (opened.known_at, bar.known_at) == (
        at("2025-01-06T14:30:00Z"),
        at("2025-01-06T21:00:00Z"),
    )
    first, second = snapshots(found)
    assert (first.kind, first.instruments, first.price) == ("open", ("AAA",), (9.0,))
    assert second.open == (9.0, None)
    assert found.first_at == opened.known_at


def test_a_bar_comes_before_the_open_of_the_next_at_the_same_moment() -> None:
    rows = [GOOD | {"time": f"2025-01-06T16:0{i}:00Z", "open": "9"} for i in (1, 2)]
    found = [(seen.event_time, seen.kind) for seen in snapshots(read(*rows, bar=Bar(1)))]
    shared = at("2025-01-06T16:01:00Z")
    assert [kind for time, kind in found if time == shared] == ["bar", "open"]


def test_rows_may_stand_in_any_order() -> None:
    rows = [GOOD | {"time": f"2025-01-{day:02}", "open": "9"} for day in (6, 7, 8)]
    assert [m.payload for m in read(*rows).messages()] == [
        m.payload for m in read(*reversed(rows)).messages()
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"close": ""}, "close is missing"),
        ({"close": "nan"}, "close is not a number"),
        ({"close": "inf"}, "close is not a number"),
        ({"close": "1e999"}, "close is not a finite number"),
        ({"close": "1,234.5"}, "close is not a number"),
        ({"close": "1_000"}, "close is not a number"),
        ({"close": "0x10"}, "close is not a number"),
        ({"close": "-1"}, "close is not above 0"),
        ({"close": "0"}, "close is not above 0"),
        ({"close": "2e12"}, "close is not above 0"),
        ({"open": "-1"}, "open is not above 0"),
        ({"volume": "-1"}, "volume is not between"),
        ({"high": "8", "low": "9"}, "high is below low"),
        ({"high": "11", "low": "9", "open": "12"}, "open is outside"),
        ({"high": "9", "low": "8"}, "close is outside"),
        ({"instrument": ""}, "instrument is missing"),
        ({"instrument": "x" * 129}, "instrument is no name"),
        ({"instrument": "a\u0000b"}, "instrument is no name"),
        ({"instrument": "AAA"}, "stood in an earlier row"),
        ({"time": ""}, "time is missing"),
        ({"time": "2025-02-30"}, "time is no moment"),
        ({"open_time": "2025-01-06T21:00:00Z"}, "open_time is not before time"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(changes: dict[str, str], reason: str) -> None:
    assert reason in refused(**changes)


def test_an_open_time_inside_the_bar_before_is_refused() -> None:
    late = GOOD | {"time": "2025-01-07", "open": "9", "open_time": "2025-01-06T15:00:00Z"}
    (reason,) = reasons(read(GOOD, late).rejects.frame)
    assert "before the end of the instrument's bar before" in reason


def test_missing_values_of_optional_columns_are_no_fault() -> None:
    (seen,) = snapshots(read(GOOD | {"high": "", "volume": "5"}, GOOD | {"instrument": "BBB"}))
    assert seen.high is None
    assert seen.volume == (5.0, None)


def test_typed_columns_that_hold_no_numbers_are_refused_per_row_or_whole() -> None:
    day = datetime(2025, 1, 6, 21, tzinfo=UTC)
    frame = pl.DataFrame(
        {"time": [day] * 2, "instrument": [600000, 600001], "close": [1.0, float("nan")]}
    )
    table = table_from_frame(frame, name="prices", columns=PRICE_COLUMNS)
    found = read_prices(table, bar=None, session=NEW_YORK)
    assert reasons(found.rejects.frame) == ["close is not a finite number"]
    assert found.instruments == ("600000",)
    (letter,) = found.rejects.letters()
    assert json.loads(letter.payload)["instrument"] == 600001
    text = frame.with_columns(close=pl.lit(True))
    with pytest.raises(ImportFailed, match="column close holds Boolean"):
        read_prices(
            table_from_frame(text, name="prices", columns=PRICE_COLUMNS),
            bar=None,
            session=NEW_YORK,
        )


def test_bare_dates_are_daily_bars_and_contradict_any_other_length() -> None:
    assert read(GOOD).bar == Bar(None)
    with pytest.raises(ImportFailed, match="bare dates"):
        read(GOOD, bar=Bar(60))


def test_the_length_of_bars_with_times_is_not_guessed() -> None:
    found = read(GOOD | {"time": "2025-01-06T21:00:00Z", "open": "9"})
    assert found.bar is None
    assert [seen.kind for seen in snapshots(found)] == ["bar"]


def test_a_bare_date_is_a_daily_bar_whatever_the_other_rows_are() -> None:
    timed = GOOD | {"time": "2025-01-07T21:00:00Z", "open": "9"}
    seen = snapshots(read(GOOD | {"open": "9"}, timed))
    assert [(s.kind, s.event_time) for s in seen] == [
        ("open", at("2025-01-06T14:30:00Z")),
        ("bar", at("2025-01-06T21:00:00Z")),
        ("bar", at("2025-01-07T21:00:00Z")),
    ]


def test_an_instrument_is_first_priced_at_its_first_open_or_bar() -> None:
    found = read(GOOD | {"open": "9"}, GOOD | {"instrument": "BBB"})
    assert found.first_priced == {
        "AAA": at("2025-01-06T14:30:00Z"),
        "BBB": at("2025-01-06T21:00:00Z"),
    }


@pytest.mark.parametrize("midnight", ["2025-01-06T00:00:00Z", "2025-01-06T00:00:00-05:00"])
def test_dates_in_disguise_are_refused_because_they_tell_prices_too_early(midnight: str) -> None:
    with pytest.raises(ImportFailed, match="every time is a midnight"):
        read(GOOD | {"time": midnight})


def test_a_file_without_one_usable_row_is_refused_with_the_first_reason() -> None:
    with pytest.raises(ImportFailed, match="rows row 1: close is missing"):
        read(GOOD | {"close": ""})


def test_a_made_close_names_its_sessions_instruments_and_no_price() -> None:
    half_day = [
        GOOD | {"time": "2025-01-06T16:00:00Z", "close": "10"},
        GOOD | {"time": "2025-01-06T18:00:00Z", "close": "12"},
        GOOD | {"time": "2025-01-06T17:00:00Z", "close": "20", "instrument": "BBB"},
        GOOD | {"time": "2025-01-07T21:00:00Z", "close": "13"},
    ]
    seen = snapshots(read(*half_day, bar=Bar(60)))
    (made,) = [s for s in seen if s.event_time == at("2025-01-06T21:00:00Z")]
    assert made.session_close
    assert (made.instruments, made.price) == (("AAA", "BBB"), (None, None))
    assert [s.session_close for s in seen] == [False, False, False, True, True]


def test_a_large_snapshot_is_split_and_only_its_last_part_closes_the_session() -> None:
    count = prices.SNAPSHOT_ROWS + 1
    row = "9.123456789012345e-05"
    rows = [
        GOOD | {"instrument": "\U00010348" * 124 + f"{i:04}", "close": row, "open": row,
                "high": row, "low": row, "volume": "1.2345678901234567e17"}
        for i in range(count)
    ]  # fmt: skip
    found = read(*rows)
    seen = [s for s in snapshots(found) if s.kind == "bar"]
    assert [len(s.instruments) for s in seen] == [prices.SNAPSHOT_ROWS, 1]
    assert [s.session_close for s in seen] == [False, True]
    assert len({s.event_id for s in seen}) == 2
    assert max(len(m.payload) for m in found.messages()) < PAYLOAD_MAX
