"""A log folded into data frames, one per view, for notebooks and reports.

Place in the flow: a reader's end of `apply`; the same rows go to a database's sinks. Reads a log
only through its port and must never write one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

import polars as pl

from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from projections.apply import apply
from projections.rows import VIEWS, AsOf, Row
from schemas.entries import decode_journal, decode_output, opening
from schemas.market import PricesObserved
from schemas.signals import SignalIssued, SignalWithdrawn

__all__ = ["frames", "rows"]

_PRICES = opening(PricesObserved)
_SHARED = opening(PricesObserved, SignalIssued, SignalWithdrawn)
"""How entries begin that give no row (prices), or none in a later shard, where they are copies.

They are most of a journal, so they are not even decoded.
"""


def rows(reader: LogReader) -> Iterator[Row]:
    """Every row of a log: journals first, then decisions, shard by shard in the order of the log.

    Signals stand in every shard's journal; only the first shard's copy gives a row.
    """
    for turn, shard in enumerate(shards_in(reader, "journal")):
        skipped = _SHARED if turn else _PRICES
        for record in reader.read("journal", shard):
            if not record.payload.startswith(skipped):
                yield from apply(decode_journal(record.payload), AsOf(shard, record.position))
    for shard in shards_in(reader, "decisions"):
        for record in reader.read("decisions", shard):
            entry = decode_output(record.payload)
            yield from apply(entry, AsOf(shard, entry.seq))


def frames(reader: LogReader) -> dict[str, pl.DataFrame]:
    """One frame per view, by its name, with every row there ever was, not only a key's newest.

    Decimals become floats, times stay integer nanoseconds, as_of becomes two columns.
    """
    columns: dict[str, list[Row]] = {kind.view: [] for kind in VIEWS}
    for row in rows(reader):
        columns[row.view].append(row)
    return {kind.view: _frame(kind, columns[kind.view]) for kind in VIEWS}


_TYPES: dict[str, Any] = {
    "str": pl.String,
    "str | None": pl.String,
    "int": pl.Int64,
    "int | None": pl.Int64,
    "float": pl.Float64,
    "float | None": pl.Float64,
    "Decimal": pl.Float64,
    "Decimal | None": pl.Float64,
    "bool": pl.Boolean,
    "tuple[str, ...]": pl.List(pl.String),
    "tuple[float, ...]": pl.List(pl.Float64),
}


def _frame(kind: type[Row], found: Sequence[Row]) -> pl.DataFrame:
    names = [field for field in fields(kind) if field.name != "as_of"]
    table: dict[str, list[Any]] = {
        "as_of_shard": [row.as_of.shard for row in found],
        "as_of_seq": [row.as_of.seq for row in found],
    }
    schema: dict[str, Any] = {"as_of_shard": pl.Int64, "as_of_seq": pl.Int64}
    for field in names:
        schema[field.name] = _TYPES[str(field.type)]
        table[field.name] = [_plain(getattr(row, field.name)) for row in found]
    return pl.DataFrame(table, schema=schema)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return list(value) if isinstance(value, tuple) else value
