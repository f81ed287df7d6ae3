"""Dead letters as Kafka holds them: origin and reason in headers, the bytes as they came."""

from __future__ import annotations

from coordinator.core.route import decode_dead_letter
from coordinator.log.kafka.letters import ORIGIN_HEADERS, Letter, Origin
from coordinator.log.kafka.tail import Found

VALUES = (b"pre.signals", b"id", b"3", b"17", b"5", b"not a JSON object")
ROUTERS = list(zip(ORIGIN_HEADERS, VALUES, strict=True))


def letter(headers: list[tuple[str, bytes]], value: bytes = b"\xffbytes") -> Letter:
    return Letter("signals.dlq", Found(9, 1_000, b"key", value, headers))


def test_a_letter_looks_as_in_every_other_log() -> None:
    found = decode_dead_letter(letter(ROUTERS).encoded())
    assert (found.topic, found.where) == ("signals", "partition 3 offset 17")
    assert (found.reason, found.payload) == ("not a JSON object", b"\xffbytes")


def test_a_producers_headers_of_the_same_names_do_not_stand_for_the_routers() -> None:
    own = [("error", b"mine"), ("origin_offset", b"99"), ("ce_type", b"x")]
    found = letter([*own, *ROUTERS])
    assert found.reason == "not a JSON object"
    assert found.origin == Origin("pre.signals", "id", 3, 17)
    assert found.own_headers == own


def test_what_somebody_else_wrote_there_is_a_letter_without_an_origin() -> None:
    for headers in ([], [("origin_offset", b"x")], [("a", b"b")]):
        found = letter(list(headers))
        assert found.origin is None
        assert found.own_headers == headers
        assert decode_dead_letter(found.encoded()).where == "unknown"
