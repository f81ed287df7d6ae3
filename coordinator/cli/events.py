"""`coordinator events`: what is in a log, filtered, one event a line.

Place in the flow: reads any log through the log port; decodes a record only when its bytes may
match. It must never hold more than one record of each partition, so that a log of any size
streams.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic_core import from_json

from coordinator.cli.console import (
    FAILED,
    OK,
    clock_text,
    complain,
    counted,
    print_json,
    printable,
    quiet_pipe,
)
from coordinator.core.ports import LogReader, Record
from coordinator.log.errors import LogError
from coordinator.log.live import begin_of
from coordinator.log.open import open_reader
from coordinator.log.redriven import REDRIVEN
from coordinator.log.url import LOG_HELP
from schemas.base import TIME_MAX, parse_time
from schemas.entries import opening
from schemas.journal import ClockTicked, RoundsPaced
from schemas.registry import EVENTS, INPUT_TOPICS

__all__ = ["Filter", "Listed", "add_parser", "count_of", "listing", "run", "time_of"]

_HIDDEN = ("checkpoints", REDRIVEN)
"""Topics that hold no events; shown when asked for by name."""
_ROUTINE_NEEDLES = (*opening(ClockTicked), *opening(RoundsPaced))
"""How records begin that the engine writes down for itself; shown with --all, or by type."""
_TEXT_WIDTH = 160
_NAMES_SHOWN = 20
_LISTED = 3
"""Names of a list that are told instead of counted, at most."""
_WHY = ("reason", "detail")
"""Fields that come first: what an event is about is no use without."""
_NAMED = ("topic", "shard", "type", "portfolio", "source")
_TIMES = ("_at", "_time", "until")
"""How fields that hold a time are named."""
_DEAD_LETTER = "DeadLetter"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; None: any. since <= journal time < until, ns UTC.

    brief: without what the engine writes down for itself, and of an input that went to every shard
    only the copy on the first; what is asked for by its type or shard is there all the same.
    """

    type: str | None = None
    portfolio: str | None = None
    source: str | None = None
    topic: str | None = None
    shard: int | None = None
    since: int | None = None
    until: int | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One event with its place in the log: the fields of a JSON line, in this order."""

    topic: str
    shard: int
    position: int
    journal_time: int
    type: str
    event: dict[str, Any]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `events` to the commands."""
    parser = commands.add_parser(
        "events",
        help="list and filter the events of a log",
        description="Lists what a log holds, oldest first, one event a line: inputs, decisions, "
        "verdicts, dead letters. Filters may be combined.",
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument(
        "--type", choices=[*EVENTS, _DEAD_LETTER], metavar="TYPE", help="event name"
    )
    parser.add_argument("--portfolio", metavar="NAME")
    parser.add_argument("--source", metavar="NAME")
    parser.add_argument("--topic", metavar="TOPIC", help='"journal", "decisions", "signals.dlq"')
    parser.add_argument("--shard", type=int, metavar="N")
    times = "RFC 3339 with an offset, or integer nanoseconds UTC; of the journal"
    parser.add_argument("--since", type=time_of, metavar="TIME", help=f"from then on ({times})")
    parser.add_argument("--until", type=time_of, metavar="TIME", help="before then")
    parser.add_argument(
        "--all", action="store_true",
        help="also clock ticks, paces, and the copies of an input on every shard",
    )  # fmt: skip
    parser.add_argument("--limit", type=count_of, metavar="N", help="at most that many")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def time_of(text: str) -> int:
    """An argument that is a time, ns UTC."""
    try:
        return parse_time(int(text) if text.lstrip("-").isdigit() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def count_of(text: str) -> int:
    """An argument that is a count."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print the events, oldest first."""
    wanted = Filter(
        type=args.type, portfolio=args.portfolio, source=args.source, topic=args.topic,
        shard=args.shard, since=args.since, until=args.until, brief=not args.all,
    )  # fmt: skip
    try:
        with quiet_pipe(), closing(open_reader(args.log)) as reader:
            found = False
            for listed in islice(listing(reader, wanted), args.limit):
                found = True
                if args.json:
                    print_json(listed)
                else:
                    print(_line(listed))
            if not found and args.limit != 0:
                for line in _why_none(reader, wanted):
                    print(f"note: {printable(line)}", file=sys.stderr)
    except LogError as error:
        complain(error)
        return FAILED
    return OK


def listing(reader: LogReader, wanted: Filter) -> Iterator[Listed]:
    """The wanted events by journal time; at equal times by shard, causes before effects."""
    streams = [
        _keyed(reader, topic, shard, wanted)
        for topic, shard in reader.partitions()
        if _partition_wanted(topic, shard, wanted)
    ]
    first = min((shard for topic, shard in reader.partitions() if topic == "journal"), default=0)
    for _, record in heapq.merge(*streams, key=lambda one: one[0]):
        listed = _listed(record)
        if _event_wanted(listed, wanted) and not _is_copy(listed, wanted, first=first):
            yield listed


def _why_none(reader: LogReader, wanted: Filter) -> Iterator[str]:
    """What the log does not hold of what was asked for, and what it holds instead."""
    held: dict[str, set[object]] = {what: set() for what in _NAMED}
    for topic, shard in reader.partitions():
        for record in reader.read(topic, shard, begin_of(reader, topic, shard)):
            listed = _listed(record)
            kind = None if topic in _HIDDEN else listed.type
            names = listed.event | {"topic": topic, "shard": shard, "type": kind}
            for what, there in held.items():
                name = names.get(what)
                there.add(name if isinstance(name, str | int) else None)
    asked = {what: value for what in _NAMED if (value := getattr(wanted, what)) is not None}
    missing = [what for what, value in asked.items() if value not in held[what]]
    for what in missing:
        yield f"the log holds no {what} {asked[what]}; it has: {_some(held[what])}"
    if not missing:
        yield "no event of the log passes all of these filters"


def _some(names: set[object]) -> str:
    """Names in their order; of very many the first ones."""
    ordered = sorted(str(name) for name in names if name is not None) or ["none"]
    left = len(ordered) - _NAMES_SHOWN
    return ", ".join(ordered[:_NAMES_SHOWN]) + (f" and {left} more" if left > 0 else "")


def _partition_wanted(topic: str, shard: int, wanted: Filter) -> bool:
    if wanted.shard is not None and shard != wanted.shard:
        return False
    return topic == wanted.topic if wanted.topic is not None else topic not in _HIDDEN


def _keyed(
    reader: LogReader, topic: str, shard: int, wanted: Filter
) -> Iterator[tuple[tuple[int, int, bool, str, int], Record]]:
    needles = _needles(wanted.type)
    passed_over = _ROUTINE_NEEDLES if wanted.brief and wanted.type is None else ()
    for record in reader.read(topic, shard, begin_of(reader, topic, shard)):
        if wanted.until is not None and record.journal_time >= wanted.until:
            return
        if wanted.since is not None and record.journal_time < wanted.since:
            continue
        if record.payload.startswith(needles) and not record.payload.startswith(passed_over):
            key = (record.journal_time, shard, topic != "journal", topic, record.position)
            yield key, record


def _needles(name: str | None) -> tuple[bytes, ...]:
    """How wanted records begin."""
    if name is None:
        return (b"",)
    return (b'{"topic":',) if name == _DEAD_LETTER else opening(EVENTS[name])


def _listed(record: Record) -> Listed:
    """The record as it stands: not validated again, so that old versions show what they said."""
    try:
        tree = from_json(record.payload)
    except ValueError:
        tree = None
    known = isinstance(tree, dict) and isinstance(tree.get("event"), dict)
    if known:
        name, event = str(tree.get("type")), tree["event"]
    elif isinstance(tree, dict) and record.topic.endswith(".dlq"):
        name, event = _DEAD_LETTER, tree
    else:
        name, event = "Unknown", {"bytes": len(record.payload)}
    return Listed(record.topic, record.shard, record.position, record.journal_time, name, event)


def _event_wanted(listed: Listed, wanted: Filter) -> bool:
    if wanted.type is not None and listed.type != wanted.type:
        return False
    if wanted.portfolio is not None and listed.event.get("portfolio") != wanted.portfolio:
        return False
    return wanted.source is None or listed.event.get("source") == wanted.source


def _is_copy(listed: Listed, wanted: Filter, *, first: int) -> bool:
    """Whether it is what an input for every shard left on another than the first."""
    if not wanted.brief or wanted.shard is not None or listed.topic != "journal":
        return False
    cls = EVENTS.get(listed.type)
    broadcast = cls is not None and cls.topic in INPUT_TOPICS
    return broadcast and listed.shard != first and listed.event.get("portfolio") is None


def _line(listed: Listed) -> str:
    """Compact text: time, place, type, then the fields until the line is full; why comes first."""
    fields = []
    room = _TEXT_WIDTH
    first = [name for name in _WHY if listed.event.get(name)]
    for name in (*first, *(name for name in listed.event if name not in first)):
        text = f"{name}={_short(name, listed.event[name])}"
        if len(text) >= room:
            fields.append(text[:room] + "...")
            break
        room -= len(text) + 1
        fields.append(text)
    place = f"{listed.topic}/{listed.shard}:{listed.position}"
    return printable(
        f"{clock_text(listed.journal_time)}  {place:<16} {listed.type:<20} {' '.join(fields)}"
    )


def _short(name: str, value: object) -> str:
    if type(value) is int and name.endswith(_TIMES) and 0 <= value < TIME_MAX:
        return clock_text(value)
    if isinstance(value, float):
        return _four_digits(value)
    if isinstance(value, list):
        return _short_list(value)
    if isinstance(value, dict):
        return "{...}"
    return str(value) if value is not None else "-"


def _short_list(values: list[Any]) -> str:
    """How many there are; of tables the first, too, and a few names themselves."""
    count = counted(len(values), "item")
    if values and isinstance(values[0], dict):
        parts = (f"{name}={_named(name, value)}" for name, value in values[0].items())
        return f"{count}: {{{' '.join(parts)}}}"
    return count


def _named(name: str, value: object) -> str:
    """A value of a table; of a few names the names themselves."""
    if isinstance(value, list) and 0 < len(value) <= _LISTED:
        return ",".join(map(str, value)) if isinstance(value[0], str) else _short(name, value)
    return _short(name, value)


def _four_digits(value: float) -> str:
    """Four significant digits; all of them before the point."""
    whole = 1e3 <= abs(value) < 1e15  # noqa: PLR2004 - from there on 4 digits would need an exponent
    return f"{value:.0f}" if whole else f"{value:.4g}"
