"""Whole imports of books: what opens, what is listed when, and in which order it is told."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from coordinator.importers.errors import ImportFailed, RowRefused
from coordinator.importers.importing import ImportFiles, ImportFrames, ImportSettings, import_frames
from coordinator.importers.inputs import TABLES
from coordinator.log.memory import MemoryLog
from schemas.base import InputEvent
from schemas.market import CorporateActionAnnounced, InstrumentListed
from schemas.orders import OrderFilled
from schemas.portfolios import CashMoved, PortfolioOpened, PositionsReported
from tests.unit.importers.support import (
    PRICES,
    SIGNALS,
    at,
    dead_letters,
    events,
    import_all,
    in_dollars,
    journal,
    started,
    write_book,
    write_files,
)

FILLS = "time,portfolio,instrument,quantity,price,currency\n"
FILL = "2025-01-06T15:00:00Z,one,AAA,100,10.25,\n"
POSITIONS = "time,portfolio,instrument,quantity\n"
CASH = "time,portfolio,amount\n"
ACTIONS = "time,instrument,kind,ratio,amount,into\n"
RATES = "time,name,rate\n"
CLOSE = "2025-01-06T21:00:00Z"
EVERY = {
    "fills": FILLS + f"{CLOSE},one,AAA,100,10.25,\n",
    "positions": POSITIONS + f"{CLOSE},one,AAA,100\n",
    "cash": CASH + f"{CLOSE},one,500.50\n",
    "actions": ACTIONS + f"{CLOSE},AAA,dividend,,0.25,\n",
    "rates": RATES + f"{CLOSE},EUR/USD,1.03\n",
}


def listed(files: ImportFiles) -> list[tuple[str, str, int]]:
    """(instrument, currency, time) of each listing, in order."""
    _, log = import_all(files, in_dollars(shards=1))
    return [(one.instrument, one.currency, one.event_time) for one in events(log, InstrumentListed)]


def test_at_equal_times_the_market_comes_first_then_books_then_opinions(tmp_path: Path) -> None:
    said = SIGNALS.replace("2025-01-06T20:00:00Z", CLOSE)
    prices = PRICES + "2025-01-06,BBB,1,1,1,1,1\n"
    _, log = import_all(
        write_files(tmp_path, signals=said, prices=prices.replace(",1,1,1,1,1", ",,,,1,1"), **EVERY)
    )
    assert [type(event).__name__ for time, event in journal(log) if time == at(CLOSE)] == [
        "InstrumentListed", "RatesObserved", "PricesObserved", "CorporateActionAnnounced",
        "CashMoved", "OrderFilled", "PositionsReported", "SourceRegistered", "SignalIssued",
    ]  # fmt: skip


def test_without_a_file_portfolios_open_without_cash_just_before_their_first_row(
    tmp_path: Path,
) -> None:
    files = write_book(
        tmp_path,
        fills=FILLS + FILL + FILL.replace("one", "two").replace("T15", "T17"),
        cash=CASH + "2025-01-06T16:00:00Z,three,7\n2025-01-06T18:00:00Z,one,7\n",
    )
    report, log = import_all(files, in_dollars(shards=1))
    found = events(log, PortfolioOpened)
    assert [(one.portfolio, one.event_time, str(one.cash), one.currency) for one in found] == [
        ("one", at("2025-01-06T15:00:00Z"), "0", "USD"),
        ("three", at("2025-01-06T16:00:00Z"), "0", "USD"),
        ("two", at("2025-01-06T17:00:00Z"), "0", "USD"),
    ]
    last = [type(event).__name__ for _, event in journal(log)][-3:]
    assert last == ["PortfolioOpened", "OrderFilled", "CashMoved"]
    assert (
        "opened because rows name them, with the default mandate and no cash in USD:"
        " one, three, two"
    ) in report.notes
    assert import_all(files, in_dollars())[0].shards == 3


def test_where_a_file_names_portfolios_no_row_opens_one(tmp_path: Path) -> None:
    fills = FILLS + FILL + FILL.replace("one", "One")
    report, log = import_all(write_files(tmp_path, fills=fills))
    assert [one.portfolio for one in events(log, PortfolioOpened)] == ["one"]
    assert [one.portfolio for one in events(log, OrderFilled)] == ["one"]
    (letter,) = dead_letters(log, "orders")
    assert letter.reason == "portfolio is not in the portfolios' file: 'One'"
    assert not [note for note in report.notes if "opened because" in note]


def test_an_instrument_without_prices_is_listed_when_a_book_first_names_it(
    tmp_path: Path,
) -> None:
    files = write_book(
        tmp_path,
        fills=FILLS + FILL,
        positions=POSITIONS + f"{CLOSE},one,BBB,1\n2025-01-06T14:59:00Z,one,CCC,1\n",
        actions=ACTIONS + "2025-01-06T15:30:00Z,DDD,spin_off,1,,EEE\n",
    )
    assert listed(files) == [
        ("CCC", "USD", at("2025-01-06T14:59:00Z")),
        ("AAA", "USD", at("2025-01-06T15:00:00Z")),
        ("DDD", "USD", at("2025-01-06T15:30:00Z")),
        ("EEE", "USD", at("2025-01-06T15:30:00Z")),
        ("BBB", "USD", at(CLOSE)),
    ]


def test_a_name_without_terms_has_the_currency_of_its_first_fill(tmp_path: Path) -> None:
    fills = FILLS + FILL.replace(",\n", ",EUR\n") + FILL.replace("T15", "T16")
    files = write_book(tmp_path, fills=fills, rates=RATES + f"{CLOSE},EUR/USD,1.03\n")
    assert listed(files) == [("AAA", "EUR", at("2025-01-06T15:00:00Z"))]
    notes = import_all(files, in_dollars())[0].notes
    assert "without terms, so the currency of their first fill is taken: AAA (EUR)" in notes
    assert not [note for note in notes if "no rate" in note]


def test_a_currency_that_only_a_later_fill_tells_is_not_known_before_it(tmp_path: Path) -> None:
    fills = FILLS + FILL.replace(",\n", ",EUR\n")
    files = write_book(tmp_path, fills=fills, positions=POSITIONS + "2025-01-05,one,AAA,1\n")
    assert listed(files) == [
        ("AAA", "USD", at("2025-01-05T21:00:00Z")),
        ("AAA", "EUR", at("2025-01-06T15:00:00Z")),
    ]


def test_a_fill_in_another_currency_than_the_terms_passes_and_changes_none(
    tmp_path: Path,
) -> None:
    files = write_book(
        tmp_path,
        fills=FILLS + FILL.replace(",\n", ",EUR\n"),
        instruments="instrument,currency\nAAA,JPY\n",
    )
    assert [(name, currency) for name, currency, _ in listed(files)] == [("AAA", "JPY")]
    _, log = import_all(files, in_dollars())
    assert [fill.currency for fill in events(log, OrderFilled)] == ["EUR"]


def test_every_table_is_counted_and_its_bad_rows_go_to_the_letters_of_its_topic(
    tmp_path: Path,
) -> None:
    tables = {
        "fills": FILLS + FILL + "x,one,AAA,1,1,\n",
        "positions": POSITIONS + f"{CLOSE},one,AAA,1\n{CLOSE},one,AAA,2\n",
        "cash": CASH + f"{CLOSE},one,1\n{CLOSE},one\n",
        "actions": ACTIONS + f"{CLOSE},AAA,split,2,,\n{CLOSE},AAA,split,,,\n",
        "rates": RATES + f"{CLOSE},EUR/USD,1\n{CLOSE},EURUSD,1\n",
    }
    report, log = import_all(write_book(tmp_path, **tables), in_dollars())
    assert [(one.file, one.rows, one.accepted, one.rejected) for one in report.files] == [
        (f"{name}.csv", 2, 1, 1) for name in tables
    ]
    assert {(one.file, one.count, one.rows) for one in report.rejects} == {
        (f"{name}.csv", 1, (3,)) for name in tables
    }
    where = {topic: dead_letters(log, topic) for topic in ("orders", "portfolios", "market")}
    assert {topic: sorted(one.where for one in found) for topic, found in where.items()} == {
        "orders": ["fills.csv row 3"],
        "portfolios": ["cash.csv row 3", "positions.csv row 3"],
        "market": ["actions.csv row 3", "rates.csv row 3"],
    }
    assert where["portfolios"][1].payload == f"{CLOSE},one".encode()


def test_a_strict_import_stops_at_a_bad_row_of_any_table(tmp_path: Path) -> None:
    for name, text in EVERY.items():
        bad = text + text.splitlines()[1].replace(CLOSE, "x") + "\n"
        files = write_book(tmp_path, **(EVERY | {name: bad}))
        with pytest.raises(RowRefused, match=rf"{name}\.csv row 3"):
            import_all(files, in_dollars(strict=True))


def test_books_without_one_usable_row_are_refused_and_with_one_are_not(tmp_path: Path) -> None:
    bad = FILLS + FILL.replace("100", "x")
    rates = RATES + f"{CLOSE},EUR/USD,1\n"
    with pytest.raises(ImportFailed, match=r"fills\.csv: no row is usable \(fills\.csv row 2: qu"):
        import_all(write_book(tmp_path, fills=bad, rates=rates), in_dollars())
    report, _ = import_all(write_book(tmp_path, fills=bad, cash=EVERY["cash"]), in_dollars())
    assert [file.accepted for file in report.files] == [0, 1]


def test_signals_without_one_usable_row_that_names_a_portfolio_are_refused(
    tmp_path: Path,
) -> None:
    files = write_files(tmp_path, portfolios=None, fills=FILLS + FILL.replace("100", "x"))
    with pytest.raises(ImportFailed, match=r"fills\.csv: no row is usable"):
        import_all(files, in_dollars())


def test_a_rejected_row_of_no_known_report_is_told(tmp_path: Path) -> None:
    positions = POSITIONS + f"{CLOSE},one,AAA,1\n{CLOSE},one,AAA\n"
    report, _ = import_all(write_book(tmp_path, positions=positions), in_dollars())
    (told,) = [note for note in report.notes if "rejected rows of positions" in note]
    assert told.startswith("1 rejected rows")


def frames(files: ImportFiles) -> ImportFrames:
    """Each table as polars guesses its types."""
    read = {
        name: pl.read_csv(path, infer_schema_length=None) for name, path in files.tables.items()
    }
    return ImportFrames(portfolios=files.portfolios, **read)


def parquet(files: ImportFiles, folder: Path) -> ImportFiles:
    for name, frame in frames(files).tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    paths = {name: folder / f"{name}.parquet" for name in files.tables}
    return ImportFiles(portfolios=files.portfolios, **paths)


def test_frames_and_parquet_become_the_same_events_as_csv_files(tmp_path: Path) -> None:
    files = write_files(tmp_path, **EVERY)
    expected = journal(import_all(files)[1])
    log = MemoryLog(clock=lambda: 0)
    import_frames(frames(files), ImportSettings.default(), log=log, started=started)
    assert journal(log) == expected
    assert journal(import_all(parquet(files, tmp_path))[1]) == expected


def test_the_content_of_every_table_names_the_topic(tmp_path: Path) -> None:
    found = {import_all(write_book(tmp_path, **EVERY), in_dollars())[0].topic_id}
    for name, text in EVERY.items():
        changed = EVERY | {name: text + "\n"}
        found.add(import_all(write_book(tmp_path, **changed), in_dollars())[0].topic_id)
    assert len(found) == 1 + len(EVERY)


CELLS = [
    "", "2025-01-06", CLOSE, "1736197200000000000", "2025-02-30", "AAA", "BBB", "one", "0",
    "-0.0", "1", "-1", "1.5", "1e3", "1e400", "nan", "1" + "0" * 18, "9" * 41, "0." + "1" * 13,
    "USD", "$$$", "EUR/USD", "split", "spin_off", "dividend", "redemption", "fee", "\u0000", '"',
    "x" * 200, "\ufeff", "=1+1",
]  # fmt: skip


@pytest.mark.parametrize("name", ["fills", "positions", "cash", "actions", "rates"])
def test_accepted_and_rejected_add_up_for_any_rows(name: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    header = TABLES[name].known
    good = {"time": CLOSE, "portfolio": "one", "instrument": "AAA", "quantity": "1", "price": "1",
            "amount": "1", "kind": {"actions": "split"}.get(name, "fee"), "ratio": "2",
            "name": "EUR/USD", "rate": "1", "currency": "USD", "into": "NEW"}  # fmt: skip
    rows = []
    for _ in range(400):
        row = [good.get(column, "") for column in header]
        for _ in range(chance.randrange(1, 4)):
            row[chance.randrange(len(row))] = chance.choice(CELLS)
        rows.append(row[: chance.choice([len(row)] * 20 + [2])])
    text = ",".join(header) + "\n" + "".join(",".join(row) + "\n" for row in rows)
    tables = {"cash": EVERY["cash"]} | {name: text}
    settings = in_dollars(shards=1, dates_known_at="close")
    report, log = import_all(write_book(tmp_path, **tables), settings)
    (counted,) = [file for file in report.files if file.file == f"{name}.csv"]
    kinds: dict[str, type[InputEvent]] = {
        "fills": OrderFilled, "positions": PositionsReported, "cash": CashMoved,
        "actions": CorporateActionAnnounced,
    }  # fmt: skip
    letters = sum(len(dead_letters(log, topic)) for topic in ("orders", "portfolios", "market"))
    assert counted.rows == len(rows) == counted.accepted + counted.rejected
    assert letters == counted.rejected > 0
    assert counted.accepted > 0
    if name == "positions":
        found = sum(len(one.positions) for one in events(log, PositionsReported))
        assert found == counted.accepted
    elif name in kinds:
        assert len(events(log, kinds[name])) == counted.accepted
    else:
        assert dict(report.events)["RatesObserved"] == counted.accepted
