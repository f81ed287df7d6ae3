"""Laws of the least violation: it is the least, as a linear programme stated apart says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import linprog

from coordinator.core.ports import AllocationProblem, Charges, Floats
from coordinator.solver import SolverSettings
from coordinator.solver.curved import has_curved_cost
from coordinator.solver.further import further_of
from coordinator.solver.least import Choice
from coordinator.solver.least_paying import NOT_PROVEN
from coordinator.solver.settings import SolverName
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import EXCESS_MAX, Solution
from coordinator.solver.solve import least_violation, restore
from coordinator.solver.violations import Violations, measure
from tests.laws.test_allocator_laws import LAW, problems
from tests.laws.test_limit_laws import limited
from tests.support.limit_reference import limit

SETTINGS = SolverSettings()
SHELF = ModelShelf(24)
EASE = 5e-7
"""What a violation may be more than the least (MATH, stage B)."""
EVEN = 1e-6
"""Times the square of the least: what the even split may cost."""
ROUNDS = 60
"""Of tangents, at most."""
CENT = 1e-6
"""Of NAV: with impact, what so little cash is worth is how exact a least violation can be known."""
SOLVERS: tuple[SolverName, SolverName] = ("PIQP", "CLARABEL")


def hard_ones(p: AllocationProblem) -> Choice:
    """Phase 1: all hard limits, none broken further."""
    now = measure(p, np.zeros(len(p.mu)))
    most = replace(now, further=np.where(now.hard, now.further, np.inf), turnover=0.0)
    return Choice(always=True, rows=now.hard.astype(float), most=most)


def first_tier(p: AllocationProblem) -> Choice:
    """The first search for soft limits, where no hard one is broken."""
    now, tier = measure(p, np.zeros(len(p.mu))), further_of(p).tier
    first = tier == tier[tier > 0].min(initial=99)
    most = replace(now, further=np.where(now.hard, now.further, np.inf), turnover=0.0)
    return Choice(always=False, rows=first.astype(float), most=most)


def total(choice: Choice, now: Violations) -> float:
    """What is broken of the chosen limits together."""
    rows = float(choice.rows @ now.further) if len(choice.rows) else 0.0
    always = float(now.over.sum() + now.under.sum()) + now.gross + now.cash
    return rows + always * choice.always


def least(p: AllocationProblem, choice: Choice) -> float:
    """The least total, by HiGHS. Columns: buys, sells, exposures, impacts, and one slack a row.

    An impact is above its tangents at the sizes found before, so no round says too much.
    """
    bounded = list(_rows(p, choice))
    n, k = len(p.mu), len(bounded)
    eye, none = np.eye(n), np.zeros((n, n))
    split = [np.hstack([eye, -eye, -eye, none]), np.hstack([-eye, eye, -eye, none])]
    held = [-(p.filled + p.working_buys), p.filled + p.working_sells]
    rows = np.vstack([*split, *(row for row, _, _, _ in bounded)])
    sums = np.hstack([rows, np.vstack([np.zeros((2 * n, k)), -np.eye(k)])])
    most = np.concatenate([*held, [bound for _, bound, _, _ in bounded]])
    reach = [(0.0, float(one)) for one in p.trade_max]
    free = [(0.0, None)] * n
    for _ in range(ROUNDS):
        found = linprog(
            np.concatenate([np.zeros(4 * n), [float(chosen) for _, _, _, chosen in bounded]]),
            A_ub=sums,
            b_ub=most,
            bounds=[*reach, *reach, *free, *free, *((0.0, cap) for _, _, cap, _ in bounded)],
            options=dict.fromkeys(
                ("primal_feasibility_tolerance", "dual_feasibility_tolerance"), 1e-10
            ),
        )
        assert found.status == 0, found.message
        size = found.x[:n] + found.x[n : 2 * n]
        paid, slope = _impact(p, size)
        if (paid - found.x[3 * n : 4 * n]).sum() <= EASE / 10:
            break
        side = np.diag(slope)
        tangents = np.hstack([side, side, none, -eye, np.zeros((n, k))])
        sums, most = np.vstack([sums, tangents]), np.concatenate([most, slope * size - paid])
    return float(found.fun)


def _impact(p: AllocationProblem, size: Floats) -> tuple[Floats, Floats]:
    """(n,) impact of trades of that size, and what a little more of each adds."""
    c, none = p.charges, np.zeros_like(size)
    kappa, rate = (none if one is None else one for one in (c.impact, c.impact_square))
    return kappa * size**1.5 + rate * size**2, 1.5 * kappa * size**0.5 + 2.0 * rate * size


def _rows(p: AllocationProblem, choice: Choice) -> Iterator[tuple[Floats, float, float, bool]]:
    """Each limit as a row, its bound, the most it may be broken by, and whether it is chosen."""
    n, none, most, always = len(p.mu), np.zeros(len(p.mu)), choice.most, choice.always
    up = (p.position_max - p.filled - p.working_buys).tolist()
    down = (p.filled + p.working_sells - p.position_min).tolist()
    for i, one in enumerate(np.eye(n)):
        yield np.concatenate([one, -one, none, none]), up[i], float(most.over[i]), always
        yield np.concatenate([-one, one, none, none]), down[i], float(most.under[i]), always
    yield np.concatenate([none, none, none + 1.0, none]), p.gross_max, most.gross, always
    paid = np.concatenate([1.0 + p.cost_buy, p.cost_sell - 1.0, none, none + 1.0])
    left = p.cash - float(p.working_buys @ (1.0 + p.cost_buy))
    yield paid, left - p.cash_floor, most.cash, always
    turned = np.concatenate([none + 0.5, none + 0.5, none, none])
    yield turned, p.turnover_max, 0.0, False
    further = further_of(p)
    linear = [np.concatenate([row, -row, none, none]) for row in further.linear]
    groups = [np.concatenate([none, none, row, none]) for row in further.gross]
    counts = further.counts
    rows = [*linear, *groups, *[turned] * counts.turnover, *[paid] * counts.cash]
    spare = further.bound.copy()
    spare[counts.part("linear")] -= further.before
    spare[counts.part("cash")] += left
    for at, row in enumerate(rows):
        yield row, float(spare[at]), float(most.further[at]), bool(choice.rows[at])


def held_to_the_programme(p: AllocationProblem, choice: Choice, solver: SolverName) -> None:
    found = searched(p, choice, solver)
    # What is not trusted is asked of the next solver.
    assume(trusted(found))
    held_to_the_least(p, choice, found)


def searched(p: AllocationProblem, choice: Choice, solver: SolverName) -> Solution:
    if choice.always and not p.limits:
        return restore(p, choice.most, SHELF, SETTINGS, solver)
    return least_violation(p, choice, SHELF, SETTINGS, solver)


def trusted(found: Solution) -> bool:
    return bool(np.isfinite(found.gap)) and found.excess <= EXCESS_MAX


def held_to_the_least(p: AllocationProblem, choice: Choice, found: Solution) -> None:
    ours, best = total(choice, measure(p, found.trades)), least(p, choice)
    dear = best - least(replace(p, cash=p.cash + CENT), choice) if has_curved_cost(p) else 0.0
    # Where cash for impact is all that lacks, no number is exact enough to say how much that is.
    assume(dear <= 10.0 * CENT)
    assert ours <= best + EASE + EVEN * best**2 + dear, (ours - best, p)


def calm(p: AllocationProblem) -> AllocationProblem:
    """Without what no linear programme can say."""
    return replace(p, limits=tuple(one for one in p.limits if one.kind != "volatility"))


@st.composite
def nearly_equal(draw: st.DrawFn) -> AllocationProblem:
    """Too much is held, and selling one name costs a little less than selling another."""
    p = draw(problems(size_max=6))
    n = len(p.mu)
    assume(n)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    held = rng.uniform(0.1, 0.9, n)
    rows = np.eye(n) + rng.uniform(0.0, 1e-3, (n, n))
    wants = limit("linear", rows, n=n, lower=held + 0.6, tier=1, name="wants")
    return replace(
        p,
        filled=held,
        working_buys=np.zeros(n),
        working_sells=np.zeros(n),
        position_min=np.zeros(n),
        position_max=held / 4,
        trade_max=np.ones(n),
        turnover_max=0.1 * float(held.sum()),
        gross_max=1e6,
        cash=0.0,
        cash_floor=draw(st.sampled_from([0.0, 0.7])),
        cost_sell=rng.uniform(0.0, draw(st.sampled_from([1e-4, 1e-3])), n),
        limits=draw(st.sampled_from([(), (wants,)])),
    )


@pytest.mark.parametrize("solver", SOLVERS)
@given(p=st.one_of(problems(), limited(), nearly_equal()))
@LAW
def test_what_hard_limits_are_broken_by_is_the_least(
    p: AllocationProblem, solver: SolverName
) -> None:
    p = calm(p)
    assume(len(p.mu) and measure(p, np.zeros(len(p.mu))).breached)
    held_to_the_programme(p, hard_ones(p), solver)


@pytest.mark.parametrize("solver", SOLVERS)
@given(p=st.one_of(limited(), nearly_equal()))
@LAW
def test_what_a_tier_is_broken_by_is_the_least(p: AllocationProblem, solver: SolverName) -> None:
    p = calm(p)
    assume(len(p.mu) and (further_of(p).tier > 0).any())
    held_to_the_programme(p, first_tier(p), solver)


@st.composite
def with_impact(draw: st.DrawFn) -> AllocationProblem:
    """Cash is short, and what brings some of it costs an impact of its own on each name."""
    p = draw(st.one_of(problems(size_max=4), limited(), nearly_equal()))
    n = len(p.mu)
    assume(0 < n <= 4)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kappa = draw(st.sampled_from([None, 0.05, 1.0, 20.0]))
    rate = draw(st.sampled_from([None, 0.05, 1.0, 20.0, 1000.0]))
    charges = Charges(
        impact=None if kappa is None else kappa * rng.uniform(0.1, 1.0, n),
        impact_square=None if rate is None else rate * rng.uniform(0.1, 1.0, n),
    )
    return replace(p, charges=charges, cash=draw(st.sampled_from([-3.0, -0.3, -0.01, 0.05])))


@pytest.mark.parametrize("solver", SOLVERS)
@given(p=with_impact())
@LAW
def test_what_is_broken_beside_impact_is_the_least(
    p: AllocationProblem, solver: SolverName
) -> None:
    """Whoever is asked first: one of the two always answers."""
    p = calm(p)
    assume(measure(p, np.zeros(len(p.mu))).breached)
    choice = hard_ones(p)
    found = searched(p, choice, solver)
    if not trusted(found):
        found = searched(p, choice, SOLVERS[SOLVERS.index(solver) - 1])
    assert trusted(found), found.status
    if found.status != NOT_PROVEN:
        held_to_the_least(p, choice, found)
