"""Whole lots moved for what that is worth: nearer the optimum, no limit broken further."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, Charges, Floats
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver import rounding as rounding_module
from coordinator.solver.rounding import round_trades
from coordinator.solver.violations import measure
from coordinator.solver.worth import objective

from .conftest import Make

ALLOCATOR = CvxAllocator(SolverSettings())


def coarse(make: Make, seed: int, n: int = 6) -> AllocationProblem:
    """A book whose lots are a few hundredths of it."""
    rng = np.random.default_rng(seed)
    held = rng.integers(0, 4, n) * 0.03
    p = make(n, filled=held, cash=1.0 - float(held.sum()), position_max=0.3, lot_weight=0.03)
    return replace(p, mu=p.mu + rng.normal(size=n) * 0.02)


def exact(p: AllocationProblem, wanted: Floats) -> float:
    """The best whole-lot trades within a lot of what was wanted, by trying all."""
    lot, best = p.lot_weight[0], -np.inf
    none = measure(p, np.zeros_like(wanted))
    ends = [(np.floor(one / lot + 1e-9), np.ceil(one / lot - 1e-9)) for one in wanted]
    for counts in product(*ends):
        trades = np.array(counts) * lot
        if not measure(p, trades).worse_than(none):
            best = max(best, objective(p, trades))
    return best


def test_most_books_of_few_large_lots_reach_the_best_grid_point(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [coarse(make, seed) for seed in range(40)]
    answers = [ALLOCATOR.allocate(p) for p in problems]
    lost = [
        exact(p, answer.continuous) - answer.objective
        for p, answer in zip(problems, answers, strict=True)
    ]
    monkeypatch.setattr(rounding_module, "improve", lambda _problem, trades, _wanted, _kept: trades)
    plain = [ALLOCATOR.allocate(p).objective for p in problems]
    assert all(a.objective >= one - 1e-15 for a, one in zip(answers, plain, strict=True))
    assert np.median(lost) <= 1e-9
    assert max(lost) <= 5e-4
    before = [a.objective_continuous - one for a, one in zip(answers, plain, strict=True)]
    after = [a.objective_continuous - a.objective for a in answers]
    assert np.mean(after) < 0.6 * np.mean(before)


@pytest.mark.parametrize("seed", range(10))
def test_no_limit_is_broken_further_and_trades_stay_whole_and_large_enough(
    make: Make, seed: int
) -> None:
    p = replace(coarse(make, seed), trade_min=0.06, turnover_max=0.2, cash_floor=0.1)
    answer = ALLOCATOR.allocate(p)
    assert answer.violation <= answer.violation_before + 1e-9
    assert (np.abs(answer.lots - np.rint(answer.lots)) < 1e-9).all()
    sold = answer.trades == -p.filled
    assert ((answer.trades == 0.0) | (np.abs(answer.trades) >= 0.06 - 1e-9) | sold).all()


def test_impact_counts_in_what_a_lot_is_worth(make: Make) -> None:
    p = replace(coarse(make, 3), charges=Charges(impact=np.full(6, 0.05)))
    answer = ALLOCATOR.allocate(p)
    assert exact(p, answer.continuous) - answer.objective <= 1e-9


def test_lots_too_small_to_matter_are_let_be(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    p = replace(coarse(make, 1), lot_weight=np.full(6, 1e-6))
    wanted = ALLOCATOR.allocate(p).continuous
    none = measure(p, np.zeros(6))
    with_swaps = round_trades(p, wanted, before=none, allowed=none).trades
    monkeypatch.setattr(rounding_module, "improve", lambda _problem, trades, _wanted, _kept: trades)
    assert np.array_equal(with_swaps, round_trades(p, wanted, before=none, allowed=none).trades)


def test_an_equality_without_lots_keeps_its_dust(make: Make) -> None:
    """Trades below a millionth are dropped, but where a limit leaves no room for that."""
    n = 40
    rng = np.random.default_rng(2)
    start = rng.dirichlet(np.ones(n))
    p = make(n, filled=start, cash=0.0, cost_buy=0.0, cost_sell=0.0, cash_floor=0.0)
    answer = ALLOCATOR.allocate(p)
    assert answer.rung == "solved"
    assert answer.trades.any()
