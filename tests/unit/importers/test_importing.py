from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.shards import shard_of
from coordinator.importers.bars import Bar
from coordinator.importers.errors import ImportFailed, RowRefused
from coordinator.importers.importing import (
    ImportFrames,
    ImportSettings,
    import_files,
    import_frames,
)
from coordinator.log.memory import MemoryLog
from schemas.base import InputEvent
from schemas.entries import decode_journal
from schemas.market import InstrumentListed, PricesObserved
from schemas.signals import SignalIssued
from tests.unit.importers.support import (
    BOOK,
    NEW_YORK,
    PRICES,
    SIGNALS,
    at,
    dead_letters,
    import_all,
    journal,
    started,
    write_files,
)

TWO = BOOK + BOOK.replace('"one"', '"two"')


def names(events: list[tuple[int, InputEvent]]) -> list[str]:
    return [type(event).__name__ for _, event in events]


def test_a_log_opens_with_engine_parameters_and_portfolios_and_names_come_when_heard_of(
    tmp_path: Path,
) -> None:
    _, log = import_all(write_files(tmp_path))
    events = journal(log)
    assert names(events) == [
        "EngineStarted", "ParametersChanged", "PortfolioOpened", "InstrumentListed",
        "PricesObserved", "SourceRegistered", "SignalIssued", "PricesObserved", "PricesObserved",
        "PricesObserved",
    ]  # fmt: skip
    times = [time for time, _ in events]
    assert times == sorted(times)
    assert set(times[:3]) == {at("2025-01-06T14:29:59Z")}
    assert set(times[3:5]) == {at("2025-01-06T14:30:00Z")}
    assert set(times[5:7]) == {at("2025-01-06T20:00:00Z")}


def test_what_the_files_date_before_the_first_record_opens_the_log(tmp_path: Path) -> None:
    listed = "instrument,valid_from\nAAA,2020-01-02\n"
    book = BOOK + '[[source]]\nsource = "s"\n'
    _, log = import_all(write_files(tmp_path, portfolios=book, instruments=listed))
    assert names(journal(log))[:5] == [
        "EngineStarted", "ParametersChanged", "SourceRegistered", "InstrumentListed",
        "PortfolioOpened",
    ]  # fmt: skip


def test_at_one_moment_a_listing_comes_first_and_a_source_just_before_its_signal(
    tmp_path: Path,
) -> None:
    said = SIGNALS.replace("2025-01-06T20:00:00Z", "2025-01-06T21:00:00Z")
    _, log = import_all(write_files(tmp_path, signals=said, prices=PRICES.replace("10,", ",", 1)))
    close = at("2025-01-06T21:00:00Z")
    assert [type(event).__name__ for time, event in journal(log) if time == close] == [
        "InstrumentListed", "PricesObserved", "SourceRegistered", "SignalIssued",
    ]  # fmt: skip


def test_every_shard_begins_with_engine_started_and_has_its_own_portfolios(tmp_path: Path) -> None:
    files = write_files(tmp_path, portfolios=TWO)
    report, log = import_all(files, dataclasses.replace(ImportSettings.default(), shards=3))
    assert report.shards == 3
    for shard in range(3):
        events = journal(log, shard)
        assert names(events)[0] == "EngineStarted"
        opened = {getattr(e, "portfolio", None) for _, e in events} - {None}
        assert opened == {name for name in ("one", "two") if shard_of(name, 3) == shard}
        assert names(events).count("PricesObserved") == 4


def test_there_are_as_many_shards_as_portfolios_up_to_eight(tmp_path: Path) -> None:
    assert import_all(write_files(tmp_path, portfolios=TWO))[0].shards == 2
    many = "".join(BOOK.replace('"one"', f'"p{i}"') for i in range(12))
    assert import_all(write_files(tmp_path, portfolios=many))[0].shards == 8


def test_at_equal_times_prices_come_before_signals(tmp_path: Path) -> None:
    said = SIGNALS.replace("2025-01-06T20:00:00Z", "2025-01-06T21:00:00Z")
    opened = SIGNALS.splitlines()[1].replace("2025-01-06T20:00:00Z", "2025-01-07T14:30:00Z")
    _, log = import_all(write_files(tmp_path, signals=said + opened + "\n"))
    order = [
        event.kind if isinstance(event, PricesObserved) else "signal"
        for _, event in journal(log)
        if isinstance(event, PricesObserved | SignalIssued)
    ]
    assert order == ["open", "bar", "signal", "open", "signal", "bar"]


def test_offsets_count_per_topic_and_the_topic_is_named_by_the_content(tmp_path: Path) -> None:
    report, log = import_all(write_files(tmp_path))
    stamps = [decode_journal(record.payload).stamp for record in log.read("journal", 0)][1:]
    assert {stamp.topic_id for stamp in stamps} == {report.topic_id}
    for topic in ("control", "market", "portfolios", "signals"):
        offsets = [stamp.offset for stamp in stamps if stamp.topic == topic]
        assert offsets == list(range(len(offsets)))
    other, _ = import_all(write_files(tmp_path, prices=PRICES.replace("200", "201")))
    assert other.topic_id != report.topic_id


def test_the_same_files_give_the_same_log(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    one, two = (list(import_all(files)[1].read("journal", 0)) for _ in range(2))
    assert one == two


def test_a_bad_row_is_kept_counted_and_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = "2025-01-06T20:30:00Z,s,AAA,long,0.5"
    signals = SIGNALS.encode() + bad.encode() + b"\n2025-01-06T20:30:00Z,s,\xff,buy,1\n"
    report, log = import_all(write_files(tmp_path, signals=signals))
    letters = dead_letters(log, "signals")
    assert [letter.where for letter in letters] == ["signals.csv row 3", "signals.csv row 4"]
    assert letters[0].reason == "direction is not -1, 0, 1, sell, hold or buy: 'long'"
    assert letters[0].payload == bad.encode()
    assert letters[1].payload == b"2025-01-06T20:30:00Z,s,\xff,buy,1"
    assert [(c.file, c.rows, c.accepted, c.rejected) for c in report.files] == [
        ("signals.csv", 3, 1, 2),
        ("prices.csv", 2, 2, 0),
    ]
    assert {(item.reason, item.rows) for item in report.rejects} == {
        ("direction is not -1, 0, 1, sell, hold or buy", (3,)),
        ("it is not UTF-8 text", (4,)),
    }


def test_a_bad_price_goes_to_the_markets_dead_letters(tmp_path: Path) -> None:
    _, log = import_all(write_files(tmp_path, prices=PRICES + "2025-01-08,AAA,1,1,1,x,1\n"))
    (letter,) = dead_letters(log, "market")
    assert letter.where == "prices.csv row 4"


def test_a_strict_import_stops_at_the_first_bad_row_with_nothing_journaled(tmp_path: Path) -> None:
    files = write_files(tmp_path, signals=SIGNALS + "x,s,AAA,buy,1\ny,s,AAA,buy,1\n")
    log = MemoryLog(clock=lambda: 0)
    strict = dataclasses.replace(ImportSettings.default(), strict=True)
    with pytest.raises(RowRefused, match=r"signals\.csv row 3") as caught:
        import_files(files, strict, log=log, started=started)
    assert caught.value.row == 3
    assert log.partitions() == ()


def test_a_log_that_holds_something_is_refused(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    _, log = import_all(files)
    with pytest.raises(ImportFailed, match="not empty"):
        import_files(files, ImportSettings.default(), log=log, started=started)


def test_the_report_adds_up_and_tells_what_was_assumed(tmp_path: Path) -> None:
    signals = SIGNALS.replace("strength", "strength,note").replace("0.5", "0.5,hm")
    signals += "2025-01-06T20:00:00Z,t,ZZZ,buy,1,\n"
    report, log = import_all(write_files(tmp_path, signals=signals))
    assert dict(report.events) == {
        "InstrumentListed": 1, "ParametersChanged": 1, "PortfolioOpened": 1, "PricesObserved": 4,
        "SignalIssued": 2, "SourceRegistered": 2,
    }  # fmt: skip
    assert sum(dict(report.events).values()) == log.end("journal", 0) - 1
    assert (report.bar, report.session) == ("daily", NEW_YORK.text)
    assert report.last_at == at("2025-01-07T21:00:00Z")
    told = "\n".join(report.notes)
    for part in ("note", "without terms", "AAA", "ZZZ", "registered as imported: s, t"):
        assert part in told
    assert "1 signals come before their instrument is listed" in told


def test_signals_before_their_instruments_first_price_are_told(tmp_path: Path) -> None:
    early = "2025-01-06T14:29:00Z,s,AAA,buy,1\n2025-01-06T14:30:00Z,s,AAA,buy,1\n"
    report, _ = import_all(write_files(tmp_path, signals=SIGNALS + early))
    (told,) = [note for note in report.notes if "unknown_instrument" in note]
    assert told.startswith("1 signals come before")


def test_instruments_without_prices_or_valid_from_are_told_and_not_listed(tmp_path: Path) -> None:
    listed = "instrument,valid_from\nAAA,\nBBB,\nCCC,2025-01-07\n"
    report, log = import_all(write_files(tmp_path, instruments=listed))
    found = [e.instrument for _, e in journal(log) if isinstance(e, InstrumentListed)]
    assert found == ["AAA", "CCC"]
    assert [note for note in report.notes if note.endswith("valid_from: BBB")]


def test_an_instrument_priced_before_its_valid_from_is_listed_then_and_told(
    tmp_path: Path,
) -> None:
    listed = "instrument,valid_from\nAAA,2025-01-07\n"
    report, log = import_all(write_files(tmp_path, instruments=listed))
    times = [time for time, event in journal(log) if isinstance(event, InstrumentListed)]
    assert times == [at("2025-01-07T14:30:00Z")]
    assert "with prices before their valid_from, listed only then: AAA" in report.notes


def test_instruments_in_a_currency_of_no_portfolio_are_told(tmp_path: Path) -> None:
    prices = PRICES + "".join(f"2025-01-07,{name},1,1,1,1,1\n" for name in ("BBB", "CCC"))
    listed = "instrument,currency\nAAA,USD\nBBB,EUR\nCCC,JPY\n"
    book = BOOK + BOOK.replace("one", "two").replace("USD", "JPY")
    report, _ = import_all(
        write_files(tmp_path, prices=prices, instruments=listed, portfolios=book)
    )
    assert [n for n in report.notes if "in a currency of no portfolio" in n] == [
        "in a currency of no portfolio and with no rate to one, so none can hold them: BBB (EUR)"
    ]


def test_unknown_opens_and_made_closes_are_told(tmp_path: Path) -> None:
    prices = (
        "time,instrument,open,close\n2025-01-06T18:00:00Z,AAA,1,1\n2025-01-07T21:00:00Z,AAA,1,1\n"
    )
    report, _ = import_all(write_files(tmp_path, prices=prices))
    told = "\n".join(report.notes)
    assert "2 opens were not known" in told
    assert "1 sessions have bars but none at the close" in told


def test_instruments_that_hold_later_are_listed_later(tmp_path: Path) -> None:
    listed = "instrument,lot,valid_from\nAAA,10,\nAAA,20,2025-01-07\n"
    _, log = import_all(write_files(tmp_path, instruments=listed))
    times = [time for time, event in journal(log) if type(event).__name__ == "InstrumentListed"]
    assert times == [at("2025-01-06T14:30:00Z"), at("2025-01-07T14:30:00Z")]


def test_the_currency_of_instruments_is_the_first_portfolios_unless_said(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    for said, expected in ((None, "USD"), ("CHF", "CHF")):
        chosen = dataclasses.replace(ImportSettings.default(), currency=said)
        _, log = import_all(files, chosen)
        listed = [event for _, event in journal(log) if isinstance(event, InstrumentListed)]
        assert [event.currency for event in listed] == [expected]
    with pytest.raises(ImportFailed, match="--currency"):
        import_all(files, dataclasses.replace(ImportSettings.default(), currency="$"))


def test_frames_become_the_same_events_as_files(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    assert files.signals is not None
    assert files.prices is not None
    log = MemoryLog(clock=lambda: 0)
    frames = ImportFrames(
        pl.read_csv(files.signals).with_columns(
            pl.col("event_time").str.to_datetime(time_zone="UTC")
        ),
        pl.read_csv(files.prices, try_parse_dates=True),
        files.portfolios,
    )
    import_frames(frames, ImportSettings.default(), log=log, started=started)
    assert journal(log) == journal(import_all(files)[1])


def test_progress_reaches_what_was_expected(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    import_files(
        write_files(tmp_path),
        ImportSettings.default(),
        log=MemoryLog(clock=lambda: 0),
        started=started,
        progress=lambda done, expected: seen.append((done, expected)),
    )
    assert seen
    assert seen[-1][0] >= seen[-1][1] > 0


cell = st.one_of(
    st.sampled_from(
        ["", "2025-01-06", "2025-01-06T20:00:00Z", "2025-01-07T10:00:00-05:00", "AAA", "s", "buy",
         "0", "-1", "1", "0.5", "9.5", "10", "11", "1e400", "nan", "\ufeff", "\u0000", "=1+1",
         "1,5", '"', "1736197200000000000", "1736197200", "2025-02-30", "9999-12-31T00:00:00Z"]
    ),
    st.text(max_size=6).map(lambda text: text.replace("\n", " ").replace("\r", " ")),
)  # fmt: skip
SIGNAL_HEADER = (
    "event_time,source,instrument,direction,strength,expected_return,strategy,confidence,"
    "horizon_days,expires_at,known_at,signal_id"
)
PRICE_HEADER = "time,instrument,open,high,low,close,volume,open_time"


def table_text(header: str, rows: list[list[str]]) -> str:
    return header + "\n" + "".join(",".join(row) + "\n" for row in rows)


def rows_of(columns: int) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.lists(cell, min_size=1, max_size=columns + 1), max_size=8)


@settings(max_examples=120, deadline=None)
@given(rows_of(12), rows_of(8))
def test_accepted_and_rejected_add_up_for_any_rows(
    signal_rows: list[list[str]], price_rows: list[list[str]]
) -> None:
    good_signal = ["2025-01-06T20:00:00Z", "s", "AAA", "buy", *[""] * 8]
    good_price = ["2025-01-06", "AAA", "10", "11", "9", "10", "5", ""]
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(
            Path(folder),
            signals=table_text(SIGNAL_HEADER, [good_signal, *signal_rows]),
            prices=table_text(PRICE_HEADER, [good_price, *price_rows]),
        )
        chosen = dataclasses.replace(ImportSettings.default(), dates_known_at="close")
        report, log = import_all(files, chosen)
    signals, prices = report.files
    filled = [[row for row in rows if ",".join(row).strip()] for rows in (signal_rows, price_rows)]
    assert (signals.rows, prices.rows) == (1 + len(filled[0]), 1 + len(filled[1]))
    events = [event for _, event in journal(log)]
    accepted = sum(isinstance(event, SignalIssued) for event in events)
    assert accepted == signals.accepted
    bars = [event for event in events if isinstance(event, PricesObserved) and event.kind == "bar"]
    assert sum(price is not None for event in bars for price in event.price) == prices.accepted
    assert len(dead_letters(log, "signals")) == signals.rejected == signals.rows - accepted
    assert len(dead_letters(log, "market")) == prices.rejected


# No midnight: where every end is one, an import takes them for bare dates and refuses them.
minutes = st.integers(0, 60 * 24 * 6).filter(lambda minute: minute % (60 * 24) != 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(minutes, st.sampled_from("ABC"), st.booleans()), min_size=1, max_size=20),
    st.sampled_from(["daily", "hourly", "5min", None]),
)
def test_no_price_is_journaled_before_it_was_known(
    bars: list[tuple[int, str, bool]], length: str | None
) -> None:
    """Each bar's numbers name it, so that every number in the log tells where it came from."""
    start = at("2025-01-06T00:00:00Z")
    ends: dict[float, int] = {}
    previous: dict[float, int | None] = {}
    rows: list[str] = []
    for number, (minute, name, opened) in enumerate(sorted(set(bars)), 1):
        end = start + minute * 60_000_000_000 + 1
        before = [ends[p] for p in ends if rows[int(p) - 1].split(",")[1] == name]
        ends[float(number)] = end
        previous[float(number)] = max(before, default=None)
        rows.append(f"{end},{name},{number if opened else ''},{number}")
    text = "time,instrument,open,close\n" + "\n".join(rows) + "\n"
    chosen = dataclasses.replace(
        ImportSettings.default(), bar=None if length is None else Bar.parse(length)
    )
    with tempfile.TemporaryDirectory() as folder:
        _, log = import_all(write_files(Path(folder), prices=text), chosen)
    for time, event in journal(log):
        if not isinstance(event, PricesObserved):
            continue
        for price in event.price:
            if price is None:
                assert event.session_close
            elif event.kind == "bar":
                assert time >= ends[price]
            else:
                before_that = previous[price]
                assert time < ends[price]
                assert before_that is None or time >= before_that
