"""Where two JSON trees differ, field by field.

Place in the flow: verify and the look-ahead audit compare bytes; when bytes differ, this names the
field. It must never decide whether a difference matters: that is the caller's rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pydantic_core import from_json

__all__ = ["ABSENT", "Difference", "Json", "differences", "differences_of_bytes"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

ABSENT = "(absent)"
"""Stands for the value of a field that one side does not have."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not the same. path: dotted, with [index] in lists; "" is the whole tree."""

    path: str
    recorded: Json
    derived: Json


def differences(recorded: Json, derived: Json, path: str = "") -> Iterator[Difference]:
    """Every difference between two trees, in the order of the recorded one's fields.

    A field that only one side has is reported once, with ABSENT for the other side; 1 and 1.0 are
    the same number, but true is not 1.
    """
    if isinstance(recorded, dict) and isinstance(derived, dict):
        for key in [*recorded, *(key for key in derived if key not in recorded)]:
            inner = f"{path}.{key}" if path else key
            yield from differences(recorded.get(key, ABSENT), derived.get(key, ABSENT), inner)
    elif isinstance(recorded, list) and isinstance(derived, list):
        for index in range(max(len(recorded), len(derived))):
            left = recorded[index] if index < len(recorded) else ABSENT
            right = derived[index] if index < len(derived) else ABSENT
            yield from differences(left, right, f"{path}[{index}]")
    elif not _same(recorded, derived):
        yield Difference(path, recorded, derived)


def differences_of_bytes(recorded: bytes, derived: bytes) -> tuple[Difference, ...]:
    """The differences of two JSON texts; of the texts themselves where one of them is not JSON."""
    try:
        trees = from_json(recorded), from_json(derived)
    except ValueError:
        return (Difference("", _text(recorded), _text(derived)),) if recorded != derived else ()
    found = tuple(differences(*trees))
    if not found and recorded != derived:
        return (Difference("", _text(recorded), _text(derived)),)
    return found


def _same(left: Json, right: Json) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "backslashreplace")
