"""How events stand in a log: journal entries (inputs with their origin) and output entries (chained).

Each entry is one JSON object with its header first and its event last, so that a reader can take the event
without parsing twice, and anybody can read the log with a JSON tool.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where an input came from.

    topic_id tells a recreated topic from the one before. offset below 0: the record was written straight
    to the journal and is not de-duplicated by offset. appended_at: the input topic's own append time.
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

    position: of the journal record that caused it; ordinal: which of that record's outputs. seq has no
    gaps; prev is the hash of the entry before; hash is of this entry's bytes, content of its event's.
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
    head, payload = _split(entry)
    try:
        stamp = Stamp(
            head["topic"], head["topic_id"], head["partition"], head["offset"], head["appended_at"]
        )
        return JournalEntry(stamp, parse_event(head["type"], head["version"], payload))
    except (KeyError, TypeError) as error:
        message = f"journal entry without {error}"
        raise SchemaError(message) from error


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
    """What encode_output wrote, with its hashes. Raises SchemaError when the bytes are no output entry."""
    head, payload = _split(entry)
    try:
        return OutputEntry(
            head["position"],
            head["ordinal"],
            head["seq"],
            head["prev"],
            digest(entry),
            digest(payload),
            parse_event(head["type"], head["version"], payload),
        )
    except (KeyError, TypeError) as error:
        message = f"output entry without {error}"
        raise SchemaError(message) from error


def _split(entry: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and event of an entry. The header is written by us and holds no nested object."""
    cut = entry.find(_EVENT)
    if cut < 0 or not entry.endswith(b"}"):
        message = "not a log entry: it has no event"
        raise SchemaError(message)
    try:
        head = from_json(entry[:cut] + b"}")
    except ValueError as error:
        message = f"log entry with a broken header: {error}"
        raise SchemaError(message) from error
    return head, entry[cut + len(_EVENT) : -1]
