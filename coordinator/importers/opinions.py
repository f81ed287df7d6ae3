"""Opinions: the columns that say what a signal says, in any of its forms.

Place in the flow: read by `signals`, one table at a time. A row has exactly one form, as the event
does; what belongs to another form is refused, never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from coordinator.importers.sieve import Sieve, is_name

__all__ = ["FIFTHS", "FORM_COLUMNS", "OPINION_COLUMNS", "OPINION_FIELDS", "read_opinion"]

FIFTHS = tuple(f"quintile_{i}" for i in range(1, 6))
FORM_COLUMNS = (
    "direction",
    "expected_return",
    "target_weight",
    "rank",
    "probability_up",
    FIFTHS[0],
)
"""Of which a row has exactly one; of the quintiles the first stands for all."""
OPINION_COLUMNS = (
    "direction",
    "strength",
    "expected_return",
    "target_weight",
    "rank",
    "rank_of",
    "probability_up",
    *FIFTHS,
    "against",
    "confidence",
)
OPINION_FIELDS = (
    *(name for name in OPINION_COLUMNS if name not in (*FIFTHS, "against", "confidence")),
    "quintiles",
    "against",
    "confidence",
)
"""As the event has them."""
_DIRECTIONS = MappingProxyType(
    {"-1": -1, "-1.0": -1, "sell": -1, "0": 0, "0.0": 0, "hold": 0}
    | {"1": 1, "+1": 1, "1.0": 1, "buy": 1}
)
_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"expected_return": (-10.0, 10.0), "target_weight": (-100.0, 100.0)}
    | dict.fromkeys(("strength", "confidence", "probability_up", *FIFTHS), (0.0, 1.0))
    | {"rank": (1.0, 100_000.0), "rank_of": (2.0, 100_000.0)}
)
_FIFTHS_NAMED = ", ".join(FIFTHS)
_SUM_TOLERANCE = 0.01
_WEIGHT_MAX = 100.0
_LEGS_MAX = 100
_LEGS = pl.List(pl.Struct({"instrument": pl.String, "weight": pl.Float64}))


def read_opinion(sieve: Sieve) -> None:
    """Parse what each row says; afterwards the frame has the columns of `OPINION_FIELDS`."""
    _read_direction(sieve)
    for column, (least, most) in _BOUNDS.items():
        sieve.number(column)
        sieve.refuse(
            ~pl.col(column).is_between(least, most),
            f"{column} is not between {least:g} and {most:g}",
            shown=column,
        )
    _read_rank(sieve)
    _read_fifths(sieve)
    _read_legs(sieve)
    given = pl.sum_horizontal(pl.col(name).is_not_null() for name in FORM_COLUMNS)
    forms = ", ".join(FORM_COLUMNS)
    sieve.refuse(given > 1, f"more than one of {forms} is given")
    stray = pl.col("strength").is_not_null() & pl.col("direction").is_null()
    sieve.refuse(stray, "strength is given without a direction")
    sieve.refuse(given == 0, f"none of {forms} is given")


def _read_direction(sieve: Sieve) -> None:
    if sieve.frame.schema["direction"].is_float():
        whole = pl.col("direction").cast(pl.String)
        sieve.frame = sieve.frame.with_columns(whole.alias("direction"))
    sieve.text("direction")
    spelled = pl.col("direction").str.to_lowercase()
    known: Mapping[str, int] = _DIRECTIONS
    sieve.refuse(
        spelled.is_not_null() & ~spelled.is_in(list(known)),
        "direction is not -1, 0, 1, sell, hold or buy",
        shown="direction",
    )
    number = spelled.replace_strict(dict(known), default=None, return_dtype=pl.Int64)
    sieve.frame = sieve.frame.with_columns(number.alias("direction"))


def _read_rank(sieve: Sieve) -> None:
    rank, count = pl.col("rank"), pl.col("rank_of")
    for column in ("rank", "rank_of"):
        number = pl.col(column)
        sieve.refuse(number != number.round(), f"{column} is no whole number", shown=column)
    sieve.refuse(rank.is_not_null() != count.is_not_null(), "rank and rank_of go together")
    sieve.refuse(rank > count, "rank is above rank_of", shown="rank")
    sieve.frame = sieve.frame.with_columns(pl.col("rank", "rank_of").cast(pl.Int64, strict=False))


def _read_fifths(sieve: Sieve) -> None:
    given = pl.sum_horizontal(pl.col(name).is_not_null() for name in FIFTHS)
    sieve.refuse((given > 0) & (given < len(FIFTHS)), f"not all of {_FIFTHS_NAMED} are given")
    whole = pl.sum_horizontal(*FIFTHS)
    off = (given == len(FIFTHS)) & ((whole - 1.0).abs() > _SUM_TOLERANCE)
    sieve.refuse(off, f"{_FIFTHS_NAMED} do not add up to 1")
    together = pl.when(given == len(FIFTHS)).then(pl.concat_list(*FIFTHS))
    sieve.frame = sieve.frame.with_columns(together.alias("quintiles"))


def _read_legs(sieve: Sieve) -> None:
    """What the instrument is judged against: names, each with a weight or 1, between semicolons."""
    sieve.text("against")
    texts = sieve.frame["against"].unique().drop_nulls().to_list()
    legs: dict[str, list[dict[str, str | float]]] = {}
    faults: dict[str, list[str]] = {}
    for text in texts:
        try:
            legs[text] = _legs(text)
        except ValueError as error:
            faults.setdefault(str(error), []).append(text)
    for fault, told in faults.items():
        sieve.refuse(pl.col("against").is_in(told), fault, shown="against")
    column = sieve.frame["against"]
    parsed = pl.Series("#legs", [legs.get(text) for text in column], dtype=_LEGS)
    sieve.frame = sieve.frame.with_columns(parsed)
    names = pl.col("#legs").list.eval(pl.element().struct.field("instrument"))
    sieve.refuse(
        names.list.contains(pl.col("instrument")),
        "against names the instrument itself",
        shown="against",
    )
    alone = pl.col("rank").is_not_null() | pl.col("target_weight").is_not_null()
    sieve.refuse(
        pl.col("#legs").is_not_null() & alone, "against goes with no rank and no target weight"
    )
    sieve.frame = sieve.frame.drop("against").rename({"#legs": "against"})


def _legs(text: str) -> list[dict[str, str | float]]:
    """Sorted by name. Raises ValueError, which says what is wrong, for anything else."""
    found: dict[str, float] = {}
    for part in text.split(";"):
        name, has_weight, number = part.strip().rpartition("=")
        if not has_weight:
            name, number = part.strip(), "1"
        name = name.strip()
        if not is_name(name) or name in found:
            message = "against is not like BIRCH or BIRCH=0.5;CEDAR=0.5"
            raise ValueError(message)
        found[name] = _weight(number)
    if len(found) > _LEGS_MAX:
        message = f"against has more than {_LEGS_MAX} legs"
        raise ValueError(message)
    return [{"instrument": name, "weight": found[name]} for name in sorted(found)]


def _weight(text: str) -> float:
    message = f"against has a weight that is not above 0 and at most {_WEIGHT_MAX:g}"
    try:
        weight = float(text)
    except ValueError as error:
        raise ValueError(message) from error
    if not 0.0 < weight <= _WEIGHT_MAX:
        raise ValueError(message)
    return weight
