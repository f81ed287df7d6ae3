"""The demo's agents under every rule: what is measured, and how sure anybody can be of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from replay.demo.recording import load
from tests.bench.agents import HORIZON, OURS, around, measured, outcomes
from tests.bench.rules import RULES


def test_outcomes_are_from_the_next_open_to_the_open_a_horizon_later() -> None:
    recording = load()
    found = outcomes(recording)
    assert len(found) == len(recording.sessions) - 1 - HORIZON
    name = recording.instruments[0]
    first, last = (recording.sessions[i].opens for i in (4, 4 + HORIZON))
    moved = {other: last[other] / first[other] - 1 for other in recording.instruments}
    mean = math.fsum(moved.values()) / len(moved)
    assert found[3, 0] == pytest.approx(moved[name] - mean)


def test_an_interval_of_blocks_is_wider_where_sessions_are_alike() -> None:
    noise = np.random.default_rng(1).normal(size=40)
    alone = around("ic", noise)
    alike = around("ic", np.repeat(noise[::5], 5))
    for one in (alone, alike):
        low, high = one["ic_interval"]
        assert low < one["ic"] < high
    assert np.diff(alike["ic_interval"]) > 1.5 * np.diff(alone["ic_interval"])
    assert around("ic", noise) == alone


def test_every_rule_is_measured_and_nothing_is_claimed() -> None:
    found = measured()
    assert set(found) == {"sessions", "claim", OURS, *RULES}
    assert found["sessions"] == 24
    assert found["claim"].startswith("none")
    for rule in (OURS, *RULES):
        low, high = found[rule]["ic_interval"]
        assert high - low > 0.05
