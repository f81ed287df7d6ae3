"""What one fetch of input messages becomes: records for the journals and the dead-letter topics.

Place in the flow: the pure half of the live router. Per partition in order; across partitions in
the order of their names, so that a fetch has one outcome. It must never drop a message without a
word: each is entered, conflated, shed by name, or a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.core.clock import MILLISECOND
from coordinator.core.conflate import Arrived, conflated
from coordinator.core.route import DeadLetter, Raw, enter, read_event
from coordinator.log.kafka.headers import input_type
from coordinator.log.kafka.sending import Outgoing, Partition
from schemas.entries import Stamp, encode_journal
from schemas.journal import SignalsShed
from schemas.signals import SignalIssued

__all__ = ["Fetched", "Message", "Routing"]

SHED_NAMES_MAX = 1_000
"""So many of the longest names fit well into one record."""


class Message(Protocol):
    """What a consumer gives: the parts that are used here."""

    @property
    def offset(self) -> int:
        """Where it stands in its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """The topic's append time, ms."""
        ...

    @property
    def key(self) -> bytes | None:
        """What it is keyed by."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its bytes; None for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """What its producer said beside it."""
        ...


@dataclass(slots=True)
class Fetched:
    """Where everything of a fetch goes, and the counts of what it became."""

    outgoing: dict[Partition, list[Outgoing]] = field(default_factory=dict)
    routed: int = 0
    conflated: int = 0
    dead: dict[str, int] = field(default_factory=dict)
    shed: dict[str, int] = field(default_factory=dict)

    def put(self, topic: str, partitions: Iterable[int], record: Outgoing) -> None:
        """One more record for these partitions."""
        for partition in partitions:
            self.outgoing.setdefault((topic, partition), []).append(record)


class Routing:
    """Turns fetches into records.

    shards: how many journals there are; prefix: before the names of topics. shed_before: signals
    appended before that time (ns) are shed; None while nothing is.
    """

    def __init__(self, *, shards: int, prefix: str) -> None:
        self._shards = shards
        self._prefix = prefix

    def route(
        self,
        messages: Mapping[Partition, Sequence[Message]],
        *,
        topic_id: Callable[[str], str],
        shed_before: int | None = None,
    ) -> Fetched:
        """What the messages of each input partition (by its name without prefix) become."""
        fetched = Fetched()
        for (topic, partition), run in sorted(messages.items()):
            fetched.routed += len(run)
            arrived = self._read(topic, partition, topic_id(topic), run, fetched)
            if topic == "market":
                merged = list(conflated(arrived))
                fetched.conflated += len(arrived) - len(merged)
                arrived = merged
            if shed_before is not None and topic == "signals":
                arrived = self._shed(arrived, shed_before, run, fetched)
            for one in arrived:
                self._enter(one, run, fetched)
        return fetched

    def _read(
        self, topic: str, partition: int, topic_id: str, run: Sequence[Message], fetched: Fetched
    ) -> list[Arrived]:
        """The events of a partition's messages; what is none goes to the dead letters."""
        arrived = []
        for message in run:
            name, version = input_type(message.headers)
            raw = Raw(
                topic, topic_id, partition, message.offset, message.timestamp * MILLISECOND,
                message.value or b"", name, version,
            )  # fmt: skip
            event = read_event(raw)
            if isinstance(event, DeadLetter):
                self._bury(raw, event, message, fetched)
            else:
                arrived.append(Arrived(raw, event))
        return arrived

    def _bury(self, raw: Raw, letter: DeadLetter, message: Message, fetched: Fetched) -> None:
        """The bytes as they came, with their origin and the error in headers."""
        headers = [
            ("origin_topic", (self._prefix + raw.topic).encode()),
            ("origin_topic_id", raw.topic_id.encode()),
            ("origin_partition", str(raw.partition).encode()),
            ("origin_offset", str(raw.offset).encode()),
            ("origin_time", str(raw.appended_at).encode()),
            ("error", letter.reason.encode(errors="replace")),
        ]
        record = Outgoing(raw.payload, message.key, [*message.headers, *headers])
        fetched.put(f"{self._prefix}{raw.topic}.dlq", (0,), record)
        fetched.dead[raw.topic] = fetched.dead.get(raw.topic, 0) + 1

    def _enter(self, one: Arrived, run: Sequence[Message], fetched: Fetched) -> None:
        found = enter(one.raw, one.event, shards=self._shards, first_offset=one.first_offset)
        if isinstance(found, DeadLetter):
            message = next(m for m in run if m.offset == one.raw.offset)
            self._bury(one.raw, found, message, fetched)
        else:
            fetched.put(f"{self._prefix}journal", found.shards, Outgoing(found.entry))

    def _shed(
        self, arrived: Sequence[Arrived], before: int, messages: Sequence[Message], fetched: Fetched
    ) -> list[Arrived]:
        """Signals that waited too long, by name; what stands between them keeps its place.

        Only neighbours of one source share an entry: it covers their offsets without a gap, so that
        whoever routes them again finds them done.
        """
        kept: list[Arrived] = []
        run: list[Arrived] = []
        for one in arrived:
            old = isinstance(one.event, SignalIssued) and one.raw.appended_at < before
            if run and not (old and _shares(run, one)):
                self._enter_shed(run, fetched)
                run = []
            if old:
                if kept:  # what stands before it must be entered before it
                    for earlier in kept:
                        self._enter(earlier, messages, fetched)
                    kept = []
                run.append(one)
            else:
                kept.append(one)
        if run:
            self._enter_shed(run, fetched)
        return kept

    def _enter_shed(self, run: Sequence[Arrived], fetched: Fetched) -> None:
        last = run[-1].raw
        signals = [one.event for one in run if isinstance(one.event, SignalIssued)]
        event = SignalsShed(
            event_id=f"shed {last.partition}:{last.offset}",
            event_time=last.appended_at,
            source=signals[0].source,
            signal_ids=tuple(signal.event_id for signal in signals),
        )
        stamp = Stamp(
            last.topic, last.topic_id, last.partition, last.offset, last.appended_at,
            run[0].raw.offset,
        )  # fmt: skip
        record = Outgoing(encode_journal(stamp, event))
        fetched.put(f"{self._prefix}journal", range(self._shards), record)
        fetched.shed[event.source] = fetched.shed.get(event.source, 0) + len(signals)


def _shares(run: Sequence[Arrived], one: Arrived) -> bool:
    """Whether it is the next message of the same source."""
    last = run[-1]
    return (
        len(run) < SHED_NAMES_MAX
        and isinstance(one.event, SignalIssued)
        and isinstance(last.event, SignalIssued)
        and one.event.source == last.event.source
        and one.raw.offset == last.raw.offset + 1
    )
