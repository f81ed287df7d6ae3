"""Tables: files and frames with their row numbers, before anything in them is believed.

Place in the flow: first step of an import. A CSV file arrives as text, field by field, so that one
bad field costs one row; a Parquet file or a polars frame keeps its own types. Never parses a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import polars as pl

from coordinator.importers.errors import ImportFailed

__all__ = ["LINE", "ROW", "Columns", "Table", "Unreadable", "choose_columns", "table_from_frame"]

ROW = "#row"
LINE = "#line"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns a file must and may have; every other column is ignored and named."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def known(self) -> tuple[str, ...]:
        """All of them."""
        return self.required + self.optional


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that did not even become fields. payload: its bytes, unchanged."""

    row: int
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one file.

    frame: columns "#row" (1-based; a CSV file's header is row 1), "#line" (a CSV file's own text,
    else null) and those of the known columns that the file has. ignored: names of its other
    columns.
    """

    name: str
    frame: pl.DataFrame
    unreadable: tuple[Unreadable, ...] = ()
    ignored: tuple[str, ...] = ()

    @classmethod
    def absent(cls, name: str, columns: Columns) -> Self:
        """The table of a file that was not given: no rows, and every column that there could be."""
        schema = {ROW: pl.Int64} | dict.fromkeys((LINE, *columns.known), pl.String())
        return cls(name, pl.DataFrame(schema=schema))

    @property
    def rows(self) -> int:
        """Rows read, the unreadable ones included."""
        return self.frame.height + len(self.unreadable)


def choose_columns(
    name: str, header: list[str], columns: Columns
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Index of each known column in the header, and the names of the others.

    Names are compared without case and surrounding space. Raises ImportFailed for a missing or a
    doubled one.
    """
    plain = [field.strip().casefold() for field in header]
    missing = [wanted for wanted in columns.required if wanted not in plain]
    if missing:
        raise ImportFailed(
            name,
            f"column {', '.join(missing)} is missing (it has: {_shown(header)})",
            remedy=f"name the columns {', '.join(columns.required)}",
        )
    doubled = [known for known in columns.known if plain.count(known) > 1]
    if doubled:
        raise ImportFailed(
            name, f"column {', '.join(doubled)} stands there twice", remedy="keep one of them"
        )
    chosen = {known: plain.index(known) for known in columns.known if known in plain}
    taken = set(chosen.values())
    ignored = tuple(field for i, field in enumerate(header) if i not in taken)
    return chosen, ignored


def table_from_frame(frame: pl.DataFrame, *, name: str, columns: Columns) -> Table:
    """The table of a polars frame: row 1 is its first row. Raises ImportFailed."""
    chosen, ignored = choose_columns(name, frame.columns, columns)
    if frame.is_empty():
        raise ImportFailed(name, "it has no rows", remedy="give at least one")
    source = frame.columns
    picked = frame.select(pl.col(source[i]).alias(known) for known, i in chosen.items())
    numbered = picked.with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW),
        pl.lit(None, pl.String).alias(LINE),
    )
    return Table(name, numbered, (), ignored)


def _shown(header: list[str]) -> str:
    return ", ".join(repr(field[:40]) for field in header[:20]) or "none"
