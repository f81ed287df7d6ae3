"""Builders shared by the importers' tests: small tables of text, a whole import into memory."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from coordinator.core.ports import LogReader
from coordinator.core.route import DeadLetter, decode_dead_letter
from coordinator.importers.importing import ImportFiles, ImportSettings, import_files
from coordinator.importers.report import ImportReport
from coordinator.importers.sessions import SESSION_DEFAULT, Session
from coordinator.importers.tables import Columns, Table, table_from_frame
from coordinator.log.memory import MemoryLog
from schemas.base import InputEvent, parse_time
from schemas.entries import decode_journal
from schemas.journal import EngineStarted

NEW_YORK = Session.parse(SESSION_DEFAULT)
BOOK = """
[[portfolio]]
id = "one"
cash = "1000000"
currency = "USD"
"""
PRICES = """time,instrument,open,high,low,close,volume
2025-01-06,AAA,10,11,9,10.5,100
2025-01-07,AAA,10.5,12,10,11,200
"""
SIGNALS = """event_time,source,instrument,direction,strength
2025-01-06T20:00:00Z,s,AAA,buy,0.5
"""


def at(text: str) -> int:
    return parse_time(text)


def text_table(columns: Columns, *rows: dict[str, str]) -> Table:
    """A table as a CSV file would give it; row 1 is the first."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    frame = pl.DataFrame(
        {name: [row.get(name, "") for row in rows] for name in names},
        schema=dict.fromkeys(names, pl.String),
    )
    return table_from_frame(frame, name="rows", columns=columns)


def started(*, at: int, shards: int) -> EngineStarted:
    return EngineStarted(
        event_id="start",
        event_time=at,
        build="b",
        dependencies="d",
        fingerprint="f",
        shards=shards,
    )


def write_files(
    folder: Path,
    *,
    signals: str | bytes = SIGNALS,
    prices: str | bytes = PRICES,
    portfolios: str = BOOK,
    instruments: str | None = None,
) -> ImportFiles:
    def put(name: str, content: str | bytes) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return ImportFiles(
        put("signals.csv", signals),
        put("prices.csv", prices),
        put("portfolios.toml", portfolios),
        None if instruments is None else put("instruments.csv", instruments),
    )


def import_all(
    files: ImportFiles, settings: ImportSettings | None = None
) -> tuple[ImportReport, MemoryLog]:
    log = MemoryLog(clock=lambda: 0)
    report = import_files(files, settings or ImportSettings.default(), log=log, started=started)
    return report, log


def journal(log: LogReader, shard: int = 0) -> list[tuple[int, InputEvent]]:
    """(journal time, event) of a shard."""
    found = []
    for record in log.read("journal", shard):
        event = decode_journal(record.payload).event
        assert isinstance(event, InputEvent)
        found.append((record.journal_time, event))
    return found


def dead_letters(log: LogReader, topic: str) -> list[DeadLetter]:
    return [decode_dead_letter(record.payload) for record in log.read(f"{topic}.dlq", 0)]


def reasons(table_rejects: pl.DataFrame) -> list[str]:
    return table_rejects["reason"].to_list()
