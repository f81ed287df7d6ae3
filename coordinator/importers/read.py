"""Read: a CSV or Parquet file becomes a table of rows, or one clear error.

Place in the flow: the only part of an import that opens a table's file. Never drops a row silently:
what cannot be split into fields comes back as unreadable, with its bytes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from coordinator.importers.errors import ImportFailed
from coordinator.importers.files import regular_size
from coordinator.importers.tables import (
    LINE,
    ROW,
    Columns,
    Table,
    Unreadable,
    choose_columns,
    table_from_frame,
)

__all__ = ["LINE_BYTES_MAX", "ROWS_MAX", "read_table"]

LINE_BYTES_MAX = 1 << 20
"""A longer line is refused, and kept cut to this; a Parquet file with such a text is refused."""
ROWS_MAX = 50_000_000
_DENSE_ROWS = 1_000_000
_DENSE_BYTES = 1 / 20
"""More than so many rows need so many bytes each: fewer means rows of nothing, made to exhaust."""
_BLOCK_BYTES = 1 << 24
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: Path, columns: Columns) -> Table:
    """The rows of a .csv or .parquet file. Raises ImportFailed for a file that cannot be used."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise ImportFailed(str(path), "neither .csv nor .parquet", remedy="save it as one of them")
    if regular_size(path) == 0:
        raise ImportFailed(str(path), "it is empty", remedy="give a header and at least one row")
    try:
        return _read_csv(path, columns) if suffix == ".csv" else _read_parquet(path, columns)
    except OSError as error:
        raise ImportFailed(
            str(path), f"it cannot be read ({error.strerror or error})", remedy="check the path"
        ) from error


def _read_parquet(path: Path, columns: Columns) -> Table:
    try:
        schema = pl.read_parquet_schema(path)
        header = list(schema)
        chosen, ignored = choose_columns(path.name, header, columns)
        picked = [header[i] for i in chosen.values()]
        _check_parquet(path, {name: schema[name] for name in picked})
        frame = pl.read_parquet(path, columns=picked)
    except (ImportFailed, OSError, MemoryError):
        raise
    except BaseException as error:
        # A damaged file can make polars panic, which is no Exception; anything else must pass.
        if not isinstance(error, pl.exceptions.PolarsError | ValueError) and (
            type(error).__name__ != "PanicException"
        ):
            raise
        raise ImportFailed(
            path.name, "it is no readable Parquet file", remedy="write it again, or give a .csv"
        ) from error
    _refuse_long_texts(frame, path.name)
    table = table_from_frame(frame, name=path.name, columns=columns)
    return Table(table.name, table.frame, (), ignored)


def _check_parquet(path: Path, picked: Mapping[str, pl.DataType]) -> None:
    """Refuse by its footer what would not fit a memory, before any of it is read."""
    rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    if rows > ROWS_MAX:
        raise _too_many(path.name)
    if rows > _DENSE_ROWS and path.stat().st_size < rows * _DENSE_BYTES:
        raise ImportFailed(
            path.name,
            f"it claims {rows:,} rows in {path.stat().st_size:,} bytes",
            remedy="give rows that differ",
        )
    for name, kind in picked.items():
        if kind.is_nested() or kind == pl.Binary:
            raise ImportFailed(
                path.name,
                f"column {name} holds {kind}, not one plain value a row",
                remedy="convert it before the import",
            )


def _refuse_long_texts(frame: pl.DataFrame, name: str) -> None:
    for column in frame.select(pl.col(pl.String)).iter_columns():
        if bool((column.str.len_bytes() > LINE_BYTES_MAX).any()):
            raise ImportFailed(
                name,
                f"column {column.name} holds a text longer than {LINE_BYTES_MAX} bytes",
                remedy="cut it",
            )


def _too_many(name: str) -> ImportFailed:
    return ImportFailed(
        name, f"it has more than {ROWS_MAX:,} rows", remedy="import a part of it at a time"
    )


@dataclass(slots=True)
class _CsvRows:
    """What a CSV file's lines become, block by block."""

    indices: tuple[int, ...]
    names: tuple[str, ...]
    width: int
    frames: list[pl.DataFrame] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def refuse(self, row: int, reason: str, line: bytes) -> None:
        self.unreadable.append(Unreadable(row, reason, line[:LINE_BYTES_MAX]))

    def add(self, numbers: list[int], lines: list[str]) -> None:
        """Split lines into fields; the common line without quotes goes the fast way."""
        plain = pl.DataFrame(
            {ROW: numbers, LINE: lines}, schema={ROW: pl.Int64, LINE: pl.String}
        ).with_columns(pl.col(LINE).str.contains('"', literal=True).alias("quoted"))
        split = plain.filter(~pl.col("quoted")).with_columns(
            pl.col(LINE).str.split(",").alias("fields")
        )
        whole = split.filter(pl.col("fields").list.len() == self.width)
        self._take(whole)
        for row, line, fields in (
            split.filter(pl.col("fields").list.len() != self.width)
            .select(ROW, LINE, pl.col("fields").list.len())
            .iter_rows()
        ):
            self.refuse(row, self._miscounted(fields), line.encode())
        quoted = plain.filter(pl.col("quoted")).select(ROW, LINE)
        if quoted.height:
            self._take(self._unquoted(quoted))

    def _unquoted(self, quoted: pl.DataFrame) -> pl.DataFrame:
        kept: list[tuple[int, str, list[str]]] = []
        for row, line in quoted.iter_rows():
            try:
                fields = _fields(line)
            except csv.Error as error:
                self.refuse(row, f"its quotes cannot be read ({error})", line.encode())
                continue
            if len(fields) == self.width:
                kept.append((row, line, fields))
            else:
                self.refuse(row, self._miscounted(len(fields)), line.encode())
        return pl.DataFrame(
            kept,
            schema={ROW: pl.Int64, LINE: pl.String, "fields": pl.List(pl.String)},
            orient="row",
        )

    def _take(self, split: pl.DataFrame) -> None:
        picked = (
            pl.col("fields").list.get(i).alias(name)
            for i, name in zip(self.indices, self.names, strict=True)
        )
        self.frames.append(split.select(ROW, LINE, *picked))

    def _miscounted(self, fields: int) -> str:
        return f"it has {fields} fields, the header has {self.width}"


def _read_csv(path: Path, columns: Columns) -> Table:
    with path.open("rb") as file:
        header = _header(path.name, file.readline(LINE_BYTES_MAX))
        chosen, ignored = choose_columns(path.name, header, columns)
        rows = _CsvRows(tuple(chosen.values()), tuple(chosen), len(header))
        number = 2
        while block := file.readlines(_BLOCK_BYTES):
            _add_block(rows, number, block)
            number += len(block)
            if number > ROWS_MAX + 2:
                raise _too_many(path.name)
    if not any(frame.height for frame in rows.frames) and not rows.unreadable:
        raise ImportFailed(path.name, "it has a header and no rows", remedy="give at least one row")
    frame = pl.concat(rows.frames).sort(ROW)
    return Table(path.name, frame, tuple(rows.unreadable), ignored)


def _header(name: str, line: bytes) -> list[str]:
    """The header's fields. Raises ImportFailed for other encodings, separators and formats."""
    if line.startswith(_UTF16_BOMS):
        raise ImportFailed(name, "it is UTF-16, not UTF-8", remedy="save it as CSV UTF-8")
    try:
        text = line.removeprefix(_BOM).decode().rstrip("\r\n")
        fields = _fields(text)
    except UnicodeDecodeError as error:
        raise ImportFailed(
            name, "its header is not UTF-8 text", remedy="save it as CSV UTF-8"
        ) from error
    except csv.Error as error:
        raise ImportFailed(
            name, f"its header cannot be read ({error})", remedy="give plain column names"
        ) from error
    if len(fields) == 1 and any(mark in text for mark in ";\t|"):
        raise ImportFailed(
            name, "its columns are not separated by commas", remedy="save it with commas"
        )
    return fields


def _fields(line: str) -> list[str]:
    """Fields of one line. A quoted field ends there: an open quote must not eat a file's rest."""
    return next(csv.reader([line], strict=True), [])


def _add_block(rows: _CsvRows, first: int, block: list[bytes]) -> None:
    numbers, lines = [], []
    for number, line in _decoded(rows, first, block):
        if line and not line.isspace():
            numbers.append(number)
            lines.append(line)
    rows.add(numbers, lines)


def _decoded(rows: _CsvRows, first: int, block: list[bytes]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(block, first):
        if len(line) > LINE_BYTES_MAX:
            rows.refuse(number, f"it is longer than {LINE_BYTES_MAX} bytes", line)
            continue
        try:
            yield number, line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            rows.refuse(number, "it is not UTF-8 text", line.rstrip(b"\r\n"))
