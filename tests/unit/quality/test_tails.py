"""Tails of returns that were, against plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.quality.tails import SESSIONS_MIN, over_sessions, past_tail


def test_losses_are_those_of_the_worst_sessions() -> None:
    past = np.array([*[0.01] * 95, -0.01, -0.02, -0.03, -0.04, -0.05])
    rng = np.random.default_rng(1)
    assert past_tail(rng.permutation(past), 0.95) == pytest.approx((0.01, 0.03))
    assert past_tail(past, 0.99) == (0.05, 0.05)


def test_a_gain_is_no_loss() -> None:
    assert past_tail(np.full(40, 0.01), 0.95) == (0.0, 0.0)


@pytest.mark.parametrize(("count", "level"), [(SESSIONS_MIN - 1, 0.95), (99, 0.99), (0, 0.95)])
def test_too_few_sessions_tell_nothing(count: int, level: float) -> None:
    assert past_tail(np.full(count, -0.01), level) == (None, None)


def test_runs_of_sessions_overlap_and_are_sums() -> None:
    past = np.random.default_rng(2).normal(size=30)
    expected = [past[i : i + 5].sum() for i in range(26)]
    assert over_sessions(past, 5) == pytest.approx(expected)
    assert over_sessions(past, 1) == pytest.approx(past)
    assert len(over_sessions(past, 31)) == 0
    assert len(over_sessions(past, 40)) == 0
