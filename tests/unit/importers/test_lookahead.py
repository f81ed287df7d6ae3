"""The law against look-ahead: what a log says up to a moment, no later row can change."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from coordinator.core.ports import LogReader
from coordinator.importers.bars import Bar
from coordinator.importers.errors import ImportFailed
from coordinator.importers.importing import ImportFiles, ImportSettings
from coordinator.importers.prices import PRICE_COLUMNS, read_prices
from coordinator.importers.read import read_table
from coordinator.importers.tables import ROW
from schemas.base import Event
from schemas.entries import decode_journal
from tests.unit.importers.support import (
    BOOK,
    NEW_YORK,
    at,
    import_all,
    in_dollars,
    write_book,
    write_files,
)

START = at("2025-01-06T00:00:00Z")
MINUTE = 60_000_000_000
TWO_SOURCES = BOOK + '[[source]]\nsource = "u"\n'
NUMBERS = 7.0
SCRAMBLED = 999.0


def moment(minute: int) -> int:
    """Never a midnight, nor a session's open or close, unless a row says so with a date."""
    return START + minute * MINUTE + 1


@dataclass(frozen=True)
class BarRow:
    """when: minutes, or a day for a bare date. opened: minutes between open_time and the end."""

    when: int | date
    name: str
    has_open: bool
    opened: int | None

    @property
    def end(self) -> int:
        return moment(self.when) if isinstance(self.when, int) else NEW_YORK.closes(self.when)

    def text(self, close: float) -> str:
        time = str(self.end) if isinstance(self.when, int) else self.when.isoformat()
        opened = "" if self.opened is None else str(self.end - self.opened * MINUTE)
        return f"{time},{self.name},{NUMBERS if self.has_open else ''},{close},{opened}\n"


@dataclass(frozen=True)
class SignalRow:
    said: int
    delay: int
    source: str
    name: str

    @property
    def known(self) -> int:
        return moment(self.said + self.delay)

    @property
    def text(self) -> str:
        return f"{moment(self.said)},{self.known},{self.source},{self.name},buy\n"


@dataclass(frozen=True)
class TermsRow:
    name: str
    lot: int
    valid_from: int | None

    @property
    def text(self) -> str:
        when = "" if self.valid_from is None else str(moment(self.valid_from))
        return f"{self.name},{self.lot},{when}\n"

    def scrambled_after(self, cut: int) -> TermsRow:
        known = self.valid_from is None or moment(self.valid_from) <= cut
        return self if known else TermsRow(self.name, int(SCRAMBLED), self.valid_from)


@dataclass(frozen=True)
class BookRow:
    """A row of one of the tables in BOOK_TABLES, known at a minute, whatever else it says."""

    table: str
    when: int
    text: str

    @property
    def known(self) -> int:
        return moment(self.when)


@dataclass(frozen=True)
class Rows:
    bars: list[BarRow]
    signals: list[SignalRow]
    terms: list[TermsRow]
    books: list[BookRow] = field(default_factory=list)

    def files(self, folder: str, *, scrambled_after: int | None = None) -> ImportFiles:
        """scrambled_after: bars that end later tell another close."""

        def close(bar: BarRow) -> float:
            later = scrambled_after is not None and bar.end > scrambled_after
            return SCRAMBLED if later else NUMBERS

        return write_files(
            Path(folder),
            prices="time,instrument,open,close,open_time\n"
            + "".join(bar.text(close(bar)) for bar in self.bars),
            signals="event_time,known_at,source,instrument,direction\n"
            + "".join(row.text for row in self.signals),
            instruments="instrument,lot,valid_from\nZZZ,1,\n"
            + "".join(row.text for row in self.terms),
            portfolios=TWO_SOURCES,
            **self.book_tables(),
        )

    def book_files(self, folder: str) -> ImportFiles:
        """Only the books, with no file of portfolios."""
        return write_book(Path(folder), **self.book_tables())

    def book_tables(self) -> dict[str, str | None]:
        """Each table that has rows."""
        texts = {
            name: "".join(f"{row.known},{row.text}\n" for row in self.books if row.table == name)
            for name in BOOK_TABLES
        }
        return {name: BOOK_TABLES[name] + text if text else None for name, text in texts.items()}

    def up_to(self, cut: int, opens: dict[int, int | None]) -> Rows:
        """Without what was not known at `cut`. opens: when each was known, by the bar's file row.

        A bar whose open was known stays, and so does that terms begin later, but not which: the
        name is kept out of the log until then.
        """
        bars = [
            bar
            for row, bar in enumerate(self.bars, 2)
            if bar.end <= cut or (opens.get(row) or cut + 1) <= cut
        ]
        return Rows(
            bars,
            [row for row in self.signals if row.known <= cut],
            [row.scrambled_after(cut) for row in self.terms],
            [row for row in self.books if row.known <= cut],
        )


minutes = st.integers(0, 60 * 24 * 6)
days = st.integers(6, 11).map(lambda day: date(2025, 1, day))
names = st.sampled_from("ABCD")
bars = st.builds(
    BarRow, st.one_of(minutes, days), names, st.booleans(), st.none() | st.integers(1, 900)
)
signals = st.builds(SignalRow, minutes, st.integers(0, 600), st.sampled_from("stu"), names)
terms = st.builds(TermsRow, names, st.integers(1, 3), st.none() | minutes)
owners = st.sampled_from(["one", "two", "three"])
books = st.one_of(
    st.builds(
        lambda when, *values: BookRow("fills", when, ",".join(values)),
        minutes, owners, names, st.sampled_from(["1", "-2", "x"]), st.sampled_from(["5", "6"]),
        st.sampled_from(["", "USD", "EUR"]),
    ),
    st.builds(
        lambda when, *values: BookRow("positions", when, ",".join(values)),
        minutes, owners, names, st.sampled_from(["1", "-2", "x"]),
    ),
    st.builds(
        lambda when, *values: BookRow("cash", when, ",".join(values)),
        minutes, owners, st.sampled_from(["1", "-2", "x"]),
    ),
    # An action that takes effect much later or earlier is known all the same when it is announced.
    st.builds(
        lambda when, effective, *values: BookRow(
            "actions", when, ",".join([str(moment(effective)), *values])
        ),
        minutes, minutes, names, st.sampled_from(["split", "spin_off"]), st.sampled_from(["2", ""]),
        names,
    ),
    st.builds(
        lambda when, *values: BookRow("rates", when, ",".join(values)),
        minutes, st.sampled_from(["EUR/USD", "GBP/USD"]), st.sampled_from(["1.1", "1.2", "0"]),
    ),
)  # fmt: skip
BOOK_TABLES = {
    "fills": "time,portfolio,instrument,quantity,price,currency\n",
    "positions": "time,portfolio,instrument,quantity\n",
    "cash": "time,portfolio,amount\n",
    "actions": "announced_at,time,instrument,kind,ratio,into\n",
    "rates": "time,name,rate\n",
}
rows = st.builds(
    Rows,
    st.lists(bars, min_size=1, max_size=12),
    st.lists(signals, min_size=1, max_size=12),
    st.lists(terms, max_size=6),
    st.lists(books, max_size=12),
)

EARLY_SIGNAL = SignalRow(60 * 20, 0, "s", "B")


@settings(max_examples=50, deadline=None)
@given(rows, st.sampled_from(["daily", "hourly", None]), minutes)
@example(
    Rows(
        [BarRow(60 * 18, "A", True, None), BarRow(date(2025, 1, 9), "B", True, None)],
        [EARLY_SIGNAL, SignalRow(60 * 90, 0, "t", "A")],
        [TermsRow("B", 3, None), TermsRow("C", 2, 60 * 100)],
    ),
    None,
    60 * 23,
)
def test_files_cut_off_at_a_moment_give_the_same_journal_up_to_it(
    whole: Rows, length: str | None, minute: int
) -> None:
    """All but the topic's id, which names the files' whole content and decides nothing."""
    bare = any(isinstance(bar.when, date) for bar in whole.bars)
    bar = None if length is None or (bare and length != "daily") else Bar.parse(length)
    chosen = dataclasses.replace(ImportSettings.default(), bar=bar)
    cut = moment(minute)
    with tempfile.TemporaryDirectory() as folder:
        files = whole.files(folder)
        assert files.prices is not None
        read = read_prices(read_table(files.prices, PRICE_COLUMNS), bar=bar, session=NEW_YORK)
        opens: dict[int, int | None] = dict(read.frame.select(ROW, "open_at").iter_rows())
        part = whole.up_to(cut, opens)
        assume(part.bars and part.signals)
        full = until(import_all(files, chosen)[1], cut)
        assert until(import_all(part.files(folder, scrambled_after=cut), chosen)[1], cut) == full


EUR_FILL = BookRow("fills", 60 * 30, "two,A,1,5,EUR")


@settings(max_examples=60, deadline=None)
@given(st.lists(books, min_size=1, max_size=20), minutes)
@example([BookRow("positions", 60 * 20, "two,A,1"), EUR_FILL], 60 * 25)
@example([BookRow("rates", 60 * 20, "EUR/USD,1.1"), EUR_FILL, EUR_FILL], 60 * 30)
def test_books_cut_off_at_a_moment_give_the_same_journal_up_to_it(
    whole: list[BookRow], minute: int
) -> None:
    """Without any other file: portfolios open, and names are listed, when rows first say them."""
    cut = moment(minute)
    known = Rows([], [], [], whole).up_to(cut, {})
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = Rows([], [], [], whole).book_files(folder)
            full = until(import_all(files, in_dollars(shards=1))[1], cut)
            part = until(import_all(known.book_files(folder), in_dollars(shards=1))[1], cut)
        except ImportFailed:
            assume(False)
        assert part == full


def until(log: LogReader, cut: int) -> list[tuple[int, str, int, Event]]:
    """(journal time, topic, offset, event) of the records up to a moment."""
    found = []
    for record in log.read("journal", 0):
        entry = decode_journal(record.payload)
        if record.journal_time <= cut:
            stamp = entry.stamp
            found.append((record.journal_time, stamp.topic, stamp.offset, entry.event))
    return found
