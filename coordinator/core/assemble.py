"""Assemble: many lines of one kind of model, without validating each again.

Place in the flow: for outputs of hundreds of lines whose numbers were checked as columns and whose
texts come from inputs that were validated. Where a column does not pass, every line is validated,
and says what is wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from coordinator.core.ports import Floats
from schemas.base import Model

__all__ = ["is_sound", "lines_of"]

_LARGEST = 1e18
"""As `schemas.base.Finite`."""
Line = TypeVar("Line", bound=Model)
_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_fill, _fields_set, _extra, _private = (vars(BaseModel)[slot].__set__ for slot in _SLOTS)


def lines_of(kind: type[Line], rows: Iterable[dict[str, Any]], *, sound: bool) -> tuple[Line, ...]:
    """One model per row. rows: every field by name, in the model's order, each of its exact type.

    sound: all values are known to fit; otherwise each line is validated.
    """
    if not sound:
        return tuple(kind(**row) for row in rows)
    filled = tuple(rows)
    lines: tuple[Line, ...] = tuple(map(object.__new__, repeat(kind, len(filled))))
    # What validation makes of values that fit, one part of all lines after the other.
    _each(_fill, lines, filled)
    _each(_fields_set, lines, repeat(set(kind.model_fields)))
    _each(_extra, lines, repeat(None))
    _each(_private, lines, repeat(None))
    return lines


def _each(put: Callable[[Model, Any], None], lines: Sequence[Model], values: Iterable[Any]) -> None:
    """Put each line's value into it; a loop in C, as a decision has hundreds of lines."""
    deque(map(put, lines, values), maxlen=0)


def is_sound(*columns: Floats) -> bool:
    """Whether every number is finite and within what the schemas allow."""
    return all(bool((np.abs(column) <= _LARGEST).all()) for column in columns)
