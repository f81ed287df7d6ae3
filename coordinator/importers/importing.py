"""Import: files or frames of a stranger become one log that the engine can replay.

Place in the flow: the orchestrator of this package: read, sieve, merge by time, journal, report.
The caller opens the log, names the engine's identity and decides what becomes of the file. Never
reads a clock: every time in the log comes from the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from coordinator.core.ports import Log
from coordinator.core.shards import SHARDS_DEFAULT
from coordinator.importers.actions import read_actions
from coordinator.importers.bars import Bar
from coordinator.importers.cash import read_cash
from coordinator.importers.errors import ImportFailed
from coordinator.importers.fills import read_fills
from coordinator.importers.inputs import TABLES, ImportFiles, ImportFrames
from coordinator.importers.instruments import read_instruments
from coordinator.importers.journal import Progress, Writer
from coordinator.importers.notes import notes
from coordinator.importers.outcomes import read_outcomes
from coordinator.importers.owners import Owners
from coordinator.importers.parts import Accepted, Parts
from coordinator.importers.portfolios import Book, load_book
from coordinator.importers.positions import read_positions
from coordinator.importers.prices import read_prices
from coordinator.importers.rates import read_rates
from coordinator.importers.read import read_table
from coordinator.importers.rejects import Rejects
from coordinator.importers.report import FileCount, ImportReport
from coordinator.importers.sessions import SESSION_DEFAULT, DatesKnownAt, Session
from coordinator.importers.signals import read_signals
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
    signals and fills are refused. currency: of portfolios that state none, and of instruments that
    state none (default: the first portfolio's). shards None: as many as portfolios, at most 8.
    strict: stop at the first bad row.
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
class _Given:
    """The tables that there are, by name in the order of the report, and the book.

    content: a short hash of it all; asked when every column is known to be sound.
    """

    tables: Mapping[str, Table]
    book: Book
    content: Callable[[], str]


def import_files(
    files: ImportFiles,
    settings: ImportSettings,
    *,
    log: Log,
    started: StartedAt,
    progress: Progress = lambda _done, _expected: None,
) -> ImportReport:
    """Write the log of some files; returns the report.

    log: empty; on an error it may hold a part and must be thrown away. Raises InputsMissing,
    ImportFailed, RowRefused.
    """
    files.check(currency=settings.currency)
    book = _book(files.portfolios, settings)
    tables = {name: read_table(path, TABLES[name]) for name, path in files.tables.items()}
    given = _Given(tables, book, lambda: _digest(map(_digest_of_file, files.paths)))
    return _import(given, settings, log=log, started=started, progress=progress)


def import_frames(
    frames: ImportFrames,
    settings: ImportSettings,
    *,
    log: Log,
    started: StartedAt,
    progress: Progress = lambda _done, _expected: None,
) -> ImportReport:
    """The same from polars frames; rejects name "signals row 1" for a frame's first row."""
    frames.check(currency=settings.currency)
    tables = {
        name: table_from_frame(frame, name=name, columns=TABLES[name])
        for name, frame in frames.tables.items()
    }
    book = _book(frames.portfolios, settings)
    given = _Given(tables, book, lambda: _digest(map(_digest_of_table, tables.values())))
    return _import(given, settings, log=log, started=started, progress=progress)


def _book(path: Path | None, settings: ImportSettings) -> Book:
    if path is None:
        return Book.without_file()
    return load_book(path, currency=settings.currency)


def _import(
    given: _Given,
    settings: ImportSettings,
    *,
    log: Log,
    started: StartedAt,
    progress: Progress,
) -> ImportReport:
    _check_currency(settings.currency)
    parts = _sieve(given, settings)
    rejects = {name: parts.accepted.rejects[name] for name in given.tables}
    shards = settings.shards or min(SHARDS_DEFAULT, len(parts.book.portfolios))
    topic_id = f"import-{given.content()}"
    writer = Writer(log, shards=shards, topic_id=topic_id)
    writer.start(started(at=parts.opened_at, shards=shards), at=parts.opened_at)
    expected = parts.accepted.expected
    last_at = writer.append(parts.messages(), expected=expected, progress=progress)
    writer.bury(rejects.values(), at=last_at)
    bar = parts.accepted.prices.bar
    return ImportReport(
        files=tuple(_count(table, rejects[name]) for name, table in given.tables.items()),
        rejects=tuple(count for item in rejects.values() for count in item.counts()),
        events=tuple(sorted(writer.counts.items())),
        topic_id=topic_id,
        shards=shards,
        first_at=parts.opened_at,
        last_at=last_at,
        session=settings.session.text,
        bar=None if bar is None else bar.text,
        notes=tuple(notes(given.tables.values(), parts)),
    )


def _sieve(given: _Given, settings: ImportSettings) -> Parts:
    """Each table's accepted rows. Raises RowRefused for the first bad row of a strict import."""
    owners = Owners.of(given.book, currency=settings.currency)
    accepted = _accepted(given.tables, settings, owners)
    parts = Parts.build(given.book, accepted, currency=owners.currency)
    if settings.strict:
        for rejects in accepted.rejects.values():
            rejects.raise_first()
    return parts


def _accepted(tables: Mapping[str, Table], settings: ImportSettings, owners: Owners) -> Accepted:
    session, dates = settings.session, settings.dates_known_at
    table = {name: tables.get(name) or Table.absent(name, TABLES[name]) for name in TABLES}
    return Accepted(
        signals=read_signals(table["signals"], session=session, dates_known_at=dates),
        prices=read_prices(table["prices"], bar=settings.bar, session=session),
        instruments=read_instruments(table["instruments"], session=session),
        fills=read_fills(table["fills"], session=session, dates_known_at=dates, owners=owners),
        positions=read_positions(table["positions"], session=session, owners=owners),
        cash=read_cash(table["cash"], session=session, owners=owners),
        actions=read_actions(table["actions"], session=session),
        rates=read_rates(table["rates"], session=session),
        outcomes=read_outcomes(table["outcomes"], session=session),
    )


def _check_currency(currency: str | None) -> None:
    if currency is not None and not (currency.isalnum() and 3 <= len(currency) <= 8):  # noqa: PLR2004 - as the language has it
        raise ImportFailed("--currency", f"no such {currency[:20]!r}", remedy="give e.g. USD")


def _count(table: Table, rejects: Rejects) -> FileCount:
    return FileCount(table.name, table.rows, table.rows - len(rejects), len(rejects))


def _digest_of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _digest_of_table(table: Table) -> bytes:
    rows = table.frame.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return hashlib.sha256("\n".join(rows.to_list()).encode()).digest()


def _digest(parts: Iterable[bytes]) -> str:
    """A short hash of the hashes of all parts, in their order."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
