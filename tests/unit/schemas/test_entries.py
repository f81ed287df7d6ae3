"""Entries of a log: what was written is read back; of garbage comes SchemaError, nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.canonical import canonical_bytes, digest
from schemas.entries import (
    GENESIS,
    JournalEntry,
    Stamp,
    decode_journal,
    decode_output,
    encode_journal,
    encode_output,
)
from schemas.examples import EXAMPLES
from schemas.registry import EVENTS, OUTPUTS, SchemaError, parse_event
from tests.unit.schemas.strategies import INPUT_NAMES, inputs

_STAMP = Stamp("signals", "f3a1", 3, 42, 1_759_320_000_000_000_000)
_NASTY = (
    b"\xff",
    b"\xed\xa0\x80",
    b'"\\ud800"',
    b"9" * 5000,
    b"-" + b"1" * 400,
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"[" * 300,
    b'{"a":' * 300,
    b"null",
    b"true",
    b"-0.0",
    b"{}",
    b"[]",
    b'""',
    b'"9999-12-31T23:59:59.999999999-23:59"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"' + b"9" * 19 + b'.999999999999"',
    b'"type":"SignalIssued",',
    b',"event":{}',
    b"\\",
    b'"',
    b",",
    b"}",
    b"\x00",
    b"",
)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_stamps = st.builds(
    Stamp, _texts, _texts, st.integers(0, 2**31), st.integers(-1, 2**63), st.integers(0, 2**63)
)


@given(inputs(), _stamps)
@example(("ClockTicked", {"event_id": "t", "event_time": 1}), Stamp('a,"event":{', "}", 0, -1, 0))
@example(("ClockTicked", {"event_id": "t", "event_time": 1}), Stamp(',"offset":', "", 0, 7, 9))
def test_a_journal_entry_comes_back_as_it_was(
    given: tuple[str, dict[str, Any]], stamp: Stamp
) -> None:
    name, fields = given
    event = parse_event(name, EVENTS[name].version, json.dumps(fields).encode())
    entry = encode_journal(stamp, event)
    assert decode_journal(entry) == JournalEntry(stamp, event)
    assert json.loads(entry)["event"] == json.loads(canonical_bytes(event))


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_entry_comes_back_with_its_place_and_hashes(name: str) -> None:
    event = EXAMPLES[name]
    raw = encode_output(17, 2, 5, GENESIS, event)
    entry = decode_output(raw)
    assert (entry.position, entry.ordinal, entry.seq, entry.prev) == (17, 2, 5, GENESIS)
    assert entry.event == event
    assert entry.hash == digest(raw)
    assert entry.content == digest(canonical_bytes(event))


def _mangled(raw: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, patch in cuts:
        start = at % (len(raw) + 1)
        raw = raw[:start] + patch + raw[start + length :]
    return raw


_cuts = st.lists(
    st.tuples(
        st.integers(0, 2000),
        st.integers(0, 40),
        st.one_of(st.sampled_from(_NASTY), st.binary(max_size=3)),
    ),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(INPUT_NAMES), _cuts)
def test_a_mangled_journal_entry_is_read_or_refused_and_nothing_else(
    name: str, cuts: list[tuple[int, int, bytes]]
) -> None:
    raw = _mangled(encode_journal(_STAMP, EXAMPLES[name]), cuts)
    try:
        entry = decode_journal(raw)
    except SchemaError:
        return
    assert decode_journal(encode_journal(entry.stamp, entry.event)) == entry


@given(st.sampled_from(OUTPUTS), _cuts)
def test_a_mangled_output_entry_is_read_or_refused_and_nothing_else(
    name: str, cuts: list[tuple[int, int, bytes]]
) -> None:
    raw = _mangled(encode_output(17, 0, 5, GENESIS, EXAMPLES[name]), cuts)
    try:
        entry = decode_output(raw)
    except SchemaError:
        return
    again = encode_output(entry.position, entry.ordinal, entry.seq, entry.prev, entry.event)
    assert decode_output(again).event == entry.event


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(raw: bytes) -> None:
    for decode in (decode_journal, decode_output):
        with pytest.raises(SchemaError):
            decode(raw)


_WRONG: tuple[Any, ...] = (None, True, 1.5, "1", 7, [1], {"a": 1}, 10**40)


@pytest.mark.parametrize(
    "field", ["type", "version", "topic", "topic_id", "partition", "offset", "appended_at"]
)
def test_a_journal_header_of_the_wrong_type_is_refused(field: str) -> None:
    entry = json.loads(encode_journal(_STAMP, EXAMPLES["SignalIssued"]))
    for value in _WRONG:
        # JSON has one kind of integer, so a huge one is only refused where it must name a version.
        if type(value) is type(entry[field]) and field not in ("type", "version"):
            continue
        raw = json.dumps({**entry, field: value}, separators=(",", ":")).encode()
        with pytest.raises(SchemaError):
            decode_journal(raw)


@pytest.mark.parametrize("field", ["type", "version", "position", "ordinal", "seq", "prev"])
def test_an_output_header_without_a_field_is_refused(field: str) -> None:
    entry = json.loads(encode_output(17, 0, 5, GENESIS, EXAMPLES["AlertRaised"]))
    del entry[field]
    raw = json.dumps(entry, separators=(",", ":")).encode()
    with pytest.raises(SchemaError, match=field):
        decode_output(raw)


def test_a_flood_of_different_headers_does_not_grow_what_is_remembered() -> None:
    event = EXAMPLES["ClockTicked"]
    for number in range(10_000):
        stamp = Stamp(f"topic-{number}", "", 0, -1, 0)
        assert decode_journal(encode_journal(stamp, event)).stamp == stamp
