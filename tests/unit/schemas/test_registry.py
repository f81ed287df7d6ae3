"""Reading events: wrong types are refused, old versions become new ones, garbage is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from schemas import registry
from schemas.base import Event, InputEvent, Name, Origin
from schemas.canonical import canonical_bytes
from schemas.examples import EXAMPLES
from schemas.export import Document, reader_schema
from schemas.registry import EVENTS, INPUT_TOPICS, OUTPUTS, SchemaError, parse_event
from tests.unit.schemas.strategies import fields_of

_NO_TIMES: tuple[Any, ...] = (
    "2025-10-01",
    "2025-10-01T12:00:00",
    "2025-10-01 12:00",
    "12:00:00Z",
    "2025-13-01T00:00:00Z",
    "2025-10-01T24:00:00Z",
    "2025-10-01T23:59:60Z",
    "2025-10-01T12:00:00+24:00",
    "\u0662\u0660\u0662\u0665-10-01T12:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59.999999999Z",
    "2117-01-01T00:00:00Z",
    "NaN",
    "",
    "1759320000000000000",
    -1,
    2**62,
    10**30,
    1.5,
    1759320000000000000.0,
    True,
    [],
    {},
)


def _fields(name: str) -> Document:
    fields: Document = json.loads(canonical_bytes(EXAMPLES[name]))
    return fields


def _refused(name: str, payload: bytes) -> str:
    with pytest.raises(SchemaError) as caught:
        parse_event(name, EVENTS[name].version, payload)
    return str(caught.value)


def _time_fields() -> Iterator[tuple[str, str]]:
    for name, cls in EVENTS.items():
        for field, node in reader_schema(cls)["properties"].items():
            branches = [*node.get("anyOf", ()), *node.get("anyOf", ({},))[0].get("anyOf", ())]
            if any(branch.get("format") == "date-time" for branch in branches):
                yield name, field


@pytest.mark.parametrize(("name", "field"), list(_time_fields()))
def test_a_time_that_is_naive_bare_not_finite_or_out_of_range_is_refused(
    name: str, field: str
) -> None:
    for value in _NO_TIMES:
        message = _refused(name, json.dumps({**_fields(name), field: value}).encode())
        assert field in message, (value, message)
    for word in (b"NaN", b"Infinity", b"-Infinity", b"1e400"):
        raw = json.dumps({**_fields(name), field: "@"}).encode().replace(b'"@"', word)
        assert name in _refused(name, raw)


def test_every_input_has_a_time_that_is_checked() -> None:
    timed = {name for name, field in _time_fields() if field == "event_time"}
    # An answer to a signal repeats its time.
    assert timed == (set(EVENTS) - set(OUTPUTS)) | {"SignalRejected"}


def _wrong(node: Document) -> tuple[Any, ...]:
    """Values that look close to what the field wants."""
    branches = node.get("anyOf", [node])
    if any("$ref" in branch for branch in branches):
        return (1, "x", [], True)
    kinds = {branch.get("type") for branch in branches}
    if any(branch.get("format") == "decimal" for branch in branches):
        return (1.5, True, "1e3", "NaN", "Infinity", " 1", "1_000", "+1", "\u0661", "1" * 41)
    table: dict[str, tuple[Any, ...]] = {
        "string": (1, 1.5, True, []),
        "integer": ("1", 1.5, True, []),
        "number": ("1.5", True, "NaN", []),
        "boolean": (0, 1, "true", []),
        "array": ("x", {}, 1, True),
    }
    kind = next(kind for kind in table if kind in kinds)
    return tuple(value for value in table[kind] if not ("integer" in kinds and value == 1))


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_value_of_the_wrong_type_is_refused_in_every_field(name: str) -> None:
    times = {field for event, field in _time_fields() if event == name}
    for field, node in reader_schema(EVENTS[name])["properties"].items():
        if field in times:
            continue
        for value in _wrong(node):
            message = _refused(name, json.dumps({**_fields(name), field: value}).encode())
            assert field in message, (value, message)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_missing_field_is_named(name: str) -> None:
    for field in reader_schema(EVENTS[name])["required"]:
        fields = _fields(name)
        del fields[field]
        assert field in _refused(name, json.dumps(fields).encode())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"event_id":"\\ud800","event_time":1}',
        b'{"event_id":"\xed\xa0\x80","event_time":1}',
        b'{"event_id":"t","event_time":1,"x":' + b"[" * 100_000,
        b'{"event_id":"t","event_time":1,"x":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"event_id":"t","event_time":' + b"9" * 100_000 + b"}",
        b'{"event_id":"t","event_time":1} trailing',
        b'{"event_id":"\x00","event_time":1}',
        b'{"event_id":"two\\nlines","event_time":1}',
        b'{"event_id":" padded ","event_time":1}',
        b'{"event_id":"\\u202e","event_time":1}',
    ],
)
def test_garbage_is_refused_by_name_at_any_version(payload: bytes) -> None:
    assert "ClockTicked" in _refused("ClockTicked", payload)


def test_of_doubled_keys_the_last_counts_for_every_reader() -> None:
    payload = b'{"event_id":"a","event_time":1,"event_id":"b"}'
    event = parse_event("ClockTicked", 1, payload)
    assert getattr(event, "event_id") == json.loads(payload)["event_id"] == "b"  # noqa: B009 - the parser promises an Event only


@pytest.mark.parametrize("name", ["", "signalissued", "Event", "x" * 10**6, None, 5, ["a"]])
def test_an_unknown_name_is_refused_in_a_short_line(name: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_event(name, 1, b"{}")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("version", [0, -1, 2, 10**6, True, 1.0, "1", None])
def test_a_version_that_is_none_of_ours_is_refused(version: Any) -> None:
    with pytest.raises(SchemaError, match="version"):
        parse_event("ClockTicked", version, b'{"event_id":"t","event_time":1}')


def test_a_version_too_long_to_be_shown_is_refused() -> None:
    with pytest.raises(SchemaError, match="version"):
        parse_event("ClockTicked", 10**5000, b"{}")


def test_every_event_stands_on_one_known_topic() -> None:
    assert {cls.topic for cls in EVENTS.values()} == {*INPUT_TOPICS, "journal", "decisions"}
    assert all(EVENTS[name].topic == "decisions" for name in OUTPUTS)


class Moved(InputEvent):
    """An event in its third version: `to` was `target`, and `speed` came with version 2."""

    version: ClassVar[int] = 3
    topic: ClassVar[str] = "market"
    origin: ClassVar[Origin] = Origin.EXOGENOUS

    to: Name
    speed: float


def _speed_added(fields: Document) -> Document:
    return {**fields, "speed": 1.0}


def _target_renamed(fields: Document) -> Document:
    kept = {key: value for key, value in fields.items() if key != "target"}
    return {**kept, "to": fields["target"].strip()}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Event]:
    monkeypatch.setattr(registry, "EVENTS", MappingProxyType({**EVENTS, "Moved": Moved}))
    monkeypatch.setitem(registry.UPCASTS, ("Moved", 1), _speed_added)
    monkeypatch.setitem(registry.UPCASTS, ("Moved", 2), _target_renamed)

    def read(version: int, **fields: Any) -> Event:
        payload = json.dumps({"event_id": "m", "event_time": 7, **fields}).encode()
        return parse_event("Moved", version, payload)

    return read


def test_old_versions_are_upcast_step_by_step(planted: Callable[..., Event]) -> None:
    newest = planted(3, to="B", speed=2.0)
    assert planted(2, target=" B ", speed=2.0) == newest
    assert planted(1, target="B") == Moved(event_id="m", event_time=7, to="B", speed=1.0)


def test_a_newer_version_is_refused(planted: Callable[..., Event]) -> None:
    with pytest.raises(SchemaError, match="version 4 is not known here"):
        planted(4, to="B", speed=2.0)


def test_what_an_upcast_cannot_read_is_refused(planted: Callable[..., Event]) -> None:
    with pytest.raises(SchemaError, match=r"version 2 cannot be read as version 3.*target"):
        planted(2, speed=2.0)
    with pytest.raises(SchemaError, match=r"Moved\.speed"):
        planted(2, target="B", speed="fast")


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff", b'{"a":NaN}', b'{"a":' * 1000])
def test_garbage_in_an_old_version_is_refused(
    planted: Callable[..., Event], payload: bytes
) -> None:
    del planted
    with pytest.raises(SchemaError, match="Moved"):
        parse_event("Moved", 1, payload)


@given(fields_of("OrderFilled"))
def test_an_upcast_keeps_every_digit_of_money(fields: Document) -> None:
    # What _upcast does to fields that no step touches: JSON in, JSON out.
    raw = json.dumps(fields).encode()
    assert parse_event("OrderFilled", 1, to_json(from_json(raw))) == parse_event(
        "OrderFilled", 1, raw
    )


@given(st.text(max_size=30))
def test_any_text_as_a_name_is_taken_as_it_is_or_refused(text: str) -> None:
    fields = {"event_id": text, "event_time": 1}
    try:
        event = parse_event("ClockTicked", 1, json.dumps(fields).encode())
    except SchemaError:
        assert not (text and text.isalnum() and text.isascii())
    else:
        assert json.loads(canonical_bytes(event))["event_id"] == text
