"""`coordinator send`: events as JSON lines to their input topics in Kafka.

Place in the flow: where any producer stands; how operators pause, resume and mute. All lines are
validated before the first is sent, by the rules that a router applies. It must never write to a
journal, or say sent before the brokers have acknowledged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import from_json

from coordinator.cli.console import FAILED, OK, complain, print_json, printable
from coordinator.cli.live_options import add_settings, settings_of
from coordinator.core.route import DeadLetter, Raw, read_event
from coordinator.log.errors import LogError
from coordinator.settings import Settings
from schemas.base import Event
from schemas.registry import INPUT_TOPICS, SchemaError, event_type

if TYPE_CHECKING:
    from coordinator.log.kafka.producing import Message

__all__ = ["BadLine", "Line", "add_parser", "read_lines", "run"]

BAD_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is an event: its number from 1, its topic, its bytes as they came."""

    number: int
    topic: str
    event: Event
    payload: bytes


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is none, and why."""

    number: int
    reason: str


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `send` to the commands."""
    parser = commands.add_parser(
        "send",
        help="send events to Kafka's input topics",
        description='Sends events, one JSON object a line with its name in "type", each to the '
        "topic that it belongs to, keyed by whom it is about, and waits for the brokers' "
        "acknowledgement. All are checked first: one bad line, and nothing is sent. Order is kept "
        "within a topic and key.",
    )
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="JSON lines; - (the default) is stdin"
    )
    parser.add_argument("--skip-bad", action="store_true", help="send the good lines all the same")
    parser.add_argument("--dry-run", action="store_true", help="check and count only")
    parser.add_argument("--json", action="store_true", help="the counts as one JSON object")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check all lines, then send them."""
    try:
        settings = settings_of(args)
        good, bad = read_lines(_lines(args.file))
        for one in bad[:BAD_SHOWN]:
            complain(f"line {one.number}: {one.reason}")
        if len(bad) > BAD_SHOWN:
            complain(f"and {len(bad) - BAD_SHOWN} more bad lines")
        refused = bool(bad) and not args.skip_bad
        if not refused and not args.dry_run:
            _send(settings, good)
    except (LogError, OSError) as error:
        complain(error)
        return FAILED
    _tell(good, bad, sent=not refused and not args.dry_run, as_json=args.json)
    return FAILED if refused else OK


def _lines(name: str) -> Iterator[bytes]:
    """The input's lines without their ends."""
    if name == "-":
        yield from (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        return
    with Path(name).open("rb") as file:
        yield from (line.rstrip(b"\r\n") for line in file)


def read_lines(lines: Iterable[bytes]) -> tuple[list[Line], list[BadLine]]:
    """What may be sent and what may not; empty lines are neither."""
    good: list[Line] = []
    bad: list[BadLine] = []
    for number, payload in enumerate(lines, start=1):
        if not payload.strip():
            continue
        found = _read(number, payload)
        if isinstance(found, Line):
            good.append(found)
        else:
            bad.append(found)
    return good, bad


def _read(number: int, payload: bytes) -> Line | BadLine:
    try:
        topic = _topic(payload)
    except (SchemaError, ValueError) as error:
        return BadLine(number, str(error)[:500])
    event = read_event(Raw(topic, "", 0, 0, time.time_ns(), payload))
    if isinstance(event, DeadLetter):
        return BadLine(number, event.reason)
    return Line(number, topic, event, payload)


def _topic(payload: bytes) -> str:
    """The input topic of the event that is named. Raises SchemaError, ValueError."""
    head = from_json(payload)
    if not isinstance(head, dict):
        raise SchemaError("not a JSON object")
    if not isinstance(head.get("type"), str):
        raise SchemaError('no "type" that names the event')
    topic = event_type(head["type"]).topic
    if topic not in INPUT_TOPICS:
        raise SchemaError(f"{head['type']} is not for producers: it stands in topic {topic}")
    return topic


def _send(settings: Settings, lines: Iterable[Line]) -> None:
    """Send, and wait until everything is acknowledged. Raises TopicsMissing, LogUnavailable."""
    from coordinator.log.kafka.layout import require_topics  # noqa: PLC0415 - as below
    from coordinator.log.kafka.producing import produce  # noqa: PLC0415 - only who sends pays for it

    lines = list(lines)
    require_topics(settings.kafka, {line.topic for line in lines})
    produce(settings.kafka, _messages(lines))


def _messages(lines: Iterable[Line]) -> Iterator[Message]:
    from coordinator.log.kafka.producing import Message, key_of_event  # noqa: PLC0415 - as above

    for line in lines:
        yield Message(line.topic, key_of_event(line.event), line.payload)


def _tell(good: list[Line], bad: list[BadLine], *, sent: bool, as_json: bool) -> None:
    counts = dict(sorted(Counter(line.topic for line in good).items()))
    if as_json:
        print_json({"sent": sent, "events": counts, "bad": bad})
        return
    named = ", ".join(f"{count:,} to {topic}" for topic, count in counts.items()) or "no events"
    word = "sent" if sent else "not sent"
    left = f"; {len(bad):,} bad lines" if bad else ""
    print(printable(f"{word}: {named}{left}"))
