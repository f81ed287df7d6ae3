"""Priorities: parts in [0, 1], weighted as the parameters say, each moved by its own cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coordinator.core.priority import PARTS, Priorities, decision_parts, priorities, weighted
from coordinator.core.skill import Forecasts, horizon_bucket
from coordinator.core.state import Source
from schemas.control import Parameters, PriorityWeights, SourceRegistered
from tests.unit.core.planted import Scored, board_of, combined, view

COVARIANCE = np.diag([4e-4, 9e-4])


def source(name: str, **terms: Any) -> Source:
    return Source(SourceRegistered(event_id="1", event_time=0, source=name, **terms))


def found(
    rows: list[Scored], *, parameters: Parameters | None = None, **sources: Source
) -> Priorities:
    known = {"s": source("s"), "u": source("u")} | sources
    mixed = combined(board_of(rows), COVARIANCE, prior=np.zeros(2), correlation=0.0)
    return priorities(mixed, COVARIANCE, known, parameters or Parameters())


def row(source: str, *, pick: int = 0, score: float = 1.0, skill: float = 0.1) -> Scored:
    return Scored(view(instrument="AB"[pick], source=source), pick, score, skill, 0.3)


def part(given: Priorities, name: str) -> list[float]:
    column: list[float] = given.parts[:, PARTS.index(name)].tolist()
    return column


def test_the_whole_is_the_weighted_mean_of_the_parts() -> None:
    weights = PriorityWeights(confidence=3.0, recency=0.0, strategy=1.0)
    given = found([row("s"), row("u", score=2.0)], parameters=Parameters(priority_weights=weights))
    shares = np.array([3.0, 0.0, 1.0, 1.0, 1.0, 1.0]) / 7.0
    assert given.whole == pytest.approx(given.parts @ shares)
    assert ((given.parts >= 0.0) & (given.parts <= 1.0)).all()


def test_surer_opinions_and_larger_wishes_matter_more() -> None:
    given = found([row("s", score=0.5), row("u", score=2.5)])
    assert part(given, "confidence")[0] < part(given, "confidence")[1]
    assert part(given, "capital") == [pytest.approx(0.2), 1.0]


def test_a_source_whose_skill_is_beyond_doubt_has_the_better_reputation() -> None:
    known = source("u")
    known.skill.by_horizon[horizon_bucket(5.0)] = Forecasts(sz=800.0, ss=8_000.0, weight=8_000.0)
    doubted, sure = part(found([row("s"), row("u")], u=known), "reputation")
    assert doubted == pytest.approx(0.6827, abs=1e-3)  # 0.05 give or take 0.05
    assert sure > 0.99


def test_a_strategys_own_priority_counts_before_its_sources() -> None:
    given = found([row("s"), row("u")], u=source("u", priority=0.9))
    assert part(given, "strategy") == [0.5, 0.9]


def test_a_decisions_parts_are_its_signals_by_what_they_add() -> None:
    given = found([row("s", score=0.5), row("u", score=2.5)])
    only_second = decision_parts(given, np.array([0.0, -0.2]))
    assert only_second.tolist() == given.parts[1].tolist()
    assert decision_parts(given, np.zeros(2)).tolist() == [0.0] * len(PARTS)
    assert weighted(only_second, Parameters()) == pytest.approx(float(given.whole[1]))


def test_nobody_has_a_priority_where_nobody_speaks() -> None:
    given = found([])
    assert (given.parts.shape, given.whole.shape) == ((0, len(PARTS)), (0,))


def test_weights_that_are_all_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one weight"):
        PriorityWeights(**dict.fromkeys(PARTS, 0.0))
