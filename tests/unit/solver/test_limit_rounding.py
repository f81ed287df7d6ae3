"""Whole lots under further limits: kept where they were kept, within a lot where they were not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver import ladder as ladder_module
from coordinator.solver import rounding as rounding_module
from coordinator.solver.repair import in_pairs, one_by_one
from coordinator.solver.rounding import round_trades
from coordinator.solver.rule import reduce_breaches
from coordinator.solver.solution import Solution
from coordinator.solver.solve import optimise as optimise_for_real
from coordinator.solver.violations import measure
from tests.support.limit_reference import limit, violations

from .conftest import Make, build

ALLOCATOR = CvxAllocator(SolverSettings())


@pytest.fixture(autouse=True)
def _no_swaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rounding and its repairs do, before lots are moved for what that is worth."""
    monkeypatch.setattr(rounding_module, "improve", lambda _problem, trades, _wanted, _kept: trades)


def rounded(p: AllocationProblem, wanted: list[float]) -> list[float]:
    before, goal = measure(p, np.zeros(len(wanted))), measure(p, np.array(wanted))
    lots = round_trades(p, np.array(wanted), before=before, allowed=goal)
    return [float(one) for one in np.round(lots.counts, 9)]


def test_a_sale_is_cut_where_the_buy_that_held_the_floor_lost_its_part(make: Make) -> None:
    p = make(2, filled=[0.2, 0.0], cash=0.8, lot_weight=[0.01, 0.03], mu=[-0.02, 0.02])
    p = replace(p, limits=(limit("linear", [1.0, 1.0], n=2, lower=0.2),))
    assert rounded(p, [-0.1, 0.1]) == [-9.0, 3.0]


def test_the_least_worthy_buy_is_cut_where_a_sale_was_dropped(make: Make) -> None:
    p = make(
        3, filled=[0.3, 0.0, 0.0], cash=0.7, lot_weight=[0.2, 0.01, 0.01], mu=[0.0, 0.01, 0.05],
        limits=(limit("linear", np.ones(3), n=3, upper=0.35),),
    )  # fmt: skip
    assert rounded(p, [-0.15, 0.1, 0.1]) == [0.0, 0.0, 5.0]


def test_gross_of_a_group_is_cut_by_what_adds_to_it(make: Make) -> None:
    p = make(
        2, filled=[0.3, -0.1], cash=0.8, lot_weight=[0.2, 0.01], position_min=-0.5, gross_max=2.0,
        limits=(limit("gross", [1.0, 1.0], n=2, upper=0.42),),
    )  # fmt: skip
    assert rounded(p, [-0.15, -0.1]) == [0.0, -2.0]


def test_turnover_and_cash_of_the_tightest_limit_hold(make: Make) -> None:
    p = make(2, filled=0.0, lot_weight=[0.0, 0.03], cost_buy=0.0, mu=[0.01, 0.05])
    p = replace(p, limits=(limit("turnover", n=2, upper=0.05), limit("cash", n=2, lower=0.92)))
    first, second = rounded(p, [0.05, 0.06])
    assert second == 2.0
    assert first == pytest.approx(0.02, abs=1e-8)


def test_volatility_that_lots_left_too_high_is_brought_back(make: Make) -> None:
    p = make(
        2, filled=[0.4, 0.0], cash=0.6, lot_weight=[0.3, 0.01], mu=[0.0, 0.05],
        covariance=[[0.01, 0.0], [0.0, 0.01]],
    )  # fmt: skip
    p = replace(p, limits=(limit("volatility", n=2, upper=0.0412),))
    first, second = rounded(p, [-0.28, 0.3])
    assert first == 0.0
    assert 0 < second < 30
    assert measure(p, np.array([0.0, second * 0.01])).largest == 0.0


def test_a_broken_limit_is_finished_by_one_more_lot(make: Make) -> None:
    p = make(2, filled=[0.6, 0.1], cash=0.3, lot_weight=0.04)
    p = replace(p, limits=(limit("linear", [1.0, 0.0], n=2, upper=0.5),))
    assert rounded(p, [-0.1, 0.0]) == [-3.0, 0.0]
    floor = make(2, filled=[0.1, 0.1], cash=0.8, lot_weight=0.04)
    floor = replace(floor, limits=(limit("linear", [1.0, 0.0], n=2, lower=0.2),))
    assert rounded(floor, [0.1, 0.0]) == [3.0, 0.0]


@pytest.mark.parametrize("seed", range(30))
def test_each_hard_row_ends_kept_or_within_a_lot_of_what_was_aimed_at(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 10
    sectors = np.kron(np.eye(2), np.ones(5))
    filled = rng.uniform(0.0, 0.12, n)
    p = build(
        n, mu=rng.normal(size=n) * 0.02, filled=filled, cash=1.0 - float(filled.sum()),
        lot_weight=rng.choice([0.002, 0.01, 0.03], n), gross_max=3.0,
        limits=(limit("linear", sectors, n=n, lower=0.2, upper=rng.uniform(0.25, 0.45, 2)),),
    )  # fmt: skip
    answer = ALLOCATOR.allocate(p)
    aimed = violations(p, answer.continuous)
    for row, (_, excess) in violations(p, answer.trades).items():
        assert excess <= aimed[row][1] + 0.03 + 1e-6, row


def test_soft_limits_are_brought_back_by_lots_where_they_were_kept(make: Make) -> None:
    p = make(2, filled=[0.3, 0.0], cash=0.7, lot_weight=[0.2, 0.01], mu=[0.0, 0.05])
    p = replace(p, limits=(limit("linear", [1.0, 1.0], n=2, upper=0.35, tier=2),))
    assert rounded(p, [-0.15, 0.2]) == [0.0, 5.0]


def test_a_soft_limit_is_not_brought_back_at_the_cost_of_a_higher_tier(make: Make) -> None:
    p = make(2, filled=[0.3, 0.0], cash=0.7, lot_weight=[0.2, 0.01], mu=[0.0, 0.05])
    cap = limit("linear", [1.0, 1.0], n=2, upper=0.35, tier=2)
    floor = limit("linear", [0.0, 1.0], n=2, lower=0.2, tier=1)
    assert rounded(replace(p, limits=(cap, floor)), [-0.15, 0.2]) == [0.0, 20.0]
    assert rounded(replace(p, limits=(cap, replace(floor, tier=3))), [-0.15, 0.2]) == [0.0, 5.0]
    assert rounded(replace(p, limits=(cap, replace(floor, tier=0))), [-0.15, 0.2]) == [0.0, 20.0]


def test_a_soft_limit_is_brought_back_by_a_name_whose_cut_harms_nothing(
    make: Make,
) -> None:
    """The sale was lost to its lot; cutting the first buy breaks a floor above, the second none."""
    p = make(
        3, filled=[0.3, 0.0, 0.0], cash=0.7, lot_weight=[0.2, 0.01, 0.01], mu=[0.0, 0.01, 0.05],
        limits=(
            limit("linear", [0.0, 1.0, 0.0], n=3, lower=0.1, tier=1, name="above"),
            limit("linear", np.ones(3), n=3, upper=0.45, tier=2, name="sum"),
        ),
    )  # fmt: skip
    assert rounded(p, [-0.05, 0.1, 0.1]) == [0.0, 10.0, 5.0]


def test_a_soft_limit_that_whole_lots_break_is_named(make: Make) -> None:
    p = make(2, filled=[0.3, 0.0], cash=0.7, lot_weight=[0.2, 0.01], mu=[0.0, 0.05])
    cap = limit("linear", [1.0, 1.0], n=2, upper=0.35, tier=2, name="cap")
    p = replace(p, limits=(cap, limit("linear", [0.0, 1.0], n=2, lower=0.2, tier=1)))
    wanted = np.array([-0.15, 0.2])
    before, goal = measure(p, np.zeros(2)), measure(p, wanted)
    lots = round_trades(p, wanted, before=before, allowed=goal)
    assert lots.remarks == ("broken further by whole lots: cap",)
    lots = round_trades(p, wanted, before=before, allowed=measure(p, np.array([0.0, 0.2])))
    assert lots.remarks == ()


def test_a_sale_and_a_buy_go_together_where_a_floor_and_a_cap_refuse_each_alone(make: Make) -> None:
    """Three of 0.011 are about three of 0.01; neither side of the sum takes one of them alone."""
    p = make(2, filled=[0.2, 0.1], cash=0.7, lot_weight=[0.011, 0.01], mu=[-0.02, 0.02])
    p = replace(p, limits=(limit("linear", [1.0, 1.0], n=2, lower=0.2965, upper=0.3),))
    trades, before = np.array([-0.033, 0.05]), measure(p, np.zeros(2))
    alone = np.zeros(2, dtype=np.bool_)
    assert not one_by_one(p, trades, alone, before).any()
    assert in_pairs(p, trades, alone, before) == pytest.approx([-0.033, 0.03])
    assert not in_pairs(replace(p, trade_min=0.04), trades, alone, before).any()


def silent(problem: AllocationProblem, *given: object) -> Solution:
    """An `optimise` that finds nothing."""
    found = optimise_for_real(problem, *given)  # type: ignore[arg-type]  # passed through unread
    return replace(found, gap=np.inf, status="broken")


@pytest.mark.parametrize(
    ("given", "trades"),
    [
        (limit("linear", [1.0, 1.0, 0.0], n=3, upper=0.4), [-0.1, -0.1, 0.0]),
        (limit("linear", [1.0, 0.0, 2.0], n=3, upper=0.5), [-0.6 / 7, 0.0, -0.4 / 7]),
        (limit("gross", [1.0, 1.0, 1.0], n=3, upper=0.4), [-0.15, -0.15, -0.1]),
        (limit("cash", n=3, lower=0.4), [-0.075, -0.075, -0.05]),
    ],
    ids=["linear", "weighted", "gross", "cash"],
)
def test_the_rule_reduces_what_uses_a_broken_limit(
    make: Make, monkeypatch: pytest.MonkeyPatch, given: object, trades: list[float]
) -> None:
    p = make(3, filled=[0.3, 0.3, 0.2], cash=0.2, cost_sell=0.0, limits=(given,))
    assert reduce_breaches(p, measure(p, np.zeros(3))) == pytest.approx(trades, abs=1e-9)
    monkeypatch.setattr(ladder_module, "optimise", silent)
    answer = CvxAllocator(SolverSettings()).allocate(p)
    assert answer.rung == "rule"
    assert answer.violation <= 1e-9


def test_the_rule_shrinks_a_portfolio_that_is_too_volatile(make: Make) -> None:
    p = make(2, filled=0.3, cash=0.4, covariance=[[0.01, 0.0], [0.0, 0.01]])
    p = replace(p, limits=(limit("volatility", n=2, upper=0.03),))
    trades = reduce_breaches(p, measure(p, np.zeros(2)))
    assert measure(p, trades).largest <= 1e-12
    assert np.allclose(trades, trades[0])


def test_the_rule_leaves_a_floor_alone_that_only_buys_could_lift(make: Make) -> None:
    p = make(2, filled=0.1, cash=0.8, limits=(limit("linear", [1.0, 1.0], n=2, lower=0.5),))
    assert not np.any(reduce_breaches(p, measure(p, np.zeros(2))))


def test_nothing_is_traded_where_a_turnover_budget_is_used_up(make: Make) -> None:
    for upper in (0.0, -0.2):
        p = make(2, mu=0.05, limits=(limit("turnover", n=2, upper=upper),))
        answer = ALLOCATOR.allocate(p)
        assert (answer.rung, list(answer.trades)) == ("hold", [0.0, 0.0])
