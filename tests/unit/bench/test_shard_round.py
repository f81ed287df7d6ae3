"""The bench of a shard's round: portfolios that differ, and two engines that say the same."""

from __future__ import annotations

import sys

import pytest

from tests.bench.shard_round import Shard, portfolio


def test_portfolios_differ_in_mode_mandate_and_money() -> None:
    found = [portfolio(number) for number in range(12)]
    assert len({(one.mode, one.mandate.model_dump_json()) for one in found}) == 12
    assert len({one.cash for one in found}) == 12


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is forked")
def test_both_engines_decide_everybody_and_say_the_same() -> None:
    shard = Shard(12, processes=3, names=6)
    for day in (1, 2):
        seconds = shard.session(day)
        assert len(seconds) == 2
        assert min(seconds) > 0
    assert shard.same
    assert shard.hands.taken > 0
    assert [one.decisions for one in shard.engines] == [24, 24]
