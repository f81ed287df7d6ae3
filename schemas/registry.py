"""Every event by name and version, and how old versions become new ones on read.

The one place that knows the whole language. Adding an event is adding its class to a
module's __all__; changing one incompatibly is a new version with an upcast from the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from schemas import (
    books,
    constraints,
    control,
    decisions,
    journal,
    market,
    orders,
    outcomes,
    panes,
    portfolios,
    signals,
    sleeves,
    verdicts,
)
from schemas.base import Event, InputEvent, OutputEvent

__all__ = [
    "EVENTS",
    "INPUT_TOPICS",
    "OUTPUTS",
    "UPCASTS",
    "SchemaError",
    "event_type",
    "parse_event",
]


class SchemaError(ValueError):
    """Bytes that are no event of ours: unknown name or version, or a field that does not fit."""


Fields = dict[str, Any]
Upcast = Callable[[Fields], Fields]

_MODULES = (
    signals,
    market,
    portfolios,
    orders,
    constraints,
    outcomes,
    control,
    journal,
    verdicts,
    decisions,
    books,
    panes,
    sleeves,
)


def _concrete(module: ModuleType) -> dict[str, type[Event]]:
    """Events that a module makes public: its base classes are not in its __all__."""
    found = {}
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, type) and issubclass(thing, Event):
            found[name] = thing
    return found


EVENTS: MappingProxyType[str, type[Event]] = MappingProxyType(
    {name: cls for module in _MODULES for name, cls in _concrete(module).items()}
)
"""Event classes by name, in the order of the data flow."""

OUTPUTS = tuple(name for name, cls in EVENTS.items() if issubclass(cls, OutputEvent))
"""Names of what the engine says."""

INPUT_TOPICS = tuple(
    dict.fromkeys(
        cls.topic
        for cls in EVENTS.values()
        if issubclass(cls, InputEvent) and cls.topic != "journal"
    )
)
"""Topics that producers write to."""

UPCASTS: dict[tuple[str, int], Upcast] = {}
"""(name, version) to the function that turns its fields into the next version's.

It gets the fields as JSON gave them, unchecked, and may raise KeyError, TypeError or ValueError.
"""


def event_type(name: str) -> type[Event]:
    """The class of an event name. Raises SchemaError when there is none."""
    found = EVENTS.get(name) if type(name) is str else None
    if found is None:
        message = f"unknown event {str(name)[:64]!r}"
        raise SchemaError(message)
    return found


def parse_event(name: str, version: int, payload: bytes) -> Event:
    """The event in payload, brought to the newest version.

    Raises SchemaError for an unknown name, a version newer than ours, or fields that do not fit,
    and nothing else, whatever the bytes.
    """
    cls = event_type(name)
    if type(version) is not int or version != cls.version:
        payload = _upcast(cls, name, version, payload)
    try:
        event: Event = cls.__pydantic_validator__.validate_json(payload)
    except ValidationError as error:
        raise SchemaError(_first_problem(name, error)) from error
    return event


def _upcast(cls: type[Event], name: str, version: int, payload: bytes) -> bytes:
    """The payload as the newest version would have been written."""
    if type(version) is not int or not 1 <= version <= cls.version:
        # A longer number, or anything else, is not worth showing.
        given = version if type(version) is int and abs(version) < 10**9 else "of that kind"
        message = f"{name} version {given} is not known here (newest: {cls.version})"
        raise SchemaError(message)
    try:
        fields = from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        message = f"{name}: {error}"
        raise SchemaError(message) from error
    if not isinstance(fields, dict):
        message = f"{name}: not a JSON object"
        raise SchemaError(message)
    for step in range(version, cls.version):
        try:
            fields = UPCASTS[name, step](fields)
        except (KeyError, TypeError, ValueError) as error:
            message = f"{name} version {version} cannot be read as version {step + 1}: {error!r}"
            raise SchemaError(message[:500]) from error
    return to_json(fields)


def _first_problem(name: str, error: ValidationError) -> str:
    """The first thing wrong, with its field, in one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{name}{'.' + where if where else ''}: {first['msg']}{more}"[:500]
