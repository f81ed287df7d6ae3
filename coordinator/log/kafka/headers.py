"""CloudEvents headers of outputs, in binary mode, and what a producer's headers say of an input.

Place in the flow: at the edge to Kafka, beside the bytes of an event, never instead of them: every
header is made from the record's own bytes. It must never be needed to read a record of ours.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TypeAlias

from pydantic_core import from_json

__all__ = ["Headers", "input_type", "key_of", "output_headers"]

Headers: TypeAlias = list[tuple[str, bytes]]

_EVENT = b',"event":'
_HEAD_BYTES = 1_024
_SUBJECT = re.compile(rb'"(?:portfolio|source)":"((?:[^"\\]|\\.)*)"')
_DECIDED_AT = re.compile(rb'"decided_at":(\d{1,19})')
_TYPE = re.compile(r"(?:coordinator\.)?([A-Za-z]+)(?:\.v([0-9]{1,9}))?")


def key_of(entry: bytes) -> bytes | None:
    """The key of an output: its portfolio, else its source; None where it has neither."""
    head = entry.partition(_EVENT)[2][:_HEAD_BYTES]
    found = _SUBJECT.search(head)
    if found is None:
        return None
    text = found.group(1)
    return text if b"\\" not in text else str(from_json(b'"' + text + b'"')).encode()


def output_headers(entry: bytes, *, topic: str, shard: int) -> Headers:
    """CloudEvents 1.0 attributes of an output entry; none for bytes that are no entry."""
    head, found, event = entry.partition(_EVENT)
    if not found:
        return []
    try:
        fields = from_json(head + b"}")
        kind, seq = f"coordinator.{fields['type']}.v{fields['version']}", fields["seq"]
    except (ValueError, KeyError, TypeError):
        return []
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", f"/{topic}/{shard}".encode()),
        ("ce_id", f"{shard}:{seq}".encode()),
        ("content-type", b"application/json"),
    ]
    decided = _DECIDED_AT.search(event[:_HEAD_BYTES])
    if decided is not None:
        moment = datetime.fromtimestamp(int(decided.group(1)) // 1_000_000 / 1_000, UTC)
        headers.append(("ce_time", moment.isoformat(timespec="milliseconds").encode()))
    key = key_of(entry)
    return headers if key is None else [*headers, ("ce_subject", key)]


def input_type(headers: object) -> tuple[str | None, int | None]:
    """Event name and version that a producer's ce_type header tells; None where it does not."""
    if not isinstance(headers, list | tuple):
        return None, None
    for name, value in headers:
        if name == "ce_type" and isinstance(value, bytes):
            found = _TYPE.fullmatch(value.decode(errors="replace"))
            if found is not None:
                return found.group(1), int(found.group(2)) if found.group(2) else None
    return None, None
