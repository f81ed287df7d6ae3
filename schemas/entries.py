"""How events stand in a log: journal entries (inputs, their origin) and output entries (chained).

Each entry is one JSON object with its header first and its event last, so that a reader can take
the event without parsing twice, and anybody can read the log with a JSON tool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from schemas.base import Event
from schemas.canonical import canonical_bytes, digest
from schemas.registry import SchemaError, parse_event

__all__ = [
    "GENESIS",
    "JournalEntry",
    "OutputEntry",
    "Stamp",
    "decode_journal",
    "decode_output",
    "encode_journal",
    "encode_output",
]

GENESIS = "0" * 64
"""prev_hash of a shard's first output."""
_EVENT = b',"event":'
_JOURNAL_FIELDS: dict[str, type] = {
    "type": str,
    "version": int,
    "topic": str,
    "topic_id": str,
    "partition": int,
    "offset": int,
    "appended_at": int,
}
_OUTPUT_FIELDS: dict[str, type] = {
    "type": str,
    "version": int,
    "position": int,
    "ordinal": int,
    "seq": int,
    "prev": str,
}
_PLAIN = rb'"([ !#-\[\]-~]*)"'  # a text that JSON spells without an escape
_COUNT = rb"(-?(?:0|[1-9][0-9]{0,18}))"
# Decoding is the hot path of every replay: this reads the header as encode_journal writes it in
# half a JSON parser's time; what it does not match is left to one.
_JOURNAL_HEAD = re.compile(
    b"{"
    + b",".join(
        b'"%b":%b' % (field.encode(), _PLAIN if kind is str else _COUNT)
        for field, kind in _JOURNAL_FIELDS.items()
    )
    + _EVENT
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where an input came from.

    topic_id tells a recreated topic from the one before. offset below 0: the record was written
    straight to the journal and is not de-duplicated by offset. appended_at: the input topic's own
    append time.
    """

    topic: str
    topic_id: str
    partition: int
    offset: int
    appended_at: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One input as the engine gets it."""

    stamp: Stamp
    event: Event


@dataclass(frozen=True, slots=True)
class OutputEntry:
    """One output as readers get it.

    position: of the journal record that caused it; ordinal: which of that record's outputs. seq has
    no gaps; prev is the hash of the entry before; hash is of this entry's bytes, content of its
    event's.
    """

    position: int
    ordinal: int
    seq: int
    prev: str
    hash: str
    content: str
    event: Event


def encode_journal(stamp: Stamp, event: Event) -> bytes:
    """The journal entry's bytes."""
    head = to_json(
        {
            "type": type(event).__name__,
            "version": event.version,
            "topic": stamp.topic,
            "topic_id": stamp.topic_id,
            "partition": stamp.partition,
            "offset": stamp.offset,
            "appended_at": stamp.appended_at,
        }
    )
    return head[:-1] + _EVENT + canonical_bytes(event) + b"}"


def decode_journal(entry: bytes) -> JournalEntry:
    """What encode_journal wrote. Raises SchemaError when the bytes are no journal entry."""
    found = _JOURNAL_HEAD.match(entry)
    if found is None or not entry.endswith(b"}"):
        head, payload = _split(entry, _JOURNAL_FIELDS)
        return JournalEntry(Stamp(*head[2:]), parse_event(head[0], head[1], payload))
    name, version, topic, topic_id, partition, offset, appended_at = found.groups()
    stamp = Stamp(topic.decode(), topic_id.decode(), int(partition), int(offset), int(appended_at))
    event = parse_event(name.decode(), int(version), entry[found.end() : -1])
    return JournalEntry(stamp, event)


def encode_output(position: int, ordinal: int, seq: int, prev: str, event: Event) -> bytes:
    """The output entry's bytes; their digest is the next entry's prev."""
    head = to_json(
        {
            "type": type(event).__name__,
            "version": event.version,
            "position": position,
            "ordinal": ordinal,
            "seq": seq,
            "prev": prev,
        }
    )
    return head[:-1] + _EVENT + canonical_bytes(event) + b"}"


def decode_output(entry: bytes) -> OutputEntry:
    """What encode_output wrote, with its hashes. Raises SchemaError when it is no output entry."""
    head, payload = _split(entry, _OUTPUT_FIELDS)
    name, version, position, ordinal, seq, prev = head
    event = parse_event(name, version, payload)
    return OutputEntry(position, ordinal, seq, prev, digest(entry), digest(payload), event)


def _split(entry: bytes, fields: dict[str, type]) -> tuple[list[Any], bytes]:
    """Values of the header in the order of fields, and the event's bytes.

    The header is written by us: it holds no nested object, and no text of it can look like its end.
    """
    cut = entry.find(_EVENT)
    if cut < 0 or not entry.endswith(b"}"):
        message = "not a log entry: it has no event"
        raise SchemaError(message)
    try:
        head = from_json(entry[:cut] + b"}", allow_inf_nan=False)
    except ValueError as error:
        message = f"log entry with a broken header: {error}"
        raise SchemaError(message) from error
    for field, kind in fields.items():
        if type(head.get(field)) is not kind:
            message = f"log entry whose header has no {field} of type {kind.__name__}"
            raise SchemaError(message)
    return [head[field] for field in fields], entry[cut + len(_EVENT) : -1]
