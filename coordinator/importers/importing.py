"""Import: files or frames of a stranger become one log that the engine can replay.

Place in the flow: the orchestrator of this package: read, sieve, merge by time, journal, report.
The caller opens the log, names the engine's identity and decides what becomes of the file. Never
reads a clock: every time in the log comes from the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from coordinator.core.ports import Log
from coordinator.core.shards import SHARDS_DEFAULT
from coordinator.importers.bars import Bar
from coordinator.importers.errors import ImportFailed
from coordinator.importers.instruments import INSTRUMENT_COLUMNS, Instruments, read_instruments
from coordinator.importers.journal import Progress, Writer
from coordinator.importers.notes import notes
from coordinator.importers.parts import Parts
from coordinator.importers.portfolios import Book, load_book
from coordinator.importers.prices import PRICE_COLUMNS, read_prices
from coordinator.importers.read import read_table
from coordinator.importers.rejects import Rejects
from coordinator.importers.report import FileCount, ImportReport
from coordinator.importers.sessions import SESSION_DEFAULT, Session
from coordinator.importers.signals import SIGNAL_COLUMNS, DatesKnownAt, read_signals
from coordinator.importers.tables import Table, table_from_frame
from schemas.journal import EngineStarted

__all__ = [
    "ImportFiles",
    "ImportFrames",
    "ImportSettings",
    "StartedAt",
    "import_files",
    "import_frames",
]


class StartedAt(Protocol):
    """Says which engine the journals begin with."""

    def __call__(self, *, at: int, shards: int) -> EngineStarted:
        """Its EngineStarted at a time, ns UTC, for that many shards."""
        ...


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What the files leave open.

    bar None: daily where times are bare dates, else not known. dates_known_at None: bare dates of
    signals are refused. currency: of portfolios that state none, and of instruments that state none
    (default: the first portfolio's). shards None: as many as portfolios, at most 8. strict: stop at
    the first bad row.
    """

    session: Session
    bar: Bar | None = None
    dates_known_at: DatesKnownAt | None = None
    currency: str | None = None
    shards: int | None = None
    strict: bool = False

    @classmethod
    def default(cls) -> ImportSettings:
        """New York sessions and nothing else assumed."""
        return cls(Session.parse(SESSION_DEFAULT))


@dataclass(frozen=True, slots=True)
class ImportFiles:
    """Where the files are; signals, prices and instruments are .csv or .parquet."""

    signals: Path
    prices: Path
    portfolios: Path
    instruments: Path | None = None


@dataclass(frozen=True, slots=True)
class ImportFrames:
    """The same as polars frames, for notebooks; portfolios stay a TOML file."""

    signals: pl.DataFrame
    prices: pl.DataFrame
    portfolios: Path
    instruments: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class _Tables:
    signals: Table
    prices: Table
    instruments: Table | None
    book: Book
    content: Callable[
        [], str
    ]  # a short hash of it all; asked when every column is known to be sound

    @property
    def all(self) -> tuple[Table, ...]:
        given = (self.signals, self.prices, self.instruments)
        return tuple(table for table in given if table is not None)


def import_files(
    files: ImportFiles,
    settings: ImportSettings,
    *,
    log: Log,
    started: StartedAt,
    progress: Progress = lambda _done, _expected: None,
) -> ImportReport:
    """Write the log of some files; returns the report.

    log: empty; on an error it may hold a part and must be thrown away. Raises ImportFailed,
    RowRefused.
    """
    book = load_book(files.portfolios, currency=settings.currency)
    tables = _Tables(
        read_table(files.signals, SIGNAL_COLUMNS),
        read_table(files.prices, PRICE_COLUMNS),
        None if files.instruments is None else read_table(files.instruments, INSTRUMENT_COLUMNS),
        book,
        lambda: _digest_of_files(files),
    )
    return _import(tables, settings, log=log, started=started, progress=progress)


def import_frames(
    frames: ImportFrames,
    settings: ImportSettings,
    *,
    log: Log,
    started: StartedAt,
    progress: Progress = lambda _done, _expected: None,
) -> ImportReport:
    """The same from polars frames; rejects name "signals row 1" for a frame's first row."""
    given = {"signals": frames.signals, "prices": frames.prices, "instruments": frames.instruments}
    wanted = {
        "signals": SIGNAL_COLUMNS,
        "prices": PRICE_COLUMNS,
        "instruments": INSTRUMENT_COLUMNS,
    }
    tables = {
        name: table_from_frame(frame, name=name, columns=wanted[name])
        for name, frame in given.items()
        if frame is not None
    }
    both = _Tables(
        tables["signals"],
        tables["prices"],
        tables.get("instruments"),
        load_book(frames.portfolios, currency=settings.currency),
        lambda: _digest(_digest_of_table(table) for table in tables.values()),
    )
    return _import(both, settings, log=log, started=started, progress=progress)


def _import(
    tables: _Tables,
    settings: ImportSettings,
    *,
    log: Log,
    started: StartedAt,
    progress: Progress,
) -> ImportReport:
    _check_currency(settings.currency)
    parts = _sieve(tables, settings)
    shards = settings.shards or min(SHARDS_DEFAULT, len(parts.book.portfolios))
    topic_id = f"import-{tables.content()}"
    writer = Writer(log, shards=shards, topic_id=topic_id)
    writer.start(started(at=parts.opened_at, shards=shards), at=parts.opened_at)
    expected = parts.signals.frame.height + parts.prices.snapshots
    last_at = writer.append(parts.messages(), expected=expected, progress=progress)
    writer.bury(parts.rejects, at=last_at)
    return ImportReport(
        files=tuple(_count(t, r) for t, r in zip(tables.all, parts.rejects, strict=True)),
        rejects=tuple(count for item in parts.rejects for count in item.counts()),
        events=tuple(sorted(writer.counts.items())),
        topic_id=topic_id,
        shards=shards,
        first_at=parts.opened_at,
        last_at=last_at,
        session=settings.session.text,
        bar=None if parts.prices.bar is None else parts.prices.bar.text,
        notes=tuple(notes(tables.all, parts)),
    )


def _sieve(tables: _Tables, settings: ImportSettings) -> Parts:
    """Each table's accepted rows. Raises RowRefused for the first bad row of a strict import."""
    signals = read_signals(
        tables.signals, session=settings.session, dates_known_at=settings.dates_known_at
    )
    prices = read_prices(tables.prices, bar=settings.bar, session=settings.session)
    instruments = (
        Instruments()
        if tables.instruments is None
        else read_instruments(tables.instruments, session=settings.session)
    )
    currency = settings.currency or tables.book.currency
    parts = Parts.build(tables.book, signals, prices, instruments, currency=currency)
    if settings.strict:
        for rejects in parts.rejects:
            rejects.raise_first()
    return parts


def _check_currency(currency: str | None) -> None:
    if currency is not None and not (currency.isalnum() and 3 <= len(currency) <= 8):  # noqa: PLR2004 - as the language has it
        raise ImportFailed("--currency", f"no such {currency[:20]!r}", remedy="give e.g. USD")


def _count(table: Table, rejects: Rejects) -> FileCount:
    return FileCount(table.name, table.rows, table.rows - len(rejects), len(rejects))


def _digest_of_files(files: ImportFiles) -> str:
    paths = (files.signals, files.prices, files.portfolios, files.instruments)
    return _digest(_digest_of_file(path) for path in paths if path is not None)


def _digest_of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _digest_of_table(table: Table) -> bytes:
    rows = table.frame.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return hashlib.sha256("\n".join(rows.to_list()).encode()).digest()


def _digest(parts: Iterable[bytes]) -> str:
    """A short hash of the hashes of all parts, in their order."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
