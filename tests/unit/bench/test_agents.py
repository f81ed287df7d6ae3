"""The demo's agents under every rule: what is measured, and how sure anybody can be of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from replay.demo.recording import load
from tests.bench.agents import HORIZON, OURS, _said, around, measured, outcomes
from tests.bench.rules import RULES
from tests.journals import T0
from tests.unit.core.planted import state_of, view


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


def test_what_came_last_is_told_to_the_nanosecond_and_ties_by_agent() -> None:
    """At this time of the world a float has steps of 256 ns."""
    recording = load()
    name, other = recording.instruments[:2]
    first, second, third = (agent.name for agent in recording.agents[:3])
    state = state_of()
    for instrument, times in ((name, (T0 + 2, T0 + 1, T0 + 1)), (other, (T0, T0, T0 - 1))):
        for source, at in zip((first, second, third), times, strict=True):
            one = view(source=source, strategy=source, instrument=instrument, known_at=at)
            state.views[source, source, instrument] = one
            state.sources[source] = state.sources["s"]
    arrival = _said(state, recording).arrival
    assert arrival[:3, 0].argsort().tolist() == [1, 2, 0]
    assert arrival[:3, 1].argsort().tolist() == [2, 0, 1]
    assert np.isnan(arrival[3:]).all()


def test_every_rule_is_measured_and_nothing_is_claimed() -> None:
    found = measured()
    assert set(found) == {"sessions", "claim", OURS, *RULES}
    assert found["sessions"] == 24
    assert found["claim"].startswith("none")
    for rule in (OURS, *RULES):
        low, high = found[rule]["ic_interval"]
        assert high - low > 0.05
