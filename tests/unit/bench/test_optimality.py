"""Two hundred decisions against an independent reference, and whole lots against the best."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest

from coordinator.solver import CvxAllocator, SolverSettings
from tests.bench.books import MANDATES, WINDOW, decisions, planted
from tests.bench.optimality import TOLERANCE, Judgement, judged, part, summary
from tests.support.tight_reference import worth

NAMES, EACH = 16, 30


@pytest.mark.parametrize("number", range(len(MANDATES)), ids=[one.name for one in MANDATES])
def test_decisions_are_within_a_hundredth_of_a_basis_point_of_the_best(number: int) -> None:
    world = planted(sessions=WINDOW + EACH + 1, names=20)
    found = part(world, number, first=WINDOW, count=EACH, names=NAMES)
    if MANDATES[number].charged and not found:
        pytest.skip("the allocator does not state these charges")
    assert len(found) == EACH
    for one in found:
        assert abs(one.gap) <= TOLERANCE, one
        assert one.beyond <= TOLERANCE * NAMES, one
        # Whole shares cost little, and are never worth more than the best by more than they break.
        assert one.gap_lots >= -1e-5, one
    assert summary(found)["gap_after_lots_bp"]["p95"] <= 0.5


def test_holding_is_seen_to_be_worse() -> None:
    world = planted(sessions=WINDOW + 3, names=20)
    paths = decisions(world, MANDATES[0], first=WINDOW, last=WINDOW + 1, seed=0, names=NAMES)
    problem, _ = next(paths)
    answer, one = judged(problem, CvxAllocator(SolverSettings()), "aggressive")
    held = worth(problem, np.zeros(NAMES))
    told = answer.objective_continuous
    assert told == pytest.approx(worth(problem, answer.continuous), abs=1e-12)
    assert one.gap + told - held > 10 * TOLERANCE


def test_the_summary_counts_what_is_beyond_the_tolerance() -> None:
    near = Judgement("m", "solved", 1e-9, 1e-6, 0.0, 0.0)
    far = Judgement("m", "relaxed", 3e-6, 4e-4, 1e-3, 2e-7)
    found = summary([near] * 98 + [far] * 2)
    assert found["within_0.01_bp"] == 98
    assert found["share_within"] == 0.98
    assert found["gap_bp"]["max"] == 0.03
    assert found["gap_after_lots_bp"]["max"] == 4.0
    assert found["limits_broken"] == 2
    assert found["beyond_least_max"] == 2e-7
    assert found["rungs"] == {"relaxed": 2, "solved": 98}
    unknown = Judgement("m", "solved", math.nan, math.nan, 0.0, 0.0)
    assert summary([near] * 99 + [unknown])["share_within"] == 0.99
    assert summary([near] * 99 + [unknown])["without_a_reference"] == 1


@pytest.mark.skipif(find_spec("pyscipopt") is None, reason="no SCIP here: run ops/setup --bench")
def test_whole_lots_are_near_the_best_there_are() -> None:
    from tests.support.whole_lots import best_lots, small  # noqa: PLC0415 - they need SCIP

    allocator = CvxAllocator(SolverSettings())
    for seed in range(12):
        problem = small(seed, finer=10.0)
        answer, proven = allocator.allocate(problem), best_lots(problem)
        assert proven.bound - proven.value <= 1e-6
        assert worth(problem, proven.trades) == pytest.approx(proven.value, abs=1e-7)
        assert proven.value <= answer.objective_continuous + 1e-7
        assert -1e-7 <= proven.bound - worth(problem, answer.trades) <= 1e-4
