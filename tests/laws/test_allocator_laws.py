"""Laws of the allocator: it answers, keeps hard limits, makes no breach worse, is optimal."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.core.ports import Allocation, AllocationProblem, Floats
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver import quick as quick_module

ALLOCATOR = CvxAllocator(SolverSettings())
TOLERANCE = 1e-6
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

weights = st.floats(-0.6, 0.6, allow_subnormal=False).map(lambda x: round(x, 6))


def vectors(n: int, elements: st.SearchStrategy[float]) -> st.SearchStrategy[Floats]:
    return st.lists(elements, min_size=n, max_size=n).map(lambda xs: np.array(xs, dtype=float))


@st.composite
def problems(draw: st.DrawFn, *, calm: bool = False, size_max: int = 12) -> AllocationProblem:
    """Any state a portfolio can be in; calm: nothing breached, continuous quantities."""
    n = draw(st.integers(1 if calm else 0, size_max))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    factors = rng.normal(size=(n, 2)) * draw(st.sampled_from([0.0, 0.01, 0.05]))
    covariance = factors @ factors.T + np.diag(rng.uniform(1e-5, 4e-3, n))
    filled = draw(vectors(n, weights)) * draw(st.sampled_from([0.0, 0.1, 1.0, 5.0]))
    working = draw(vectors(n, st.sampled_from([0.0, 0.0, 0.0, -0.05, 0.02, 0.1])))
    trade_max = draw(vectors(n, st.sampled_from([0.3, 0.0, 0.01, 1.0])))
    lots = draw(vectors(n, st.sampled_from([0.0, 1e-6, 3e-4, 0.013, 0.2, 3.0])))
    odd_lots = draw(vectors(n, st.sampled_from([1.0, 0.0]))) > 0.0
    bounds = draw(vectors(n, st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.0])))
    floors = draw(vectors(n, st.sampled_from([-0.5, -0.1, 0.0, 0.05, 0.2])))
    problem = AllocationProblem(
        instruments=tuple(f"I{i:02d}" for i in range(n)),
        nav=draw(st.sampled_from([1e-3, 1e4, 1e7, 1e13])),
        mu=rng.normal(size=n) * draw(st.sampled_from([0.0, 1e-3, 0.02, 0.5])),
        covariance=covariance,
        risk_aversion=draw(st.sampled_from([0.1, 1.0, 5.0, 100.0])),
        filled=filled,
        working_buys=np.maximum(working, 0.0),
        working_sells=np.minimum(working, 0.0),
        cash=draw(st.sampled_from([-0.3, 0.0, 0.001, 0.2, 1.0, 5.0])),
        lot_weight=lots,
        exit_odd_lot=odd_lots,
        cost_buy=np.full(n, draw(st.sampled_from([0.0, 1e-4, 2e-3, 0.05]))),
        cost_sell=np.full(n, draw(st.sampled_from([0.0, 1e-4, 3e-3, 0.05]))),
        trade_max=trade_max,
        position_min=floors,
        position_max=bounds,
        gross_max=draw(st.sampled_from([0.0, 0.3, 1.0, 2.0, 1e6])),
        cash_floor=draw(st.sampled_from([-1.0, 0.0, 0.01, 0.1])),
        turnover_max=draw(st.sampled_from([0.2, 0.0, 0.01, 1.0, 1e6])),
        trade_min=draw(st.sampled_from([0.0, 5e-4, 0.02])),
    )
    if calm:
        flat = np.zeros(n)
        problem = replace(problem, lot_weight=flat, working_buys=flat, working_sells=flat)
        return keep_limits(replace(problem, trade_min=0.0), ("position", "gross", "cash"))
    kept = [draw(st.sampled_from([name, name, ""])) for name in ("position", "gross", "cash")]
    return keep_limits(problem, kept)


def keep_limits(p: AllocationProblem, names: Iterable[str]) -> AllocationProblem:
    """The same problem with the named limits wide enough for what is held and working."""
    high, low = p.filled + p.working_buys, p.filled + p.working_sells
    if "position" in names:
        top, bottom = np.maximum(p.position_max, high), np.minimum(p.position_min, low)
        p = replace(p, position_max=top, position_min=bottom)
    if "gross" in names:
        p = replace(p, gross_max=max(p.gross_max, float(np.maximum(high, -low).sum())))
    if "cash" in names:
        reserved = float(p.working_buys @ (1 + p.cost_buy))
        p = replace(p, cash=max(p.cash, p.cash_floor + reserved))
    return p


def breaches(p: AllocationProblem, trades: Floats) -> dict[str, float]:
    """Each hard limit's excess, by enumerating which working trades fill."""
    excess: dict[str, float] = {}
    gross = cash_spent = turnover = 0.0
    for i, name in enumerate(p.instruments):
        z = float(trades[i])
        ends = [
            p.filled[i] + z + buys * p.working_buys[i] + sells * p.working_sells[i]
            for buys, sells in product((0.0, 1.0), repeat=2)
        ]
        excess[f"max {name}"] = max(0.0, *(end - p.position_max[i] for end in ends))
        excess[f"min {name}"] = max(0.0, *(p.position_min[i] - end for end in ends))
        excess[f"trade {name}"] = max(0.0, abs(z) - p.trade_max[i])
        alone = (p.filled[i] + z, ends[1], ends[2])
        gross += max(abs(end) for end in alone)
        turnover += abs(z) / 2
        cost = p.cost_buy[i] if z > 0 else p.cost_sell[i]
        cash_spent += z + abs(z) * cost + p.working_buys[i] * (1 + p.cost_buy[i])
    excess["gross"] = max(0.0, gross - p.gross_max)
    excess["cash"] = max(0.0, p.cash_floor - (p.cash - cash_spent))
    excess["turnover"] = max(0.0, turnover - p.turnover_max)
    return excess


def assert_whole(p: AllocationProblem, answer: Allocation) -> None:
    for i in range(len(p.instruments)):
        lot, count, trade = p.lot_weight[i], answer.lots[i], answer.trades[i]
        if lot == 0:
            assert count == trade
            continue
        assert abs(count * lot - trade) <= 1e-9 * max(1.0, abs(trade))
        closes = trade == -p.filled[i]
        assert count == round(count) or (closes and p.exit_odd_lot[i])
        assert trade == 0 or abs(trade) >= p.trade_min - 1e-9 or closes


@given(problems())
@LAW
def test_hard_limits_hold_and_no_breach_gets_worse(p: AllocationProblem) -> None:
    answer = ALLOCATOR.allocate(p)
    before, after = breaches(p, np.zeros(len(p.instruments))), breaches(p, answer.trades)
    for limit, excess in after.items():
        assert excess <= before[limit] + TOLERANCE, (limit, before[limit], excess, answer)
    assert abs(answer.violation - max(after.values(), default=0.0)) <= TOLERANCE
    assert abs(answer.violation_before - max(before.values(), default=0.0)) <= TOLERANCE
    assert answer.rung in {"solved", "relaxed", "rule", "hold"}
    assert_whole(p, answer)


@given(problems())
@LAW
def test_one_of_the_two_solvers_always_answers(p: AllocationProblem) -> None:
    answer = ALLOCATOR.allocate(p)
    assert answer.status != "no solver answered", answer.remarks


@given(problems(), problems())
@settings(LAW, max_examples=30)
def test_same_problem_gives_same_bits_whatever_came_between(
    p: AllocationProblem, other: AllocationProblem
) -> None:
    first = CvxAllocator(SolverSettings()).allocate(p)
    ALLOCATOR.allocate(other)
    again = ALLOCATOR.allocate(p)
    for name in ("trades", "lots", "continuous"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert (first.rung, first.limits, first.objective) == (
        again.rung,
        again.limits,
        again.objective,
    )


@given(problems(calm=True))
@LAW
def test_continuous_answer_is_within_a_hundredth_basis_point_of_the_reference(
    p: AllocationProblem,
) -> None:
    answer = ALLOCATOR.allocate(p)
    best = reference(p)
    assert answer.objective_continuous >= best - 1e-6 * max(1.0, abs(best))


def reference(p: AllocationProblem) -> float:
    """The optimum by another formulation and solver, with tight tolerances."""
    z = cp.Variable(len(p.instruments))
    w = p.filled + z
    root = np.linalg.cholesky(p.covariance)
    bought, sold = cp.pos(z), cp.neg(z)
    cost = p.cost_buy @ bought + p.cost_sell @ sold
    worth = p.mu @ w - p.risk_aversion / 2 * cp.sum_squares(root.T @ w) - cost
    rows = [
        cp.abs(z) <= p.trade_max,
        w <= p.position_max,
        w >= p.position_min,
        cp.norm1(w) <= p.gross_max,
        cp.norm1(z) / 2 <= p.turnover_max,
        p.cash - cp.sum(z) - cost >= p.cash_floor,
    ]
    problem = cp.Problem(cp.Maximize(worth), rows)
    tight = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            problem.solve(solver="CLARABEL", warm_start=False, **tight)
        except cp.SolverError:
            return -np.inf
    # Where the reference gives up there is nothing to compare with.
    return float(problem.value) if problem.status == "optimal" else -np.inf


@given(problems())
@LAW
def test_names_left_out_at_first_change_no_answer(p: AllocationProblem) -> None:
    whole = ALLOCATOR.allocate(p)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick_module, "_WHOLE_MAX", 0)
        patch.setattr(quick_module, "_FIRST_MIN", 1)
        few = ALLOCATOR.allocate(p)
    assert few.rung == whole.rung
    assert abs(few.objective_continuous - whole.objective_continuous) <= TOLERANCE
