"""Route: bytes of an input topic become journal entries, or dead letters with their reason.

Place in the flow: the edge. Stateless: what a message becomes depends on the message alone.
Portfolio events go to that portfolio's shard, everything else once to each shard. Never reads a
clock: times are the input topic's own, or given by the caller.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from coordinator.core.ports import Append, Log
from coordinator.core.shards import shard_of
from schemas.base import Event, InputEvent
from schemas.entries import Stamp, encode_journal
from schemas.registry import INPUT_TOPICS, SchemaError, event_type, parse_event

__all__ = [
    "PAYLOAD_MAX",
    "DeadLetter",
    "Raw",
    "RouteCounts",
    "Routed",
    "Router",
    "decode_dead_letter",
    "encode_dead_letter",
    "enter",
    "read_event",
    "route",
]

PAYLOAD_MAX = 1 << 20
"""Largest input in bytes; the journal's limit is twice that."""
ENTRY_MAX = 2 * PAYLOAD_MAX - 65_536
"""Largest journal entry in bytes, with room for what a broker puts around it."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One message as it lay on an input topic.

    payload: a JSON object with "type" (the event's name), optionally "version" (default: the
    newest) and the event's fields beside them. appended_at: the input topic's own append time, ns
    UTC. type, version: what the message's headers say, where its payload does not.
    """

    topic: str
    topic_id: str
    partition: int
    offset: int
    appended_at: int
    payload: bytes
    type: str | None = None
    version: int | None = None

    @property
    def where(self) -> str:
        """Its place in words, for a dead letter."""
        return f"partition {self.partition} offset {self.offset}"


@dataclass(frozen=True, slots=True)
class Routed:
    """A journal entry and the shards whose journals get it."""

    entry: bytes
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An input that could not become an event: unchanged, with where it stood and why it failed."""

    topic: str
    where: str
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class RouteCounts:
    """What became of a batch; the two add up to its length."""

    routed: int
    dead: int


def route(raw: Raw, *, shards: int) -> Routed | DeadLetter:
    """What one message becomes. Never raises for any bytes."""
    event = read_event(raw)
    return event if isinstance(event, DeadLetter) else enter(raw, event, shards=shards)


def read_event(raw: Raw) -> Event | DeadLetter:
    """The event that a message holds. Never raises for any bytes."""
    try:
        return _read(raw)
    except (SchemaError, UnicodeError, ValueError) as error:
        return DeadLetter(raw.topic, raw.where, str(error)[:1000], raw.payload)


def enter(
    raw: Raw, event: Event, *, shards: int, first_offset: int | None = None
) -> Routed | DeadLetter:
    """The journal entry of an event. first_offset: of the messages that it stands for."""
    stamp = Stamp(raw.topic, raw.topic_id, raw.partition, raw.offset, raw.appended_at, first_offset)
    try:
        entry = encode_journal(stamp, event)
    except (UnicodeError, ValueError) as error:
        return DeadLetter(raw.topic, raw.where, str(error)[:1000], raw.payload)
    if len(entry) > ENTRY_MAX:
        reason = f"{len(entry)} bytes as a journal entry; the largest is {ENTRY_MAX}"
        return DeadLetter(raw.topic, raw.where, reason, raw.payload)
    return Routed(entry, _addressees(event, shards))


def _read(raw: Raw) -> Event:
    if len(raw.payload) > PAYLOAD_MAX:
        message = f"{len(raw.payload)} bytes; the largest input is {PAYLOAD_MAX}"
        raise SchemaError(message)
    head = _json(raw.payload)
    if not isinstance(head, dict):
        message = "not a JSON object"
        raise SchemaError(message)
    name = head.get("type", raw.type)
    if not isinstance(name, str):
        message = 'no "type" that names the event'
        raise SchemaError(message)
    cls = event_type(name)
    if cls.topic != raw.topic or raw.topic not in INPUT_TOPICS:
        message = f"{name} does not belong on topic {raw.topic}"
        raise SchemaError(message)
    version = head.get("version", raw.version or cls.version)
    if type(version) is not int:
        message = "version must be an integer"
        raise SchemaError(message)
    return parse_event(name, version, raw.payload)


def _json(payload: bytes) -> object:
    """What the bytes spell. Raises SchemaError."""
    try:
        return from_json(payload)
    except ValueError as error:
        message = f"not JSON: {error}"
        raise SchemaError(message) from error


def _addressees(event: Event, shards: int) -> tuple[int, ...]:
    portfolio = getattr(event, "portfolio", None)
    if isinstance(event, InputEvent) and isinstance(portfolio, str):
        return (shard_of(portfolio, shards),)
    return tuple(range(shards))


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """The letter as JSON; a payload that is no UTF-8 text stands in base64."""
    try:
        body = {"text": letter.payload.decode()}
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(letter.payload).decode()}
    reason = letter.reason.encode(errors="replace").decode()
    head = {"topic": letter.topic, "where": letter.where, "reason": reason}
    return to_json(head | {"payload": body})


def decode_dead_letter(data: bytes) -> DeadLetter:
    """What encode_dead_letter wrote. Raises SchemaError when the bytes are none of its."""
    try:
        tree = from_json(data)
        body = tree["payload"]
        text = body.get("text")
        payload = text.encode() if text is not None else base64.b64decode(body["base64"])
        return DeadLetter(tree["topic"], tree["where"], tree["reason"], payload)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        message = f"not a dead letter: {error}"
        raise SchemaError(message) from error


class Router:
    """Appends what messages become to the journals and dead-letter topics of one log."""

    def __init__(self, log: Log, *, shards: int) -> None:
        if shards < 1:
            message = f"shards must be at least 1, not {shards}"
            raise ValueError(message)
        self._log = log
        self._shards = shards

    def accept(
        self, raws: Sequence[Raw], *, journal_times: Sequence[int] | None = None
    ) -> RouteCounts:
        """Route a batch in order, in one atomic append.

        journal_times: one simulated time per message (an import); absent: the log's own clock.
        """
        batch: list[Append] = []
        dead = 0
        for index, raw in enumerate(raws):
            time = None if journal_times is None else journal_times[index]
            found = route(raw, shards=self._shards)
            if isinstance(found, DeadLetter):
                dead += 1
                batch.append(_burial(found, time))
            else:
                batch.extend(Append("journal", s, found.entry, time) for s in found.shards)
        self._log.append(batch)
        return RouteCounts(len(raws) - dead, dead)

    def bury(self, letters: Sequence[DeadLetter], *, journal_time: int | None = None) -> None:
        """Keep what could not even become a message, such as a file's bad row."""
        self._log.append([_burial(letter, journal_time) for letter in letters])

    def write(self, event: InputEvent, *, shards: Sequence[int], journal_time: int | None) -> None:
        """Put an event of the journal's own (EngineStarted, SignalsShed) straight into journals."""
        stamp = Stamp("journal", "", 0, -1, event.event_time)
        entry = encode_journal(stamp, event)
        self._log.append([Append("journal", shard, entry, journal_time) for shard in shards])


def _burial(letter: DeadLetter, time: int | None) -> Append:
    return Append(f"{letter.topic}.dlq", 0, encode_dead_letter(letter), time)
