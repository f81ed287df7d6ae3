"""Where dead letters are kept, for `coordinator dlq`: a Kafka cluster, or a SQLite log.

Place in the flow: between the command and the two kinds of log. A letter that a router wrote twice,
because it died before it committed, is given once. What was sent again is noted in the log behind
each send: after a kill between the two it is sent once more, and never missed. It must never send a
letter that would be dead again.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from coordinator.core.route import DeadLetter, Raw, decode_dead_letter, enter, read_event
from coordinator.core.shards import shards_in
from coordinator.log.redriven import REDRIVEN, note_of, sent_again
from coordinator.log.sqlite import SqliteLog
from schemas.base import Event

if TYPE_CHECKING:
    from coordinator.log.kafka.letters import Letter
    from coordinator.log.kafka.producing import Message
    from coordinator.settings import KafkaSettings

__all__ = ["FileBox", "Found", "KafkaBox", "LetterBox", "again", "as_json"]

SEND_TOGETHER = 500
"""Letters that are sent, and then noted, together: what a kill may have sent twice at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter in its place. event: what it would be now, once `again` has read it.

    identity: what tells it from every other letter, also of a topic that was made anew. sent_at:
    when it was last sent again, ns UTC.
    """

    position: int
    journal_time: int
    letter: DeadLetter
    identity: str
    sent_at: int | None = None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    own_headers: Sequence[tuple[str, bytes]] = ()
    event: Event | None = field(default=None, compare=False)


class LetterBox(Protocol):
    """Dead letters of one log, by the input topic that they came from."""

    def letters(self, topic: str, start: int = 0, stop: int | None = None) -> Iterator[Found]:
        """Each once, in the order in which they were buried."""
        ...

    def send(self, letters: Sequence[Found]) -> None:
        """Send them to their input topic again; acknowledged and noted on return."""
        ...

    def close(self) -> None:
        """Let go of the log."""
        ...


def again(found: Found, mended: bytes | None = None) -> Found | DeadLetter:
    """The letter as it would be taken now, or why it would not be. mended: instead of its bytes."""
    from coordinator.log.kafka.headers import input_type  # noqa: PLC0415 - loads Kafka's client

    letter = found.letter if mended is None else replace(found.letter, payload=mended)
    name, version = input_type(list(found.own_headers))
    raw = Raw(letter.topic, "", 0, 0, time.time_ns(), letter.payload, name, version)
    event = read_event(raw)
    if isinstance(event, DeadLetter):
        return event
    entered = enter(raw, event, shards=1)
    if isinstance(entered, DeadLetter):
        return entered
    return replace(found, letter=letter, event=event)


def as_json(found: Found) -> dict[str, JsonValue]:
    """Everything about a letter; bytes that are no text in base64."""
    letter = found.letter
    return {
        "topic": letter.topic,
        "position": found.position,
        "buried": found.journal_time,
        "sent_again": found.sent_at,
        "where": letter.where,
        "reason": letter.reason,
        "key": None if found.key is None else _text(found.key),
        "headers": [[name, _text(value)] for name, value in found.headers],
        "payload": _text(letter.payload),
    }


def _by_place(topic: str, position: int, journal_time: int) -> str:
    """The identity of a letter that does not tell where it came from."""
    return f"{topic}.dlq/0:{position}@{journal_time}"


def _by_origin(topic: str, letter: Letter) -> str:
    """The identity of a letter that may stand in the topic more than once."""
    origin = letter.origin
    if origin is None:
        return _by_place(topic, letter.position, letter.journal_time)
    return f"{origin.topic}@{origin.topic_id}/{origin.partition}:{origin.offset}"


def _text(value: bytes) -> JsonValue:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


class KafkaBox:
    """The topics `<input>.dlq` of a cluster. Raises LogUnavailable."""

    def __init__(self, settings: KafkaSettings) -> None:
        from coordinator.log.kafka.log import KafkaLog  # noqa: PLC0415 - only who speaks to Kafka pays for it

        self._settings = settings
        self._log = KafkaLog(settings)

    def letters(self, topic: str, start: int = 0, stop: int | None = None) -> Iterator[Found]:
        """As the port says: two of one origin are one."""
        seen = set()
        sent = sent_again(self._log)
        for one in self._log.letters(f"{topic}.dlq", start, stop):
            name = _by_origin(topic, one)
            if name in seen:
                continue
            seen.add(name)
            yield Found(
                one.position, one.journal_time, one.letter(), name, sent.get(name), one.key,
                one.headers, one.own_headers,
            )  # fmt: skip

    def send(self, letters: Sequence[Found]) -> None:
        """With their own key and headers, and one that says which letter it was.

        Raises TopicsMissing, before anything is sent, where nothing could be noted.
        """
        from coordinator.log.kafka.layout import require_topics  # noqa: PLC0415 - as above
        from coordinator.log.kafka.producing import produce  # noqa: PLC0415 - as above

        require_topics(self._settings, [REDRIVEN])
        for some in _together(letters):
            produce(self._settings, [_message(one) for one in some])
            self._log.append([note_of(one.identity for one in some)])

    def purge(self, topic: str, before: int) -> None:
        """Delete the letters below a position."""
        end = self._log.end(f"{topic}.dlq", 0)
        if end:
            self._log.truncate(f"{topic}.dlq", 0, min(before, end))

    def close(self) -> None:
        """Let go of the cluster."""
        self._log.close()


def _together(letters: Sequence[Found]) -> Iterator[Sequence[Found]]:
    """A few after the other, each lot to be noted behind its send."""
    for begin in range(0, len(letters), SEND_TOGETHER):
        yield letters[begin : begin + SEND_TOGETHER]


def _message(found: Found) -> Message:
    """What is sent. Raises ValueError for a letter that `again` has not read."""
    from coordinator.log.kafka.producing import Message, key_of_event  # noqa: PLC0415 - as above

    topic = found.letter.topic
    if found.event is None:
        message = f"{topic} {found.position} was not read before it is sent"
        raise ValueError(message)
    kept = [(name, value) for name, value in found.own_headers if name != "redriven_from"]
    mark = ("redriven_from", f"{topic}.dlq/0:{found.position}".encode())
    key = found.key if found.key is not None else key_of_event(found.event)
    return Message(topic, key, found.letter.payload, [*kept, mark])


class FileBox:
    """The dead letters of a SQLite log; sending decides them, as the local shell does."""

    def __init__(self, path: Path, *, writing: bool) -> None:
        if not path.is_file():
            message = f"{path}: there is no such log"
            raise OSError(message)
        self._log = SqliteLog(path, readonly=not writing)

    def letters(self, topic: str, start: int = 0, stop: int | None = None) -> Iterator[Found]:
        """As the port says. A file holds none twice: what routes there is atomic."""
        sent = sent_again(self._log)
        for record in self._log.read(f"{topic}.dlq", 0, start, stop):
            letter = decode_dead_letter(record.payload)
            name = _by_place(topic, record.position, record.journal_time)
            yield Found(record.position, record.journal_time, letter, name, sent.get(name))

    def send(self, letters: Sequence[Found]) -> None:
        """Accept them; rounds that open are the next run's to close."""
        from coordinator.shells.local import LocalShell  # noqa: PLC0415 - only here it is needed

        shards = len(shards_in(self._log, "journal"))
        shell = LocalShell(self._log, shards=shards, clock=time.time_ns)
        shell.start()
        now, offset = time.time_ns(), count()
        name = f"redrive-{now}"
        for some in _together(letters):
            shell.accept(
                [
                    Raw(one.letter.topic, name, 0, next(offset), now, one.letter.payload)
                    for one in some
                ]
            )
            self._log.append([note_of(one.identity for one in some)])
        shell.stop()

    def close(self) -> None:
        """Close the file."""
        self._log.close()
