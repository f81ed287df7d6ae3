"""Builders shared by the importers' tests: small tables of text, a whole import into memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from coordinator.core.ports import LogReader
from coordinator.core.route import DeadLetter, decode_dead_letter
from coordinator.importers.importing import ImportFiles, ImportSettings, import_files
from coordinator.importers.messages import Message
from coordinator.importers.owners import Owners
from coordinator.importers.report import ImportReport
from coordinator.importers.sessions import SESSION_DEFAULT, Session
from coordinator.importers.tables import Columns, Table, table_from_frame
from coordinator.log.memory import MemoryLog
from schemas.base import InputEvent, parse_time
from schemas.entries import decode_journal
from schemas.journal import EngineStarted
from schemas.registry import parse_event

E = TypeVar("E", bound=InputEvent)

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


ANY_OWNER = Owners({}, "USD")
"""Rows may name any portfolio, and what states no currency is in dollars."""


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
    signals: str | bytes | None = SIGNALS,
    prices: str | bytes | None = PRICES,
    portfolios: str | None = BOOK,
    **more: str | None,
) -> ImportFiles:
    """More tables by their names; None: not given."""

    def put(name: str, content: str | bytes | None) -> Path | None:
        if content is None:
            return None
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    tables = {"signals": signals, "prices": prices, **more}
    given = {name: put(f"{name}.csv", content) for name, content in tables.items()}
    return ImportFiles(portfolios=put("portfolios.toml", portfolios), **given)


def write_book(folder: Path, **tables: str | None) -> ImportFiles:
    """The same without signals, prices and portfolios, unless they are among the tables."""
    nothing = dict.fromkeys(("signals", "prices", "portfolios"))
    return write_files(folder, **(nothing | tables))


def import_all(
    files: ImportFiles, settings: ImportSettings | None = None
) -> tuple[ImportReport, MemoryLog]:
    log = MemoryLog(clock=lambda: 0)
    report = import_files(files, settings or ImportSettings.default(), log=log, started=started)
    return report, log


def in_dollars(**changes: Any) -> ImportSettings:
    """The settings of books without a file of portfolios."""
    return dataclasses.replace(ImportSettings.default(), currency="USD", **changes)


def events(log: LogReader, *kinds: type[E], shard: int = 0) -> list[E]:
    """The events of some types in a shard's journal, in order."""
    return [event for _, event in journal(log, shard) if isinstance(event, kinds)]


def told(messages: Iterable[Message]) -> list[Any]:
    """The events that messages are, as the router would read them."""
    return [parse_event(item.event, 1, item.payload) for item in messages]


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
