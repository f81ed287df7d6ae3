"""Laws of further limits: kept or made no worse, in the order of their tiers, for any state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.ports import AllocationProblem, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings
from tests.laws.test_allocator_laws import LAW, TOLERANCE, breaches, problems
from tests.support.limit_reference import limit, state, violations

ALLOCATOR = CvxAllocator(SolverSettings())
BOUNDS = st.sampled_from([-0.3, -0.05, 0.0, 0.05, 0.2, 0.5, 1.0, 30.0])
KINDS = ("linear", "gross", "turnover", "cash", "volatility")


@st.composite
def limits(draw: st.DrawFn, p: AllocationProblem) -> tuple[WeightLimit, ...]:
    """Up to four limits of any kind and tier, kept or broken, possible or not."""
    n = len(p.instruments)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = []
    for at in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(KINDS))
        tier = draw(st.sampled_from([0, 0, 1, 2, 5]))
        name, bound = f"{kind}{at}", draw(BOUNDS)
        if kind in ("linear", "gross"):
            k = draw(st.integers(1, 3))
            rows = rng.choice([0.0, 1.0, 1.0, 3.0], (k, n)) * draw(st.sampled_from([1.0, 0.01]))
            if kind == "linear":
                rows *= rng.choice([1.0, 1.0, -1.0], (k, n))
            lower = draw(st.sampled_from([-np.inf, -np.inf, bound - 0.1, bound + 0.1]))
            floor = {"lower": lower} if kind == "linear" else {}
            found.append(limit(kind, rows, n=n, upper=bound, tier=tier, name=name, **floor))
        elif kind == "cash":
            found.append(limit(kind, n=n, lower=bound, tier=tier, name=name))
        else:
            size = draw(st.sampled_from([0.0, 0.01, 0.05, 0.3]))
            found.append(limit(kind, n=n, upper=size, tier=tier, name=name))
    return tuple(found)


@st.composite
def limited(draw: st.DrawFn, *, calm: bool = False) -> AllocationProblem:
    """A problem with limits; it may trade, as the other laws cover those that may not."""
    p = draw(problems(calm=calm, size_max=8))
    p = replace(p, turnover_max=p.turnover_max or 1.0)
    return replace(p, limits=draw(limits(p)))


@given(limited())
@LAW
def test_hard_rows_hold_and_no_breach_gets_worse(p: AllocationProblem) -> None:
    answer = ALLOCATOR.allocate(p)
    nothing = np.zeros(len(p.instruments))
    before, after = violations(p, nothing), violations(p, answer.trades)
    for row, (tier, excess) in after.items():
        if tier == 0:
            assert excess <= before[row][1] + TOLERANCE, (row, answer)
    held, now = breaches(p, nothing), breaches(p, answer.trades)
    for name, excess in now.items():
        assert excess <= held[name] + TOLERANCE, (name, answer)
    hard = [excess for tier, excess in after.values() if tier == 0]
    assert abs(answer.violation - max(*hard, *now.values(), 0.0)) <= TOLERANCE


@given(limited(calm=True))
@LAW
def test_where_all_limits_can_be_kept_the_answer_is_the_reference(p: AllocationProblem) -> None:
    kept = max((one for _, one in violations(p, p.filled * 0.0).values()), default=0.0) == 0.0
    stated = state(p)
    best = stated.best([0.0] * len(stated.rows))
    if np.isfinite(best):
        answer = ALLOCATOR.allocate(p)
        assert answer.objective_continuous >= best - 1e-6 * max(1.0, abs(best))
        assert answer.rung in ("solved", "hold") or not kept


@given(limited(), limited())
@settings(LAW, max_examples=30)
def test_same_problem_gives_same_bits_whatever_came_between(
    p: AllocationProblem, other: AllocationProblem
) -> None:
    first = CvxAllocator(SolverSettings()).allocate(p)
    ALLOCATOR.allocate(other)
    again = ALLOCATOR.allocate(p)
    for name in ("trades", "lots", "continuous"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert (first.rung, first.limits, first.remarks) == (again.rung, again.limits, again.remarks)


@given(limited())
@LAW
def test_every_row_is_read_once_with_its_tier_and_sign(p: AllocationProblem) -> None:
    answer = ALLOCATOR.allocate(p)
    rows = [one for one in answer.limits if one.limit in {limit.name for limit in p.limits}]
    bounds = [
        (limit.name, limit.tier, side, bound)
        for limit in p.limits
        for above, below in zip(limit.upper, limit.lower, strict=True)
        for side, bound in (("upper", above), ("lower", below))
        if np.isfinite(bound)
    ]
    assert [one[:3] for one in bounds] == [(one.limit, one.tier, one.side) for one in rows]
    assert [one.bound for one in rows] == pytest.approx([one[3] for one in bounds])
    for one in rows:
        assert one.shadow_price >= 0.0 if one.side == "upper" else one.shadow_price <= 0.0
        assert one.gave_way >= 0.0


@given(limited())
@LAW
def test_some_solver_always_answers(p: AllocationProblem) -> None:
    answer = ALLOCATOR.allocate(p)
    assert answer.status != "no solver answered", answer.remarks
