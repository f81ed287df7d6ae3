"""Headers say what the bytes say, and nothing that a producer writes makes the edge raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.log.kafka.headers import input_type, key_of, output_headers
from schemas.entries import GENESIS, encode_output
from schemas.examples import EXAMPLES
from schemas.registry import OUTPUTS

SAID = [EXAMPLES[name] for name in sorted(OUTPUTS)]


@pytest.mark.parametrize("event", SAID, ids=lambda event: type(event).__name__)
def test_every_output_has_its_attributes_and_the_key_of_whom_it_is_about(event: Any) -> None:
    entry = encode_output(7, 0, 12, GENESIS, event)
    about = getattr(event, "portfolio", None) or getattr(event, "source", None)
    key = None if about is None else about.encode()
    found = dict(output_headers(entry, topic="p.decisions", shard=3))
    assert key_of(entry) == key == found.get("ce_subject")
    assert found["ce_type"] == f"coordinator.{type(event).__name__}.v{event.version}".encode()
    assert (found["ce_source"], found["ce_id"]) == (b"/p.decisions/3", b"3:12")
    assert found["ce_time"].endswith(b"+00:00")


@pytest.mark.parametrize(
    "entry",
    [b"", b"text", b',"event":', b'x,"event":{}', b'{"a":1,"event":{}}', b'[1,"event":{}}',
     b'{"type":"A","version":1,"event":{}}', b'{"type":"A"\xff,"event":{}}'],
)  # fmt: skip
def test_what_is_no_entry_has_no_headers(entry: bytes) -> None:
    assert output_headers(entry, topic="t", shard=0) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"coordinator.SignalIssued.v1", ("SignalIssued", 1)),
        (b"SignalIssued", ("SignalIssued", None)),
        (b"coordinator.SignalIssued", ("SignalIssued", None)),
        (b"SignalIssued.v12", ("SignalIssued", 12)),
        (b"SignalIssued.v" + b"9" * 5_000, (None, None)),
        ("SignalIssued.v\u0661".encode(), (None, None)),
        (b"", (None, None)),
        (b"\xff", (None, None)),
        (b"com.other.thing", (None, None)),
    ],
)
def test_a_producers_type_is_read_where_it_is_one(
    value: bytes, found: tuple[str | None, int | None]
) -> None:
    assert input_type([("other", b"x"), ("ce_type", value)]) == found


@given(st.lists(st.tuples(st.sampled_from(["ce_type", "a"]), st.binary() | st.none())))
def test_no_headers_make_it_raise(headers: list[tuple[str, bytes | None]]) -> None:
    assert len(input_type(headers)) == 2
    assert input_type(None) == (None, None)
