"""What is remembered is what a dictionary would hold, in a fraction of its memory."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core import remembered
from coordinator.core.remembered import Remembered

IDS = st.text(alphabet="abcdef", min_size=1, max_size=1)
STEPS = st.lists(
    st.tuples(IDS, st.integers(0, 30), st.integers(1, 6), st.integers(0, 30)), max_size=60
)


def filled(count: int, *, start: int = 0) -> Remembered:
    made = Remembered()
    for number in range(start, start + count):
        made.put(f"SignalIssued\ts0\tr-{number}", number)
    return made


def small_blocks(monkeypatch: pytest.MonkeyPatch, *, cut_mask: int, block_max: int) -> None:
    monkeypatch.setattr(remembered, "CUT_MASK", cut_mask)
    monkeypatch.setattr(remembered, "BLOCK_MAX", block_max)


@pytest.mark.parametrize(("cut_mask", "block_max"), [(0, 1), (1, 3), (7, 4), (2**15 - 1, 40_000)])
@given(steps=STEPS)
def test_it_holds_what_a_dictionary_in_the_order_of_use_would(
    cut_mask: int, block_max: int, steps: list[tuple[str, int, int, int]]
) -> None:
    made, expected = Remembered(), dict[str, int]()
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, cut_mask=cut_mask, block_max=block_max)
        for key, time, kept_max, since in steps:
            made.put(key, time)
            expected.pop(key, None)
            expected[key] = time
            made.forget(kept_max=kept_max, since=since)
            while expected:
                oldest = next(iter(expected))
                if len(expected) <= kept_max and expected[oldest] >= since:
                    break
                del expected[oldest]
            assert len(made) == len(expected)
            assert {key: made.get(key) for key in "abcdef"} == {
                key: expected.get(key) for key in "abcdef"
            }
            again = Remembered.read(*made.written())
            assert [again.get(key) for key in expected] == list(expected.values())
            assert len(again) == len(expected)
            assert again.written() == made.written()


def test_what_was_written_down_goes_on_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, cut_mask=7, block_max=16)
    made = filled(100)
    made.forget(kept_max=61, since=0)
    again = Remembered.read(*made.written())
    for one in (made, again):
        for number in range(90, 140):
            one.put(f"SignalIssued\ts0\tr-{number}", number)
        one.forget(kept_max=70, since=80)
    assert len(again) == len(made) == 60
    assert again.written() == made.written()


def test_ids_that_every_shard_hears_are_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight shards of a process, one of them restored, one that began later."""
    small_blocks(monkeypatch, cut_mask=2**10 - 1, block_max=2**12)
    count = 20_000
    gc.collect()
    tracemalloc.start()
    try:
        shards = [filled(count) for _ in range(6)]
        shards += [Remembered.read(*shards[0].written()), filled(count - 500, start=500)]
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    full = {id(block) for one in shards for block in one._blocks if block.full}
    every = sum(block.full for one in shards for block in one._blocks)
    assert len(full) <= every / 4
    slots = 2 * remembered.SLOTS * (len(full) + len(shards)) + remembered.MARKS * len(shards)
    # Strings in eight dictionaries took 140 bytes an id and shard.
    assert held - slots < 3 * count * 24


def test_an_id_takes_few_bytes() -> None:
    made = filled(200_000)
    blocks = made._blocks
    held = sum(
        len(block.names) + len(block.times) * 8 + len(block.slots) * 2 for block in blocks[:-1]
    )
    assert held / sum(map(len, blocks[:-1])) < 35


def test_a_time_beyond_64_bits_is_no_failure() -> None:
    made = Remembered()
    made.put("a", 1 << 70)
    made.put("b", -(1 << 70))
    assert made.get("a") == 2**63 - 1
    assert made.get("b") == -(2**63 - 1)


@pytest.mark.parametrize("cut", [(1, 0), (0, 1), (16, 0), (0, 8)])
def test_lengths_that_do_not_agree_are_refused(cut: tuple[int, int]) -> None:
    names, times = filled(3).written()
    with pytest.raises(ValueError, match="bytes of ids"):
        Remembered.read(names[: len(names) - cut[0]], times[: len(times) - cut[1]])


def test_an_id_written_down_twice_counts_once() -> None:
    names, times = filled(2).written()
    made = Remembered.read(names + names[:16], times + times[8:])
    assert len(made) == 2
    assert made.get("SignalIssued\ts0\tr-0") == 1


def test_a_new_id_is_not_searched_for_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, cut_mask=2**6 - 1, block_max=2**8)
    made = filled(20_000)
    assert len(made._blocks) > 100
    looked: list[bytes] = []
    find = remembered._Block.find

    def watched(block: remembered._Block, name: bytes) -> int:
        looked.append(name)
        return find(block, name)

    monkeypatch.setattr(remembered._Block, "find", watched)
    assert [made.get(f"new {n}") for n in range(1_000)] == [None] * 1_000
    assert len(looked) < 5_000  # 300 blocks each, without the marks
    assert [made.get(f"SignalIssued\ts0\tr-{n}") for n in range(0, 20_000, 500)] == list(
        range(0, 20_000, 500)
    )


def test_marks_go_with_their_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, cut_mask=2**6 - 1, block_max=2**8)
    made = filled(5_000)
    for one in (made, Remembered.read(*made.written())):
        counts = one._marks._counts
        assert sum(counts) == sum(len(block) for block in one._blocks if block.full) > 4_000
        one.forget(kept_max=1, since=0)
        assert sum(counts) == sum(len(block) for block in one._blocks if block.full) < 300


def test_a_mark_that_many_have_stays() -> None:
    marks, name = remembered._Marks(), bytes(16)
    assert not marks.maybe(name)
    marks.count(bytearray(name * 300), 1)
    marks.count(bytearray(name * 299), -1)
    assert marks.maybe(name)
    assert not marks.maybe(bytes([0, 0, 1]) + bytes(13))


def test_who_asked_for_another_id_is_not_taken_for_it() -> None:
    made = filled(3)
    assert made.get("a") is None
    made.put("b", 7)
    made.put("a", 8)
    assert made.get("a") == 8
    assert made.get("b") == 7
    made.forget(kept_max=1, since=0)
    assert made.get("b") is None
    made.put("a", 9)
    assert len(made) == 1
