"""Times: columns of RFC 3339 text, integers, dates or zoned datetimes become nanoseconds UTC.

Place in the flow: used by the sieve. The rules are those of the language (schemas.base.parse_time),
for whole columns, and two more: an integer that can only be seconds, milliseconds or microseconds
is refused, and what a bare date means is for the caller to say. Never guesses a zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from schemas.base import TIME_MAX

__all__ = ["INTEGER_MIN", "TIME_LEAST", "TIME_MOST", "calendar", "complaints", "parse"]

_DAY = 86_400_000_000_000
TIME_LEAST = 7 * _DAY
"""Earliest time an import takes: room for the session before it and the opening records."""
TIME_MOST = TIME_MAX - 7 * _DAY
INTEGER_MIN = 10**17
"""Smaller integers (before March 1973) are taken for seconds, milliseconds or microseconds."""

_SPELLED_S = 200_000_000_000
_BEYOND = "a moment beyond any calendar"
_INTEGER = r"^[0-9]{1,19}$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_NAIVE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?$"
_RFC3339 = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))$"
)


def parse(
    frame: pl.DataFrame,
    column: str,
    *,
    raw: str,
    bare_flag: str,
    bare: Callable[[pl.Series], pl.Series] | None,
) -> pl.DataFrame:
    """The frame with `column` as Int64 ns or null, its text in `raw`, and `bare_flag`."""
    kind = frame.schema[column]
    if kind == pl.String:
        text = pl.col(column).str.strip_chars()
        frame = frame.with_columns(pl.when(text.str.len_bytes() > 0).then(text).alias(raw))
        moment, day = _of_text(raw), pl.col(raw).str.to_date("%Y-%m-%d", strict=False)
        day = pl.when(pl.col(raw).str.contains(_DATE)).then(day)
    else:
        frame = frame.with_columns(_shown(column, kind).alias(raw))
        day = pl.col(column) if kind == pl.Date else pl.lit(None, pl.Date)
        moment = pl.lit(None, pl.Int64) if kind == pl.Date else _of_typed(column, kind)
    frame = frame.with_columns(moment.alias(column), day.alias("#day"))
    frame = frame.with_columns(pl.col("#day").is_not_null().alias(bare_flag))
    if bare is not None and frame[bare_flag].any():
        years = pl.col("#day").dt.year()
        covered = frame.select(pl.when(years.is_between(1970, 2115)).then("#day").alias("#day"))
        frame = frame.with_columns(pl.col(column).fill_null(bare(covered["#day"])))
    return frame.drop("#day")


def complaints(column: str, *, raw: str, bare_allowed: bool) -> Iterator[tuple[str, pl.Expr]]:
    """Reasons to refuse a row for its time, each with its condition; the first counts."""
    text, value = pl.col(raw), pl.col(column)
    unread = text.is_not_null() & value.is_null()
    if not bare_allowed:
        yield (
            f"{column} is a bare date (say what it means: --dates-known-at)",
            pl.col(column + "#bare"),
        )
    yield f"{column} has no time zone", unread & text.str.contains(_NAIVE)
    yield (
        f"{column} is no moment of the years 1970 to 2115",
        unread & (text.str.contains(_DATE) | text.str.contains(_RFC3339)),
    )
    yield (
        f"{column} is no time (RFC 3339 with Z or an offset, or integer nanoseconds)",
        unread,
    )
    yield (
        f"{column} is too small for nanoseconds since 1970",
        text.str.contains(_INTEGER) & (value < INTEGER_MIN),
    )
    yield (
        f"{column} is no moment of the years 1970 to 2115",
        ~value.is_between(TIME_LEAST, TIME_MOST),
    )


def calendar(column: str) -> pl.Expr:
    """Whether a typed time can be spelled at all."""
    return pl.col(column).dt.epoch("s").is_between(-_SPELLED_S, _SPELLED_S)


def _shown(column: str, kind: pl.DataType) -> pl.Expr:
    """A typed time as text. Polars cannot spell a moment beyond the calendar: it is not tried."""
    if not isinstance(kind, pl.Datetime):
        return pl.col(column).cast(pl.String)
    inside = calendar(column)
    safe = pl.when(inside).then(pl.col(column)).otherwise(pl.lit(0).cast(kind))
    text = pl.when(inside).then(safe.cast(pl.String)).otherwise(pl.lit(_BEYOND))
    return pl.when(pl.col(column).is_not_null()).then(text)


def _of_typed(column: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        # Seconds first: a far-away time in milliseconds would overflow as nanoseconds.
        seconds = pl.col(column).dt.epoch("s")
        inside = seconds.is_between(TIME_LEAST // 10**9, TIME_MOST // 10**9)
        moment = pl.when(inside).then(pl.col(column)).dt.epoch("ns")
        return pl.when(seconds.is_not_null()).then(moment.fill_null(0))
    return pl.col(column).cast(pl.Int64, strict=False)


def _of_text(raw: str) -> pl.Expr:
    integer = pl.when(pl.col(raw).str.contains(_INTEGER)).then(pl.col(raw))
    group = pl.col(raw).str.extract_groups(_RFC3339).struct
    day = group.field("1").str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64)
    clock = [group.field(str(i)).cast(pl.Int64) for i in (2, 3, 4)]
    fraction = group.field("5").fill_null("").str.pad_end(9, "0").cast(pl.Int64, strict=False)
    sign = pl.when(group.field("7") == "-").then(-1).otherwise(1)
    offset = sign * (
        group.field("8").cast(pl.Int64) * 60 + group.field("9").cast(pl.Int64)
    ).fill_null(0)
    seconds = day * 86_400 + clock[0] * 3_600 + (clock[1] - offset) * 60 + clock[2]
    inside = seconds.is_between(-(2**31), TIME_MAX // 10**9 + 2**31)
    rfc = pl.when(inside).then(seconds * 1_000_000_000 + fraction)
    return pl.coalesce(rfc, integer.cast(pl.Int64, strict=False))
