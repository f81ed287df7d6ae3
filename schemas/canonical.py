"""Canonical bytes: the same event gives the same bytes, everywhere and always.

UTF-8 JSON without spaces, fields in the order of the model, absent fields left out, floats in their
shortest exact spelling, decimals without exponent or trailing zeros, times as integer nanoseconds.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from schemas.base import Model

__all__ = ["canonical_bytes", "digest"]


def canonical_bytes(event: Model) -> bytes:
    """The event's one spelling in bytes.

    Raises ValueError when a number is not finite, which only an unvalidated model can hold.
    """
    raw = event.__pydantic_serializer__.to_json(event, exclude_none=True)
    if b"-0.0" in raw or b'"NaN"' in raw or b'Infinity"' in raw:
        return _respelled(event)
    return raw


def digest(data: bytes) -> str:
    """SHA-256 of data in hexadecimal: the hash used for content, chains and states."""
    return hashlib.sha256(data).hexdigest()


def _respelled(event: Model) -> bytes:
    """The slow way, for the rare event whose text looks like a number that has two spellings."""
    tree = event.model_dump(mode="python", exclude_none=True)
    _refuse_not_finite(tree)
    plain = json.loads(event.__pydantic_serializer__.to_json(event, exclude_none=True))
    return json.dumps(_unsigned_zeros(plain), ensure_ascii=False, separators=(",", ":")).encode()


def _refuse_not_finite(node: Any) -> None:  # noqa: ANN401 - a JSON tree has no narrower type
    if isinstance(node, float) and not math.isfinite(node):
        message = "an event holds a number that is not finite"
        raise ValueError(message)
    if isinstance(node, dict):
        for value in node.values():
            _refuse_not_finite(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _refuse_not_finite(value)


def _unsigned_zeros(node: Any) -> Any:  # noqa: ANN401 - a JSON tree has no narrower type
    if isinstance(node, float):
        return node + 0.0
    if isinstance(node, dict):
        return {key: _unsigned_zeros(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_unsigned_zeros(value) for value in node]
    return node
