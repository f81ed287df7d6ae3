"""How events stand in a log: journal entries (inputs, their origin) and output entries (chained).

Each entry is one JSON object with its header first and its event last, so that a reader can take
the event without parsing twice, and anybody can read the log with a JSON tool.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from schemas.base import Event
from schemas.canonical import canonical_bytes, digest
from schemas.registry import SchemaError, parse_event

__all__ = [
    "GENESIS",
    "JournalEntry",
    "OutputEntry",
    "OutputHead",
    "Stamp",
    "decode_head",
    "decode_journal",
    "decode_output",
    "encode_journal",
    "encode_output",
    "opening",
]

GENESIS = "0" * 64
"""prev_hash of a shard's first output."""
_EVENT = b',"event":'
_OFFSET = b',"offset":'
_APPENDED_AT = b',"appended_at":'
_FIRST_OFFSET = b',"first_offset":'
_ORIGIN_FIELDS: dict[str, type] = {
    "type": str,
    "version": int,
    "topic": str,
    "topic_id": str,
    "partition": int,
}
_OUTPUT_FIELDS: dict[str, type] = {
    "type": str,
    "version": int,
    "position": int,
    "ordinal": int,
    "seq": int,
    "prev": str,
}


class Stamp(NamedTuple):
    """Where an input came from.

    topic_id tells a recreated topic from the one before. offset below 0: the record was written
    straight to the journal and is not de-duplicated by offset. appended_at: the input topic's own
    append time. first_offset: set where one entry stands for several messages, the first of them;
    offset is then the last one's.
    """

    topic: str
    topic_id: str
    partition: int
    offset: int
    appended_at: int
    first_offset: int | None = None


class JournalEntry(NamedTuple):
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


def opening(*events: type[Event]) -> tuple[bytes, ...]:
    """How the entries of these events begin, so that readers can leave others undecoded."""
    return tuple(b'{"type":' + to_json(event.__name__) for event in events)


def encode_journal(stamp: Stamp, event: Event) -> bytes:
    """The journal entry's bytes."""
    origin: dict[str, str | int] = {
        "type": type(event).__name__,
        "version": event.version,
        "topic": stamp.topic,
        "topic_id": stamp.topic_id,
        "partition": stamp.partition,
        "offset": stamp.offset,
        "appended_at": stamp.appended_at,
    }
    if stamp.first_offset is not None:
        origin["first_offset"] = stamp.first_offset
    head = to_json(origin)
    return head[:-1] + _EVENT + canonical_bytes(event) + b"}"


def decode_journal(entry: bytes) -> JournalEntry:
    """What encode_journal wrote. Raises SchemaError when the bytes are no journal entry.

    The hot path of every replay: the header is cut where its fields stand, because no text in it
    can hold an unescaped quote, and what many entries share is read once.
    """
    head, payload = _split(entry)
    origin, _, numbers = head.partition(_OFFSET)
    offset, _, appended_at = numbers.partition(_APPENDED_AT)
    appended_at, several, first = appended_at.partition(_FIRST_OFFSET)
    name, version, topic, topic_id, partition = _origin(origin)
    first_offset = _integer(first) if several else None
    stamp = Stamp(topic, topic_id, partition, _integer(offset), _integer(appended_at), first_offset)
    return JournalEntry(stamp, parse_event(name, version, payload))


def encode_output(
    position: int, ordinal: int, seq: int, prev: str, event: Event, content: bytes | None = None
) -> bytes:
    """The output entry's bytes; their digest is the next entry's prev, a hash in hexadecimal.

    content: the event's canonical bytes, where somebody has made them already.

    On the path of every decision, so the head is written as its one spelling is.
    """
    name = type(event).__name__
    head = (
        f'{{"type":"{name}","version":{event.version},"position":{position},'
        f'"ordinal":{ordinal},"seq":{seq},"prev":"{prev}"'
    )
    content = canonical_bytes(event) if content is None else content
    return head.encode() + _EVENT + content + b"}"


class OutputHead(NamedTuple):
    """What an output entry says before its event."""

    type: str
    version: int
    position: int
    ordinal: int
    seq: int
    prev: str


def decode_head(entry: bytes) -> OutputHead:
    """The header of an output entry, its event left unread. Raises SchemaError."""
    head, _ = _split(entry)
    return OutputHead(*_fields(head, _OUTPUT_FIELDS))


def decode_output(entry: bytes) -> OutputEntry:
    """What encode_output wrote, with its hashes. Raises SchemaError when it is no output entry."""
    head, payload = _split(entry)
    name, version, position, ordinal, seq, prev = OutputHead(*_fields(head, _OUTPUT_FIELDS))
    event = parse_event(name, version, payload)
    return OutputEntry(position, ordinal, seq, prev, digest(entry), digest(payload), event)


def _split(entry: bytes) -> tuple[bytes, bytes]:
    """Header, without its end, and event of an entry."""
    head, found, rest = entry.partition(_EVENT)
    if not found or not rest.endswith(b"}"):
        message = "not a log entry: it has no event"
        raise SchemaError(message)
    return head, rest[:-1]


@lru_cache(maxsize=4096)
def _origin(head: bytes) -> tuple[str, int, str, str, int]:
    """Name, version, topic, its id and partition: the same for all entries of one kind."""
    name, version, topic, topic_id, partition = _fields(head, _ORIGIN_FIELDS)
    return name, version, topic, topic_id, partition


def _fields(head: bytes, kinds: dict[str, type]) -> list[Any]:
    """Values of a header in the order of kinds."""
    try:
        found = from_json(head + b"}", allow_inf_nan=False)
    except ValueError as error:
        message = f"log entry with a broken header: {error}"
        raise SchemaError(message) from error
    for field, kind in kinds.items():
        if type(found.get(field)) is not kind:
            message = f"log entry whose header has no {field} of type {kind.__name__}"
            raise SchemaError(message)
    return [found[field] for field in kinds]


def _integer(text: bytes) -> int:
    try:
        number = from_json(text)
    except ValueError as error:
        message = f"log entry with a broken header: {error}"
        raise SchemaError(message) from error
    if type(number) is not int:
        message = "log entry whose offset or appended_at is no integer"
        raise SchemaError(message)
    return number
