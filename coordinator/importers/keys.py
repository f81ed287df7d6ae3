"""Keys: a table's keys against those that the language knows, however deep they stand.

Place in the flow: `portfolios` asks before a table is parsed. The language ignores what it does not
know, so that old logs stay readable; what a person writes is refused by name instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from coordinator.importers.errors import ImportFailed
from schemas.base import Model

__all__ = ["refuse_unknown", "refuse_unknown_below"]

_NEAR = 3


def refuse_unknown(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raises ImportFailed with the first key that is not known, and those that look like it."""
    allowed = list(known)
    unknown = [key for key in table if key not in allowed]
    if not unknown:
        return
    near = get_close_matches(unknown[0], allowed, n=_NEAR)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ImportFailed(
        where, f"unknown key {unknown[0]!r}", remedy=f"{hint}known are: {', '.join(allowed)}"
    )


def refuse_unknown_below(
    table: Mapping[str, Any], model: type[Model], name: str, path: str
) -> None:
    """The same for every table within the table. path: its own, as the file writes it.

    What is no table where one belongs is left to the parser, which says what it misses.
    """
    for key, field in model.model_fields.items():
        inner, value = _model_in(field.annotation), table.get(key)
        if inner is None:
            continue
        below = f"{path}.{key}"
        if isinstance(value, Mapping):
            _refuse(value, inner, name, f"{name} [{below}]", below)
        elif isinstance(value, list):
            for number, entry in enumerate(value, 1):
                if isinstance(entry, Mapping):
                    _refuse(entry, inner, name, f"{name} [[{below}]] {number}", below)


def _refuse(table: Mapping[str, Any], model: type[Model], name: str, where: str, path: str) -> None:
    refuse_unknown(table, model.model_fields, where)
    refuse_unknown_below(table, model, name, path)


def _model_in(annotation: object) -> type[Model] | None:
    """The model that a field is, or is a list of, or may be."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one))), None)
