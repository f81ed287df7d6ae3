"""Laws of charges and sleeves: in any state it answers, keeps limits, is optimal and adds up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.core.ports import AllocationProblem, Charges, Floats, RiskEstimate, Sleeves
from coordinator.solver import CvxAllocator, SolverSettings, factor_qp, quick
from coordinator.solver.sizes import best_sizes
from coordinator.solver.worth import objective
from tests.laws.test_allocator_laws import problems
from tests.support.allocation_reference import reference

ALLOCATOR = CvxAllocator(SolverSettings())
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOLERANCE = 1e-6
RESIDUAL = 1e-5
"""In any state; those of portfolios are held to a tenth of it: unit/solver/test_charges."""


def _rates(rng: np.random.Generator, n: int, largest: float) -> Floats:
    """Some of them none at all."""
    return np.where(rng.random(n) < 0.3, 0.0, rng.uniform(0.0, largest, n))


@st.composite
def charged(draw: st.DrawFn, *, calm: bool, factors: bool = False) -> AllocationProblem:
    """A problem in any state, with any charges, and sleeves or none."""
    p = draw(problems(calm=calm))
    n = len(p.instruments)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    much = draw(st.sampled_from([0.1, 1.0, 10.0]))
    some: dict[str, Any] = {
        "robustness": _rates(rng, n, 0.004 * much),
        "impact": _rates(rng, n, 0.1 * much),
        "impact_square": _rates(rng, n, 0.3 * much),
        "borrow": _rates(rng, n, 0.004 * much),
        "carry": rng.normal(size=n) * 0.001 * much,
        "benchmark": _rates(rng, n, 0.2),
        "linear_buy": _rates(rng, n, 0.002),
        "linear_sell": _rates(rng, n, 0.002),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(some))))
    if chosen & {"linear_buy", "linear_sell"}:
        chosen |= {"linear_buy", "linear_sell"}
    weights: dict[str, Any] = {
        name: draw(st.sampled_from([0.0, 0.0, one * much]))
        for name, one in (("turnover", 0.002), ("diversification", 2.0), ("tracking", 3.0))
    }
    p = replace(p, charges=Charges(**{name: some[name] for name in sorted(chosen)}, **weights))
    if factors and n:
        rows = rng.normal(size=(2, n)) * draw(st.sampled_from([0.0, 0.01, 0.05]))
        known = RiskEstimate(rows, rng.uniform(1e-5, 4e-3, n), 0.0, 100.0, 2)
        p = replace(p, covariance=known.covariance(), factors=known)
    s = draw(st.integers(0, 3))
    if not s or not n:
        return p
    targets = rng.normal(size=(n, s)) * draw(st.sampled_from([1.0, 30.0]))
    return replace(
        p,
        sleeves=Sleeves(
            names=tuple(f"s/{i}" for i in range(s)),
            targets=targets,
            size_max=_rates(rng, s, 0.1),
            wished=_rates(rng, s, 0.1),
            wish_weight=_rates(rng, s, 5.0),
            house_weight=draw(st.sampled_from([0.0, 0.1, 2.0])),
        ),
    )


@given(charged(calm=False))
@LAW
def test_it_answers_in_any_state_and_makes_no_breach_worse(p: AllocationProblem) -> None:
    answer = ALLOCATOR.allocate(p)
    assert answer.violation <= answer.violation_before + TOLERANCE
    assert np.isfinite(answer.objective)
    assert answer.status != "no solver answered", answer.remarks


@given(charged(calm=True))
@LAW
def test_the_answer_is_the_reference_s_and_adds_up(p: AllocationProblem) -> None:
    is_best(p)


def test_newton_s_method_on_few_numbers_is_held_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if few names were many: it is asked wherever there are factors."""
    monkeypatch.setattr(factor_qp, "_PARTS_MIN", 0)
    monkeypatch.setattr(factor_qp, "_SHARE_MAX", np.inf)
    by: Counter[str] = Counter()

    @given(charged(calm=True, factors=True))
    @LAW
    def law(p: AllocationProblem) -> None:
        by[is_best(p)] += 1

    law()
    assert by["NEWTON"] >= sum(by.values()) / 3


def test_names_solved_a_few_at_a_time_are_held_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if few names were many: one part begins, two join a round."""
    small = {"_WHOLE_MAX": 0, "_WITH_SIZES_MAX": 0, "_FIRST_MIN": 1, "_AT_ONCE": 1, "_EACH": 2}
    for name, value in small.items():
        monkeypatch.setattr(quick, name, value)
    joining, rounds = quick._joining, Counter[bool]()

    def seen(*given: Any) -> Any:
        found = joining(*given)
        rounds[bool(found.any())] += 1
        return found

    monkeypatch.setattr(quick, "_joining", seen)

    @given(charged(calm=True))
    @LAW
    def law(p: AllocationProblem) -> None:
        is_best(p)

    law()
    assert rounds[True] >= LAW.max_examples / 6, "names that join"
    assert rounds[False] >= LAW.max_examples / 3, "answers found by some names alone"


def is_best(p: AllocationProblem) -> str:
    """Hold an answer to the reference, and its forces to a balance; who found it."""
    answer = ALLOCATOR.allocate(p)
    worth = objective(p, answer.continuous, best_sizes(p, answer.continuous))
    try:
        best = reference(p)
    except RuntimeError:  # Where the reference gives up there is nothing to compare with.
        return answer.solver
    assert worth >= best - TOLERANCE * max(1.0, abs(best))
    if answer.forces:
        total = np.sum([force.pulls for force in answer.forces], axis=0)
        largest = max(float(np.abs(force.pulls).max()) for force in answer.forces)
        assert np.abs(total).max() <= RESIDUAL * max(1.0, largest)
    return answer.solver
