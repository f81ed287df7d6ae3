"""The event base classes and the field types all events share.

Place in the flow: imported by every event module; never reads a clock and never imports one of
ours. Units: times are integer nanoseconds UTC; money and quantities are decimals written as
strings; weights, returns and probabilities are floats (fractions).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

__all__ = [
    "Amount",
    "Balance",
    "Currency",
    "Event",
    "Finite",
    "Holdings",
    "InputEvent",
    "Model",
    "Money",
    "Name",
    "Origin",
    "OutputEvent",
    "Price",
    "Probability",
    "Quantity",
    "Reference",
    "Size",
    "Text",
    "Timestamp",
    "UnitPrice",
    "parse_time",
]

TIME_MAX = 2**62  # the year 2116; leaves room for sums of durations in 64 bits
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)

DIGITS_MAX = 40
PLACES_MAX = 12  # decimal places of money and quantities
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,12})?")


def parse_time(value: object) -> int:
    """Integer nanoseconds UTC from an integer or an RFC 3339 text with an offset.

    Raises ValueError for naive times, bare dates, booleans and floats: what they mean is not known.
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        match = _RFC3339.fullmatch(value)
        if match is None:
            message = "time must be integer nanoseconds or RFC 3339 with Z or an offset"
            raise ValueError(message)
        day, clock, fraction, zone = match.groups()
        # Subtracting aware datetimes also works where the time in UTC has no year of four digits.
        whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        seconds = (whole - _EPOCH) // _SECOND
        return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
    message = "time must be integer nanoseconds or RFC 3339 text"
    raise ValueError(message)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_ZERO = Decimal(0)
# 19 digits before the point and 12 after it fit; the thread's own context would round at 28.
_EXACT = Context(prec=60)


def _spelled(value: Decimal) -> str:
    return format(value, "f")


def _is_exact(value: object) -> bool:
    """Whether value is a Decimal that canonical bytes spell without rounding."""
    if type(value) is not Decimal or not value.is_finite() or value.copy_abs() >= 10**DIGITS_MAX:
        return False
    short = value.normalize(_EXACT)
    exponent = short.as_tuple().exponent
    return short == value and isinstance(exponent, int) and exponent >= -PLACES_MAX


def _decimal(what: str, *, largest: int, least: str | None = None) -> object:
    """The annotation of an exact number: text or integer in, no trailing zeros, no negative zero.

    A float is refused: it has lost digits already. One function does all checks, because money and
    quantities are on the hot path of every fill. least: smallest value allowed, default -largest.
    """
    floor = Decimal(-largest) if least is None else Decimal(least)
    ceiling = Decimal(largest)

    def exact(value: object) -> Decimal:
        if type(value) is str:
            if _DECIMAL.fullmatch(value) is None:
                message = "must be a decimal string such as 1234.50"
                raise ValueError(message)
        elif type(value) is not int and not _is_exact(value):
            message = "must be a decimal string such as 1234.50"
            raise ValueError(message)
        number = Decimal(value)  # type: ignore[arg-type] # text, integer or Decimal by now
        if not floor <= number <= ceiling:
            message = f"must lie between {floor} and {ceiling:.0E}"
            raise ValueError(message)
        return number.normalize(_EXACT) if number else _ZERO

    schema = {
        "type": "string",
        "format": "decimal",
        "pattern": f"^{_DECIMAL.pattern}$",
        "x-minimum": _spelled(floor),
        "x-maximum": _spelled(ceiling),
        "description": what,
    }
    return Annotated[
        Decimal,
        PlainValidator(exact, json_schema_input_type=str),
        PlainSerializer(_spelled, return_type=str, when_used="json"),
        WithJsonSchema(schema),
    ]


_NAME = r"^[^\p{C}\p{Z}](?:[^\p{C}\p{Zl}\p{Zp}]*[^\p{C}\p{Z}])?$"

if TYPE_CHECKING:
    Timestamp: TypeAlias = int
else:
    Timestamp = Annotated[
        Annotated[int, Field(ge=0, lt=TIME_MAX)]
        | Annotated[str, AfterValidator(parse_time), Field(ge=0, lt=TIME_MAX)],
        Field(union_mode="left_to_right"),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 0, "maximum": TIME_MAX - 1},
                    {"type": "string", "format": "date-time"},
                ],
                "description": "UTC: integer nanoseconds since 1970 or RFC 3339",
            },
            mode="validation",
        ),
        WithJsonSchema(
            {
                "type": "integer",
                "minimum": 0,
                "maximum": TIME_MAX - 1,
                "description": "UTC: integer nanoseconds since 1970",
            },
            mode="serialization",
        ),
    ]
Name = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=128,
        pattern=_NAME,
    ),
    # Not every reader of JSON Schema knows the classes of Unicode, so the pattern stands beside.
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 128, "x-pattern": _NAME}),
]
"""Printable, on one line, without leading or trailing space."""
Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512, pattern=_NAME),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 512, "x-pattern": _NAME}),
]
"""Names joined: "source/signal_id", "portfolio:round", "portfolio:round:instrument"."""
Text = Annotated[str, Field(max_length=2000)]
Currency = Annotated[str, Field(min_length=3, max_length=8)]
"""A code such as USD."""
Finite = Annotated[float, Field(ge=-1e18, le=1e18)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Price = Annotated[float, Field(gt=1e-9, le=1e12)]

if TYPE_CHECKING:
    Money: TypeAlias = Decimal
    Balance: TypeAlias = Decimal
    Holdings: TypeAlias = Decimal
    Amount: TypeAlias = Decimal
    UnitPrice: TypeAlias = Decimal
    Quantity: TypeAlias = Decimal
    Size: TypeAlias = Decimal
else:
    Money = _decimal("money as a decimal string", largest=10**18)
    Amount = _decimal("money as a decimal string, not negative", largest=10**18, least="0")
    UnitPrice = _decimal("money per unit as a decimal string", largest=10**12, least="1e-12")
    Balance = _decimal("money as a decimal string, as large as books grow", largest=10**36)
    Holdings = _decimal("units as a decimal string, as large as books grow", largest=10**30)
    Quantity = _decimal("units as a decimal string", largest=10**15)
    Size = _decimal("units as a decimal string, not negative", largest=10**15, least="0")


class Origin(StrEnum):
    """Why an input exists, which decides what a replay does with it.

    EXOGENOUS: the world said it; every replay uses it. FEEDBACK: it answers one of our decisions;
    verify uses it, what-if makes it anew. CLOCK: time and the engine's own life.
    """

    EXOGENOUS = "exogenous"
    FEEDBACK = "feedback"
    CLOCK = "clock"


class Model(BaseModel):
    """Frozen, finite, strict in types, tolerant of fields it does not know."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        ser_json_inf_nan="strings",
        revalidate_instances="never",
        use_attribute_docstrings=True,
    )


class Event(Model):
    """A past fact. `version` counts incompatible shapes of one name, starting at 1."""

    version: ClassVar[int] = 1
    topic: ClassVar[str]


class InputEvent(Event):
    """What somebody told us: with its producer's own id and time."""

    origin: ClassVar[Origin]

    event_id: Name
    """Unique per producer; a second event with it is a duplicate."""
    event_time: Timestamp
    """When the producer says it happened."""


class OutputEvent(Event):
    """What the engine said; with no shard, position or tick, so that its bytes depend on none."""

    topic: ClassVar[str] = "decisions"

    decided_at: Annotated[int, Field(ge=0, lt=TIME_MAX)]
    """The engine's clock, nanoseconds UTC."""
