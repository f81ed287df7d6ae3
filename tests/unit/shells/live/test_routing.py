"""Routing: each message ends as one thing, in order; only old signals are shed, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.shards import shard_of
from coordinator.log.kafka.sending import Outgoing, Partition
from coordinator.shells.live import routing
from coordinator.shells.live.routing import Fetched, Routing
from schemas.entries import JournalEntry, decode_journal
from schemas.journal import SignalsShed
from schemas.signals import SignalIssued
from tests.journals import MS, T0, law

T0_MS = T0 // MS
Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Message:
    """As aiokafka gives it."""

    offset: int
    value: bytes | None
    timestamp: int = T0_MS
    key: bytes | None = b"k"
    headers: Headers = ()


def body(name: str, number: int, **fields: Any) -> bytes:
    head = {"type": name, "event_id": f"e{number}", "event_time": T0}
    return json.dumps(head | fields).encode()


def signal(offset: int, source: str = "s", *, age_ms: int = 0) -> Message:
    terms = {"source": source, "strategy": "x", "instrument": "A", "direction": 1, "strength": 0.5}
    return Message(offset, body("SignalIssued", offset, **terms), T0_MS - age_ms)


def quote(offset: int, *, at: int = 0) -> Message:
    terms = {"kind": "quote", "instruments": ["A"], "price": [1.0], "event_time": T0 - MS + at}
    return Message(offset, body("PricesObserved", offset, **terms))


def withdrawn(offset: int, *, age_ms: int = 0) -> Message:
    value = body("SignalWithdrawn", offset, source="s", signal_id="e0")
    return Message(offset, value, T0_MS - age_ms)


def routed(
    messages: Mapping[Partition, Sequence[Message]], *, shards: int = 2, before: int | None = None
) -> Fetched:
    return Routing(shards=shards, prefix="p.").route(
        messages, topic_id=lambda topic: f"id of {topic}", shed_before=before
    )


def journal(found: Fetched, shard: int = 0) -> list[JournalEntry]:
    return [decode_journal(one.value) for one in found.outgoing.get(("p.journal", shard), [])]


def ranges(entries: Sequence[JournalEntry], topic: str, partition: int) -> list[tuple[int, int]]:
    stamps = [e.stamp for e in entries if e.stamp[0] == topic and e.stamp[2] == partition]
    return [(s.offset if s.first_offset is None else s.first_offset, s.offset) for s in stamps]


_kinds = st.sampled_from(["signal", "old", "old other", "withdrawn", "poison"])
_market = st.sampled_from(["quote", "later", "halt", "poison"])


def _message(kind: str, offset: int) -> Message:
    return {
        "signal": lambda: signal(offset),
        "old": lambda: signal(offset, age_ms=60_000),
        "old other": lambda: signal(offset, "t", age_ms=60_000),
        "withdrawn": lambda: withdrawn(offset, age_ms=60_000),
        "quote": lambda: quote(offset),
        "later": lambda: quote(offset, at=offset),
        "halt": lambda: Message(offset, body("InstrumentHalted", offset, instrument="A")),
        "poison": lambda: Message(offset, b"\xff\x00"),
    }[kind]()


@law(150)
@given(st.lists(_kinds, max_size=25), st.lists(_market, max_size=25), st.booleans())
def test_every_message_ends_as_exactly_one_thing_and_offsets_rise(
    signals: list[str], market: list[str], shedding: bool
) -> None:
    messages = {
        ("signals", 3): [_message(kind, n) for n, kind in enumerate(signals)],
        ("market", 0): [_message(kind, n) for n, kind in enumerate(market)],
    }
    found = routed(messages, before=T0 - 1 if shedding else None)
    entries = journal(found)
    assert entries == journal(found, 1)
    for (topic, partition), run in messages.items():
        letters = found.outgoing.get((f"p.{topic}.dlq", 0), [])
        dead = [int(dict(letter.headers)["origin_offset"]) for letter in letters]
        alive = [
            n for first, last in ranges(entries, topic, partition) for n in range(first, last + 1)
        ]
        assert sorted(dead + alive) == [one.offset for one in run]
        assert alive == sorted(alive)
        assert dead == [one.offset for one in run if one.value == b"\xff\x00"]
    assert found.routed == len(signals) + len(market)
    shed = sum(len(e.event.signal_ids) for e in entries if isinstance(e.event, SignalsShed))
    assert shed == sum(found.shed.values()) == (shedding and sum(k[:3] == "old" for k in signals))
    entered = sum(not isinstance(e.event, SignalsShed) for e in entries)
    assert entered + found.conflated + shed + sum(found.dead.values()) == found.routed


@law(100)
@given(st.lists(_kinds, max_size=25))
def test_shedding_names_runs_of_one_source_and_leaves_all_else(kinds: list[str]) -> None:
    run = [_message(kind, n) for n, kind in enumerate(kinds)]
    entries = journal(routed({("signals", 0): run}, before=T0 - 1))
    for entry in entries:
        stamp, event = entry.stamp, entry.event
        if not isinstance(event, SignalsShed):
            assert kinds[stamp.offset] in {"signal", "withdrawn"}
            continue
        assert stamp.first_offset is not None
        covers = range(stamp.first_offset, stamp.offset + 1)
        assert event.signal_ids == tuple(f"e{n}" for n in covers)
        assert {kinds[n] for n in covers} == {"old" if event.source == "s" else "old other"}
    plain = journal(routed({("signals", 0): run}))
    kept = [e.stamp.offset for e in entries if not isinstance(e.event, SignalsShed)]
    assert kept == [
        e.stamp.offset
        for e in plain
        if not (isinstance(e.event, SignalIssued) and e.stamp.appended_at < T0 - 1)
    ]


def test_only_signals_are_shed_however_old_the_rest_is() -> None:
    old = Message(0, body("CashMoved", 0, portfolio="p", amount="1", currency="USD"), 5)
    paused = Message(0, body("CoordinationPaused", 1), 5)
    found = routed({("portfolios", 0): [old], ("control", 0): [paused]}, before=T0)
    assert found.shed == {}
    home = shard_of("p", 2)
    assert [type(e.event).__name__ for e in journal(found, home)] == [
        "CoordinationPaused",
        "CashMoved",
    ]


def test_a_list_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "SHED_NAMES_MAX", 4)
    run = [signal(n, age_ms=9) for n in range(10)]
    found = routed({("signals", 0): run}, before=T0)
    assert ranges(journal(found), "signals", 0) == [(0, 3), (4, 7), (8, 9)]


def test_the_longest_names_fit_into_a_record() -> None:
    name = "\U0001f600" * 128
    source = {"source": name, "strategy": "x", "instrument": "A", "direction": 1, "strength": 0.5}
    run = [
        Message(n, body("SignalIssued", n, event_id=name, **source), T0_MS - 9)
        for n in range(routing.SHED_NAMES_MAX + 1)
    ]
    found = routed({("signals", 0): run}, before=T0)
    assert max(len(one.value) for one in found.outgoing["p.journal", 0]) < 1 << 20


def test_poison_stands_unchanged_with_its_key_its_headers_and_its_origin() -> None:
    message = Message(7, b"\x00\xff", T0_MS, b"key", [("mine", b"1")])
    found = routed({("orders", 5): [message]})
    assert list(found.outgoing) == [("p.orders.dlq", 0)]
    (letter,) = found.outgoing["p.orders.dlq", 0]
    assert (letter.value, letter.key, letter.headers[0]) == (b"\x00\xff", b"key", ("mine", b"1"))
    said = dict(letter.headers)
    assert said.pop("error")
    assert said == {
        "mine": b"1", "origin_topic": b"p.orders", "origin_topic_id": b"id of orders",
        "origin_partition": b"5", "origin_offset": b"7", "origin_time": str(T0).encode(),
    }  # fmt: skip
    assert found.dead == {"orders": 1}


def test_what_is_too_large_as_an_entry_keeps_its_key_and_headers_too() -> None:
    loose = json.dumps([0] * 504_000).replace(" ", "")
    n = 2_520
    instruments = [str(number) for number in range(n)]
    terms = {"instruments": instruments, "specific": [0] * n, "factors": ["f"] * 200}
    value = body("RiskModelPublished", 1, **terms).replace(b" ", b"")
    value = value[:-1] + b',"name":"m","loadings":' + loose.encode() + b"}"
    assert len(value) < 1 << 20
    found = routed({("market", 0): [Message(1, value, headers=[("mine", b"1")])]})
    letters: list[Outgoing] = found.outgoing.get(("p.market.dlq", 0), [])
    assert [(one.value == value, one.key, one.headers[0]) for one in letters] == [
        (True, b"k", ("mine", b"1"))
    ]
    assert b"as a journal entry" in dict(letters[0].headers)["error"]


def test_a_tombstone_is_a_dead_letter_and_a_type_in_headers_is_a_type() -> None:
    bare = json.dumps({"event_id": "1", "event_time": T0}).encode()
    typed = Message(1, bare, headers=[("ce_type", b"coordinator.CoordinationPaused.v1")])
    found = routed({("control", 0): [Message(0, None), typed]})
    assert (found.dead, len(journal(found))) == ({"control": 1}, 1)


def test_a_fetch_has_one_outcome_whatever_the_order_of_its_partitions() -> None:
    parts = {("signals", 1): [signal(0)], ("market", 0): [quote(0)], ("signals", 0): [signal(9)]}
    turned = dict(reversed(parts.items()))
    assert routed(parts).outgoing == routed(turned).outgoing
