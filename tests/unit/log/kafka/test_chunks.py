"""Large records in parts: put together whole, whatever else stands between them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.log.kafka.chunks import Assembly, split
from tests.journals import law

Part = tuple[bytes, bytes | None]


@given(st.binary(max_size=60), st.integers(1, 9))
def test_parts_are_no_larger_than_told_and_make_the_whole(payload: bytes, largest: int) -> None:
    parts = list(split(payload, largest=largest, which="w"))
    assert all(len(part) <= largest for part, _ in parts)
    assembly = Assembly()
    found = [assembly.take(*part) for part in parts]
    assert found == [None] * (len(parts) - 1) + [payload]


def _merged(streams: list[list[Part]], order: list[int]) -> list[Part]:
    waiting = [list(stream) for stream in streams]
    found: list[Part] = []
    for pick in itertools.chain(order, itertools.cycle(range(len(streams)))):
        if not any(waiting):
            return found
        if pick < len(waiting) and waiting[pick]:
            found.append(waiting[pick].pop(0))
    return found


@law(100)
@given(
    st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=3),
    st.lists(st.integers(0, 2), max_size=20),
)
def test_writers_at_the_same_time_do_not_mix(payloads: list[bytes], order: list[int]) -> None:
    streams = [list(split(p, largest=4, which=f"w{n}")) for n, p in enumerate(payloads)]
    assembly = Assembly()
    taken = (assembly.take(*part) for part in _merged(streams, order))
    assert sorted(found for found in taken if found is not None) == sorted(payloads)


def test_a_writer_that_died_leaves_no_record_and_its_successor_is_whole() -> None:
    dead = list(split(b"abcdefgh", largest=3, which="one"))[:2]
    again = list(split(b"abcdefgh", largest=3, which="two"))
    assembly = Assembly()
    assert [assembly.take(*part) for part in [*dead, *again]] == [None] * 4 + [b"abcdefgh"]


def test_a_record_whose_beginning_is_missing_is_none() -> None:
    assembly = Assembly()
    parts = list(split(b"abcdefgh", largest=3, which="one"))
    assert [assembly.take(*part) for part in parts[1:]] == [None, None]
    assert [assembly.take(*part) for part in parts] == [None, None, b"abcdefgh"]


@pytest.mark.parametrize(
    "header", [b"", b"w", b"w 1", b"w 0/2", b"w 3/2", b"w a/b", b"w 1/99999", b"\xff 1/2"]
)
def test_a_header_that_is_none_of_ours_makes_no_record(header: bytes) -> None:
    assert Assembly().take(b"x", header) is None
