"""Route: bytes become journal entries for the right shards, or dead letters with their reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.route import (
    PAYLOAD_MAX,
    DeadLetter,
    Raw,
    RouteCounts,
    Routed,
    Router,
    decode_dead_letter,
    encode_dead_letter,
    route,
)
from coordinator.core.shards import shard_of
from coordinator.log.memory import MemoryLog
from schemas.entries import decode_journal
from schemas.journal import SignalsShed
from schemas.registry import SchemaError
from tests.journals import T0, Inputs, zero_clock

MAKE = Inputs()
SIGNAL = MAKE.signal("s", "A", T0).raw
CASH = {"portfolio": "p", "amount": "1", "currency": "USD", "event_id": "1", "event_time": T0}


def raw(payload: object, topic: str = "portfolios") -> Raw:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Raw(topic, "t", 3, 7, T0, data)


def test_an_event_keeps_where_it_came_from() -> None:
    routed = route(raw({"type": "CashMoved", **CASH}), shards=8)
    assert isinstance(routed, Routed)
    stamp = decode_journal(routed.entry).stamp
    assert (stamp.topic, stamp.topic_id, stamp.partition, stamp.offset) == ("portfolios", "t", 3, 7)
    assert stamp.appended_at == T0


def test_what_concerns_a_portfolio_goes_to_its_shard_and_the_rest_to_all() -> None:
    cash = route(raw({"type": "CashMoved", **CASH}), shards=8)
    signal = route(SIGNAL, shards=8)
    everyone = {"type": "CoordinationPaused", "event_id": "1", "event_time": T0}
    paused = route(raw(everyone, "control"), shards=8)
    one = route(raw(everyone | {"portfolio": "p"}, "control"), shards=8)
    found = [getattr(item, "shards", None) for item in (cash, signal, paused, one)]
    home = (shard_of("p", 8),)
    assert found == [home, tuple(range(8)), tuple(range(8)), home]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not JSON: expected value"),
        (b"nonsense", "not JSON: "),
        (b"[]", "not a JSON object"),
        (b"{}", "type"),
        ({"type": 5}, "type"),
        ({"type": "Nonsense"}, "unknown event"),
        ({"type": "SignalIssued"}, "does not belong on topic"),
        ({"type": "ClockTicked"}, "does not belong on topic"),
        ({"type": "CashMoved", "version": "1"}, "version"),
        ({"type": "CashMoved", "version": 9, **CASH}, "not known here"),
        ({"type": "CashMoved", **CASH, "amount": 1.5}, "amount"),
        (b" " * (PAYLOAD_MAX + 1), "largest input"),
    ],
)
def test_what_is_no_event_becomes_a_dead_letter_that_says_why(payload: Any, reason: str) -> None:
    letter = route(raw(payload), shards=2)
    assert isinstance(letter, DeadLetter)
    assert reason in letter.reason
    assert letter.where == "partition 3 offset 7"
    assert letter.payload == raw(payload).payload


@given(st.binary(max_size=200), st.text(max_size=50))
def test_a_dead_letter_survives_its_encoding(payload: bytes, reason: str) -> None:
    letter = DeadLetter("signals", "partition 0 offset 1", reason, payload)
    assert decode_dead_letter(encode_dead_letter(letter)) == letter


@given(st.binary(max_size=300))
def test_no_bytes_make_the_router_raise(payload: bytes) -> None:
    assert isinstance(route(raw(payload), shards=2), DeadLetter)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"payload": 1}', b'{"payload": {}}'])
def test_what_is_no_dead_letter_is_refused(data: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_dead_letter(data)


def test_a_batch_is_counted_and_keeps_its_order() -> None:
    log = MemoryLog(clock=zero_clock)
    cash = [raw({"type": "CashMoved", **CASH, "event_id": str(n)}) for n in range(3)]
    counts = Router(log, shards=1).accept([*cash, raw(b"x")], journal_times=[1, 2, 3, 4])
    assert counts == RouteCounts(3, 1)
    entries = [decode_journal(r.payload).event for r in log.read("journal", 0)]
    assert [getattr(e, "event_id", "") for e in entries] == ["0", "1", "2"]
    assert [r.journal_time for r in log.read("journal", 0)] == [1, 2, 3]
    (letter,) = (decode_dead_letter(r.payload) for r in log.read("portfolios.dlq", 0))
    assert letter.payload == b"x"


def test_the_largest_letter_that_can_come_fits_into_the_log() -> None:
    log = MemoryLog(clock=zero_clock)
    for payload in (b"\xff" * PAYLOAD_MAX, b"\x00" * PAYLOAD_MAX):
        assert Router(log, shards=1).accept([raw(payload)]).dead == 1


def test_a_buried_row_and_a_written_event_stand_where_they_belong() -> None:
    log = MemoryLog(clock=zero_clock)
    router = Router(log, shards=2)
    router.bury([DeadLetter("signals", "file row 3", "bad", b"x")], journal_time=5)
    shed = SignalsShed(event_id="1", event_time=T0, source="s", signal_ids=("a",))
    router.write(shed, shards=[0, 1], journal_time=6)
    assert [r.journal_time for r in log.read("signals.dlq", 0)] == [5]
    assert [decode_journal(r.payload).stamp.offset for r in log.read("journal", 1)] == [-1]


def test_a_router_needs_a_shard() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Router(MemoryLog(clock=zero_clock), shards=0)
