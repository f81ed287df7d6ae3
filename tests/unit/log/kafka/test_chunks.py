"""Large records in parts: put together whole, whatever else stands between them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.log.kafka.chunks import Assembly, split
from coordinator.log.kafka.log import CHUNK_BYTES, CHUNKED
from schemas.control import Parameters
from schemas.decisions import ConflictKind, ConflictLine, ConflictsDetected
from schemas.entries import GENESIS, decode_output, encode_output
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


@pytest.mark.parametrize("missing", range(3))
def test_a_record_that_lacks_any_part_is_none_and_those_around_it_are_whole(missing: int) -> None:
    """A checkpoint that was damaged so is passed over: recovery takes the one before it."""
    older, harmed, newer = (
        list(split(payload, largest=3, which=payload.decode()[:1]))
        for payload in (b"abcdefgh", b"ijklmnop", b"qrstuvwx")
    )
    del harmed[missing]
    assembly = Assembly()
    found = [assembly.take(*part) for part in [*older, *harmed, *newer]]
    assert [whole for whole in found if whole is not None] == [b"abcdefgh", b"qrstuvwx"]


@pytest.mark.parametrize(
    "header", [b"", b"w", b"w 1", b"w 0/2", b"w 3/2", b"w a/b", b"w 1/99999", b"\xff 1/2"]
)
def test_a_header_that_is_none_of_ours_makes_no_record(header: bytes) -> None:
    assert Assembly().take(b"x", header) is None


def of_conflicts(count: int, *, signals: int, resolution: int) -> bytes:
    """A round's entry of so many conflicts, each of two names and so many signals."""
    line = ConflictLine(
        kind=ConflictKind.CORRELATED_INSTRUMENTS, instruments=("A" * 32, "B" * 32),
        signals=("s" * 64,) * signals, severity=0.123456789, resolution="r" * resolution,
    )  # fmt: skip
    event = ConflictsDetected(
        decided_at=2**61, portfolio="p" * 128, decision_id="p" * 140, conflicts=(line,) * count
    )
    return encode_output(2**40, 0, 2**40, GENESIS, event)


def test_as_many_conflicts_as_are_reported_unasked_fit_one_record() -> None:
    entry = of_conflicts(Parameters().conflicts_max, signals=100, resolution=200)
    assert len(entry) < CHUNK_BYTES


def test_the_most_conflicts_that_may_be_reported_come_back_whole() -> None:
    assert "decisions" in CHUNKED
    most = Parameters.model_json_schema()["properties"]["conflicts_max"]["maximum"]
    entry = of_conflicts(most, signals=10, resolution=2_000)
    parts = list(split(entry, largest=CHUNK_BYTES, which="w"))
    assert len(parts) > 1
    assembly = Assembly()
    *before, whole = [assembly.take(*part) for part in parts]
    assert (set(before), whole) == ({None}, entry)
    event = decode_output(entry).event
    assert isinstance(event, ConflictsDetected)
    assert len(event.conflicts) == most
