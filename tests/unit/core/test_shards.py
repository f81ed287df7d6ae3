"""Which shard owns what: stable across processes, builds and platforms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.shards import SHARDS_DEFAULT, shard_of


def test_homes_are_the_ones_written_down_when_the_hash_was_chosen() -> None:
    found = {key: shard_of(key, SHARDS_DEFAULT) for key in ("p", "portfolio-1", "źródło", "信号")}
    assert found == {"p": 1, "portfolio-1": 4, "źródło": 6, "信号": 1}


@given(key=st.text(), shards=st.integers(1, 100))
def test_a_home_is_one_of_the_shards(key: str, shards: int) -> None:
    assert 0 <= shard_of(key, shards) < shards


def test_keys_spread_over_all_shards() -> None:
    counts = [0] * 8
    for number in range(8_000):
        counts[shard_of(f"portfolio-{number}", 8)] += 1
    assert min(counts) > 850
