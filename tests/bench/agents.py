"""The recorded agents of the demo under every rule: a demonstration, with no claim of significance.

Place in the flow: beside the simulated alphas in `experiment`. Thirty sessions, seven agents, no
earlier prices: what came of it is told with an interval of resampled blocks of sessions, which is
wide. The signals are those of the demo; each close's opinions are held against the return from the
next open to the open five sessions later, less the mean of all names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from coordinator.bootstrap import build_engine, risk_model
from coordinator.core.allocate import situation
from coordinator.core.clock import SECOND
from coordinator.core.ports import Floats, Record
from coordinator.core.state import State
from coordinator.core.views import scores
from coordinator.log.memory import MemoryLog
from replay.demo.play import record
from replay.demo.recording import Recording, load
from schemas.entries import Stamp, encode_journal
from schemas.journal import ClockTicked
from tests.bench.rules import RULES, Said, correlation, opinions

__all__ = ["HORIZON", "OURS", "PORTFOLIO", "around", "held_at_closes", "measured", "outcomes"]

OURS = "ours"
HORIZON = 5
BLOCK = 5
"""Sessions resampled together: outcomes of that many overlap."""
RESAMPLED = 5_000
PORTFOLIO = "balanced"
"""Whose opinion is ours; all three portfolios hear the same."""


def measured() -> dict[str, Any]:
    """Mean information coefficient of each rule, and of ours above each, with 95 % intervals."""
    recording = load()
    came = outcomes(recording)
    found: dict[str, list[float]] = {rule: [] for rule in (OURS, *RULES)}
    for session, held in held_at_closes(recording):
        if session < len(came):
            for rule, opinion in held.items():
                found[rule].append(correlation(opinion, came[session]))
    values = {rule: np.array(one) for rule, one in found.items()}
    figures = {}
    for rule, one in values.items():
        figures[rule] = around("ic", one)
        if rule != OURS:
            figures[rule] |= around("ours_above", values[OURS] - one)
    return {"sessions": len(values[OURS]), "claim": "none: thirty sessions say nothing", **figures}


def outcomes(recording: Recording) -> Floats:
    """(t, n) what each name did after a session, less the mean of all."""
    opens = np.array(
        [
            [one.opens.get(name, np.nan) for name in recording.instruments]
            for one in recording.sessions
        ]
    )
    moved = opens[1 + HORIZON :] / opens[1:-HORIZON] - 1.0
    found: Floats = np.nan_to_num(moved - np.nanmean(moved, axis=1, keepdims=True))
    return found


def held_at_closes(recording: Recording) -> Iterator[tuple[int, dict[str, Floats]]]:
    """Each session that closed, and what every rule holds at its close: ours as a return."""
    log, engine, model = MemoryLog(), build_engine(shard=0, shards=1), risk_model()
    record(log, recording, shards=1)
    closes = {one.closed_at: i for i, one in enumerate(recording.sessions) if one.closes}
    ticks = 0
    for entry in log.read("journal", 0):
        engine.step(replace(entry, position=entry.position + ticks))
        session = closes.pop(entry.journal_time, None)
        if session is None:
            continue
        ticks += 1  # what ends with the session has ended then
        engine.step(_tick(entry.position + ticks, entry.journal_time + SECOND))
        state = engine.state
        held = {OURS: np.zeros(len(recording.instruments))}
        now = situation(state, state.portfolios[PORTFOLIO], model)
        if now is not None:
            at = [recording.instruments.index(name) for name in now.problem.instruments]
            held[OURS][at] = now.combination.mu
        yield session, held | opinions(_said(state, recording))


def _tick(position: int, at: int) -> Record:
    tick = ClockTicked(event_id=f"tick-{position}", event_time=at)
    entry = encode_journal(Stamp(tick.topic, "", 0, -1, at), tick)
    return Record("journal", 0, position, at, entry)


def _said(state: State, recording: Recording) -> Said:
    """Live views, in the units that they were scored in."""
    agents = {agent.name: i for i, agent in enumerate(recording.agents)}
    columns = {name: i for i, name in enumerate(recording.instruments)}
    score, confidence, arrival = np.full((3, len(agents), len(columns)), np.nan)
    # Ranks: nanoseconds since 1970 are too many for a float to tell the nearest apart.
    order = sorted({(view.known_at, agents[view.source]) for view in state.views.values()})
    ranks = {one: rank for rank, one in enumerate(order)}
    for key in sorted(state.views):
        view = state.views[key]
        cell = agents[view.source], columns[view.instrument]
        (score[cell],) = scores([view], state.sources, state.parameters)
        confidence[cell] = np.nan if view.confidence is None else view.confidence
        arrival[cell] = ranks[view.known_at, agents[view.source]]
    return Said(score, confidence, arrival)


def around(name: str, values: Floats) -> dict[str, Any]:
    """Mean, and the middle 95 % of means of resampled blocks."""
    rng = np.random.default_rng(0)
    blocks = -(-len(values) // BLOCK)
    starts = rng.integers(0, len(values) - BLOCK + 1, (RESAMPLED, blocks))
    rows = (starts[:, :, None] + np.arange(BLOCK)).reshape(RESAMPLED, -1)[:, : len(values)]
    low, high = np.quantile(values[rows].mean(axis=1), (0.025, 0.975))
    return {
        name: round(float(values.mean()), 4),
        f"{name}_interval": [round(float(low), 4), round(float(high), 4)],
    }
