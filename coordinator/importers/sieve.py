"""Sieve: parses a table column by column and keeps, for every row it refuses, the first reason.

Place in the flow: between a table and the importer of its topic. Works on whole columns, so that a
file of millions of rows takes seconds. Never mends a value: what is not plainly right is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import polars as pl
from pydantic import TypeAdapter, ValidationError

from coordinator.importers import times
from coordinator.importers.decimals import Exact, plain, spelled
from coordinator.importers.errors import ImportFailed
from coordinator.importers.rejects import Rejects
from coordinator.importers.tables import ROW, Table
from schemas.base import Name

__all__ = ["BARE", "Sieve", "is_name"]

BARE = "#bare"
"""Suffix of the column that tells where a time was a bare date."""

_RAW = "#raw"
_REASON = "#reason"
_SHOWN = "#shown"
_SHOWN_CHARS = 60
_PRICE_LEAST, _PRICE_MOST = 1e-9, 1e12
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_CURRENCY = r"^[A-Za-z0-9]{3,8}$"
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Sieve:
    """One table on its way to accepted rows; `frame` holds the parsed columns so far."""

    def __init__(self, table: Table, *, topic: str, optional: Iterable[str] = ()) -> None:
        self._table = table
        self._topic = topic
        absent = [name for name in optional if name not in table.frame.columns]
        self.frame = table.frame.with_columns(
            *(pl.lit(None, pl.String).alias(name) for name in absent),
            pl.lit(None, pl.String).alias(_REASON),
            pl.lit(None, pl.String).alias(_SHOWN),
        )

    def refuse(self, condition: pl.Expr, reason: str, *, shown: str | None = None) -> None:
        """Refuse rows not refused yet where the condition is true; shown: the culprit's column."""
        hit = pl.col(_REASON).is_null() & condition.fill_null(value=False)
        self.frame = self.frame.with_columns(hit.alias("#hit"))
        if self.frame["#hit"].any():
            value = pl.lit("") if shown is None else pl.col(shown).cast(pl.String).fill_null("")
            self.frame = self.frame.with_columns(
                pl.when("#hit").then(pl.lit(reason)).otherwise(_REASON).alias(_REASON),
                pl.when("#hit").then(value.str.head(_SHOWN_CHARS)).otherwise(_SHOWN).alias(_SHOWN),
            )
        self.frame = self.frame.drop("#hit")

    def refuse_rows(self, rows: pl.Series, reason: str, *, shown: str | None = None) -> None:
        """Refuse the rows of these numbers."""
        self.refuse(pl.col(ROW).is_in(rows.implode()), reason, shown=shown)

    def refuse_repeats(self, *columns: str, shown: str) -> None:
        """Refuse rows in which the columns say what those of an earlier standing row say."""
        again = self.standing().filter(~pl.struct(*columns).is_first_distinct())
        self.refuse_rows(again[ROW], f"{_joined(columns)} stood in an earlier row", shown=shown)

    def text(self, column: str, *, required: bool = False, wanted: str = "text") -> None:
        """Text without surrounding space; empty is null. Raises ImportFailed for another type.

        wanted: what the column should hold, in words.
        """
        kind = self.frame.schema[column]
        if kind in (pl.Categorical, pl.Enum) or kind.is_integer() or kind == pl.Null:
            self.frame = self.frame.with_columns(pl.col(column).cast(pl.String))
        elif kind != pl.String:
            raise self._mistyped(column, wanted)
        trimmed = pl.col(column).str.strip_chars()
        self.frame = self.frame.with_columns(
            pl.when(trimmed.str.len_bytes() > 0).then(trimmed).alias(column)
        )
        if required:
            self.refuse(pl.col(column).is_null(), f"{column} is missing")

    def name(self, column: str, *, required: bool = False) -> None:
        """A name as the language allows it: printable, one line, at most 128 characters."""
        self.text(column, required=required)
        bad = [value for value in self.frame[column].unique().drop_nulls() if not is_name(value)]
        if bad:
            self.refuse(
                pl.col(column).is_in(bad),
                f"{column} is no name (1 to 128 printable characters)",
                shown=column,
            )

    def choice(self, column: str, words: Iterable[str], *, required: bool = False) -> None:
        """One of some words, in any case."""
        self.text(column, required=required)
        lower = pl.col(column).str.to_lowercase()
        known = list(words)
        self.refuse(~lower.is_in(known), f"{column} is not {_joined(known, 'or')}", shown=column)
        self.frame = self.frame.with_columns(lower.alias(column))

    def currency(self, column: str) -> None:
        """A currency's code such as USD."""
        self.text(column)
        bad = ~pl.col(column).str.contains(_CURRENCY)
        self.refuse(bad, f"{column} is no currency (3 to 8 letters or digits)", shown=column)

    def decimal(self, column: str, kind: Exact, *, required: bool = False) -> None:
        """An exact number as text, spelled so that equal numbers are equal texts.

        Numbers in floats mean their shortest decimals. Raises ImportFailed for another type.
        """
        held = self.frame.schema[column]
        if held.is_float() or held.is_decimal():
            self.frame = self.frame.with_columns(spelled(self.frame[column]))
        self.text(column, required=required, wanted="exact numbers")
        raw = pl.col(column)
        read = pl.when(raw.str.contains(kind.pattern)).then(plain(raw))
        self.frame = self.frame.with_columns(raw.alias(_RAW), read.alias(column))
        for complaint, condition in kind.complaints(self.frame, column, raw=_RAW):
            self.refuse(condition, complaint, shown=_RAW)
        self.frame = self.frame.drop(_RAW)

    def number(self, column: str, *, required: bool = False) -> None:
        """A finite number as Float64; empty or null is null. Thousands separators are refused."""
        kind = self.frame.schema[column]
        if kind == pl.String:
            raw = pl.col(column).str.strip_chars()
            raw = pl.when(raw.str.len_bytes() > 0).then(raw)
            parsed = pl.when(raw.str.contains(_NUMBER)).then(raw).cast(pl.Float64, strict=False)
        elif kind.is_numeric() or kind == pl.Null:
            raw = pl.col(column).cast(pl.Float64, strict=False)
            parsed = raw
        else:
            raise self._mistyped(column, "numbers")
        self.frame = self.frame.with_columns(raw.alias(_RAW), parsed.alias(column))
        value = pl.col(column)
        self.refuse(
            pl.col(_RAW).is_not_null() & value.is_null(), f"{column} is not a number", shown=_RAW
        )
        self.refuse(~value.is_finite(), f"{column} is not a finite number", shown=_RAW)
        if required:
            self.refuse(value.is_null(), f"{column} is missing")
        self.frame = self.frame.drop(_RAW)

    def price(self, column: str, *, required: bool = False) -> None:
        """A number that a price can be."""
        self.number(column, required=required)
        outside = ~pl.col(column).is_between(_PRICE_LEAST, _PRICE_MOST, closed="right")
        self.refuse(outside, f"{column} is not above 0 and at most 1e12", shown=column)

    def time(
        self,
        column: str,
        *,
        bare: Callable[[pl.Series], pl.Series] | None,
        required: bool = False,
    ) -> None:
        """A time as Int64 nanoseconds UTC, with "<column>#bare" telling where it was a bare date.

        bare: what a column of dates means in nanoseconds; None: bare dates are refused.
        Raises ImportFailed for a typed column without zone, or of another type.
        """
        kind = self.frame.schema[column]
        if isinstance(kind, pl.Datetime) and kind.time_zone is None:
            raise ImportFailed(
                self._table.name,
                f"times in column {column} have no time zone",
                remedy="give them one (UTC), or write them as dates where a date is meant",
            )
        if kind == pl.Null:
            self.frame = self.frame.with_columns(pl.col(column).cast(pl.String))
        elif kind not in (pl.String, pl.Date, pl.Datetime) and not kind.is_integer():
            raise self._mistyped(column, "times")
        self.frame = times.parse(self.frame, column, raw=_RAW, bare_flag=column + BARE, bare=bare)
        for complaint, condition in times.complaints(
            column, raw=_RAW, bare_allowed=bare is not None
        ):
            self.refuse(condition, complaint, shown=_RAW)
        if required:
            self.refuse(pl.col(column).is_null(), f"{column} is missing")
        self.frame = self.frame.drop(_RAW)

    def standing(self) -> pl.DataFrame:
        """The rows not refused so far."""
        return self.frame.filter(pl.col(_REASON).is_null())

    def refused(self) -> pl.DataFrame:
        """The rows refused so far, as far as they were read."""
        return self.frame.filter(pl.col(_REASON).is_not_null())

    def refuse_all_of(self, groups: pl.DataFrame, reason: str) -> None:
        """Refuse the standing rows that agree with a row of `groups` in all of its columns."""
        theirs = self.standing().join(groups, on=groups.columns, how="semi")
        self.refuse_rows(theirs[ROW], reason)

    def rejects(self) -> Rejects:
        """The rows refused, with the rows that were unreadable from the start."""
        refused = self.refused().select(ROW, _REASON, _SHOWN)
        return Rejects.build(
            self._table, self._topic, refused.rename({_REASON: "reason", _SHOWN: "shown"})
        )

    def _mistyped(self, column: str, wanted: str) -> ImportFailed:
        kind = self.frame.schema[column]
        return ImportFailed(
            self._table.name,
            f"column {column} holds {kind}, {wanted} are needed",
            remedy="convert it before the import",
        )


def _joined(words: Sequence[str], last: str = "and") -> str:
    """Words in a sentence: one, two and three."""
    return f" {last} ".join([*filter(None, [", ".join(words[:-1])]), words[-1]])


def is_name(value: str) -> bool:
    """Whether the language allows it as a name."""
    try:
        _NAME.validate_python(value)
    except ValidationError:
        return False
    return True
