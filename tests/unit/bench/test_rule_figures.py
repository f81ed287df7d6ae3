"""Figures of conflict rules: levels chosen by what they were worth, verdicts by both intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import Floats
from tests.bench import rule_pages
from tests.bench.played import OURS
from tests.bench.rule_figures import (
    ALLOCATED,
    AVERSION,
    DIRECT,
    UNTUNED,
    Choice,
    Draws,
    Measure,
    Tried,
    above,
    choose,
    figures_of,
    measures,
    told,
    verdict,
    worth,
)
from tests.bench.tradebooks import Series

SESSIONS, SEEDS = 240, 6


def series(seed: int, *, mean: float, shared: Floats | None = None) -> Series:
    rng = np.random.default_rng(seed)
    net = mean + 0.004 * rng.normal(size=SESSIONS) + (0.0 if shared is None else shared)
    cost = np.where(np.arange(SESSIONS) % 5 == 0, 0.0005, 0.0)
    return Series(net, cost, 40.0 * cost)


def test_a_level_is_chosen_by_its_mean_worth_over_the_seeds() -> None:
    def one(level: float, *, gain: float, size: float = 0.1, rule: str = OURS) -> Tried:
        return Tried(Choice("a", ALLOCATED, rule, level, size), sharpe=9.0 - level, worth=gain)

    seeds = [
        [one(0.1, gain=1.0, size=0.3), one(0.2, gain=0.0), one(1.0, gain=0.0, rule=UNTUNED)],
        [one(0.1, gain=1.0, size=0.4), one(0.2, gain=2.1), one(1.0, gain=0.0, rule=UNTUNED)],
    ]
    ours, untuned = choose(seeds)
    assert (ours.rule, ours.level) == (OURS, 0.2)
    assert (untuned.rule, untuned.level) == (UNTUNED, 1.0)
    seeds[1][1] = one(0.2, gain=1.9)
    assert choose(seeds)[0].level == 0.1
    assert choose(seeds)[0].size == pytest.approx(math.sqrt((0.09 + 0.16) / 2))


def test_what_a_series_is_worth_is_its_mean_less_the_price_of_its_risk() -> None:
    net = np.random.default_rng(1).normal(0.0005, 0.01, 500)
    assert worth(net) == pytest.approx(252 * (net.mean() - AVERSION / 2 * net.var()))


def test_every_measure_is_right_of_each_seed_and_of_each_draw() -> None:
    some = [series(seed, mean=0.0005) for seed in range(SEEDS)]
    draws = Draws(SESSIONS, length=20, count=50)
    found = measures(some, draws)
    row = draws.rows[7]
    again = [Series(one.net[row], one.cost[row], one.turnover[row]) for one in some]
    of_draw = measures(again, Draws(SESSIONS, length=20, count=1))
    for name, one in found.items():
        assert one.by_draw[7] == pytest.approx(of_draw[name].by_seed.mean()), name
    assert found["cost"].by_seed == pytest.approx(252 * 0.0005 / 5)
    assert found["turnover"].by_seed == pytest.approx(40 * 0.0005 / 5)
    assert (found["gross_sharpe"].by_seed > found["net_sharpe"].by_seed).all()


def test_a_difference_is_paired_so_that_what_all_share_is_not_in_its_intervals() -> None:
    shared = np.random.default_rng(99).normal(0.0, 0.02, SESSIONS)
    draws = Draws(SESSIONS)
    one, other = (
        measures([series(k, mean=mean, shared=shared) for k in range(SEEDS)], draws)["worth"]
        for mean in (0.001, 0.0)
    )
    gain = told("worth", above(one, other))
    alone = told("worth", one)
    assert gain["mean"] == pytest.approx(252 * 0.001, rel=0.05)
    assert np.diff(gain["blocks"]) < 0.2 * np.diff(alone["blocks"])


@pytest.mark.parametrize(
    ("by_seed", "by_draw", "said"),
    [
        ((1.0, 1.1, 0.9), (0.5, 1.5), "won"),
        ((1.0, 1.1, 0.9), (-0.1, 1.5), "drawn"),
        ((3.0, -1.0, 0.9), (0.5, 1.5), "drawn"),
        ((-1.0, -1.1, -0.9), (-1.5, -0.5), "lost"),
        ((-1.0, -1.1, -0.9), (-1.5, 0.5), "drawn"),
    ],
)
def test_won_and_lost_need_both_intervals(
    by_seed: tuple[float, ...], by_draw: tuple[float, float], said: str
) -> None:
    assert verdict(Measure(np.array(by_seed), np.linspace(*by_draw, 100))) == said


def figures() -> dict[str, Any]:
    """Ours loses to accumulating in one case and wins in the other."""
    means = {"good": (0.002, 0.0), "bad": (0.0, 0.002)}

    def rules(seed: int, case: str) -> dict[str, Series]:
        ours, other = means[case]
        return {OURS: series(seed, mean=ours), "accumulate": series(seed + 50, mean=other)}

    books = [
        {table: {case: rules(seed, case) for case in means} for table in (ALLOCATED, DIRECT)}
        for seed in range(SEEDS)
    ]
    choices = [
        Choice(case, table, rule, 0.05, 0.1)
        for case in means
        for table in (ALLOCATED, DIRECT)
        for rule in (OURS, "accumulate")
    ]
    tried = [[Tried.of(one, series(k, mean=0.0)) for k, one in enumerate(choices)]] * 2
    return figures_of(books, choices, tried)


def test_where_ours_loses_the_table_says_so() -> None:
    found = figures()
    rules = found[ALLOCATED]
    assert rules["good"]["accumulate"]["ours"] == {"net_sharpe": "won", "worth": "won"}
    assert rules["bad"]["accumulate"]["ours"]["net_sharpe"] == "lost"
    assert rules["good"][OURS]["deflated"]["probability"] > 0.9
    assert rules["bad"][OURS]["deflated"]["probability"] < 0.5
    assert rules["good"][OURS]["deflated"]["trials"] == 4  # two rules in two tables
    assert found[DIRECT]["good"][OURS]["allocator_adds"]["net_sharpe"]["mean"] == 0.0
    page = rule_pages.page(
        {
            "tables": found, "seeds": SEEDS, "names": 3, "tuning_seeds": 2,
            "cases": {"good": "Ours.", "bad": "Theirs."},
            "agents": {
                "sessions": 28, "sharpe_error": 3.0, "block": 5, "agents": {},
                "rules": {OURS: rules["good"][OURS], "accumulate": rules["bad"]["accumulate"]},
            },
        }
    )  # fmt: skip
    lines = [line for line in page.splitlines() if "**" in line]
    assert [line.split(" | ")[0] for line in lines] == ["| good", "| bad"] * 2
    for good, bad in (lines[:2], lines[2:]):
        assert "**won** +" in good
        assert "**lost** -" in bad
