"""The bench of the quality score: its figures are what they say, and know nothing ahead of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import spearmanr

from schemas.control import Parameters
from tests.bench.alphas import CASES, HORIZON, distinct, hear
from tests.bench.played import EVERY, FIRST, Spoken
from tests.bench.quality import (
    PARTS,
    Table,
    chosen,
    figures_of,
    interval,
    measured,
    rank_correlation,
    whole,
)
from tests.bench.residuals import Prices
from tests.bench.scored import Decided, realised, scored
from tests.unit.replay.planted import allocation, profile, trade

NAMES, SESSIONS = 6, FIRST + 3 * EVERY


def walk(seed: int) -> Prices:
    rng = np.random.default_rng(seed)
    closes = 50.0 * np.exp(
        np.cumsum(rng.normal(0.0, 0.01, (SESSIONS + HORIZON + 2, NAMES)), axis=0)
    )
    opens = closes * np.exp(rng.normal(0.0, 0.002, closes.shape))
    days = tuple(date(2020, 1, 1) + timedelta(days=n) for n in range(len(closes)))
    return Prices(tuple(f"N{i}" for i in range(NAMES)), days, opens, closes)


def spoken(prices: Prices, seed: int) -> Spoken:
    cases = tuple(case for case in CASES if case.name in ("apart", "nobody"))
    alphas = distinct(cases)
    rng = np.random.default_rng(seed)
    ahead = {HORIZON: rng.standard_normal(prices.opens.shape)}
    heard = hear(alphas, ahead, seed=seed, middle=10)
    return Spoken(cases, tuple(heard), rng.random((len(prices.days), len(alphas), NAMES)))


def play(prices: Prices) -> list[Decided]:
    return [*scored(prices, spoken(prices, 1), parameters=Parameters())]


MADE = play(walk(1))


def test_every_portfolio_decides_whenever_its_sources_have_spoken() -> None:
    days = sorted({one.session for one in MADE})
    assert days == [FIRST + n * EVERY for n in range(4)]
    names = sorted({one.portfolio for one in MADE})
    assert names == ["apart small", "apart wide", "nobody small", "nobody wide"]
    assert len(MADE) == len(days) * len(names)
    assert {len(one.parts) for one in MADE} == {len(PARTS)}


def test_no_score_knows_what_comes_after_it() -> None:
    prices, last = walk(1), FIRST + EVERY
    changed = prices.opens.copy()
    changed[last + 1 :] *= np.linspace(0.9, 1.1, NAMES)
    closes = prices.closes.copy()
    closes[last + 1 :] *= np.linspace(0.9, 1.1, NAMES)
    other = play(replace(prices, opens=changed, closes=closes))
    first = [one for one in MADE if one.session <= last]
    again = [one for one in other if one.session <= last]
    assert [one.parts for one in first] == [one.parts for one in again]
    assert [one.realised for one in first] != [one.realised for one in again]


def test_what_a_decision_brought_is_what_its_trades_earned_less_cost_and_risk() -> None:
    bought = trade("A", "10", trade_id="1").model_copy(update={"weight": 0.2})
    sold = trade("B", "-10", trade_id="2").model_copy(update={"weight": -0.1})
    risky = profile().model_copy(update={"volatility": 0.2})
    decision = allocation(trades=(bought, sold)).model_copy(update={"after": risky})
    earned = 0.2 * 0.05 - 0.1 * -0.02
    risk = 4.0 / 2 * (0.2**2 - 0.1**2)
    found = realised(decision, {"A": 0.05, "B": -0.02}, aversion=4.0)
    assert found == pytest.approx(earned - 0.0001 - risk)


def planted(rows: int = 600, *, useful: int = 3, seed: int = 0) -> Table:
    """Decisions of which one part alone says anything."""
    rng = np.random.default_rng(seed)
    parts = rng.random((rows, len(PARTS)))
    gain = parts[:, useful] + rng.normal(0.0, 0.5, rows)
    day = np.repeat(np.arange(rows // 6), 6).astype(float)
    return Table(day, np.tile(np.arange(6.0), rows // 6), gain, parts)


def test_the_rank_correlation_is_spearmans() -> None:
    table = planted()
    expected = spearmanr(table.parts[:, 3], table.realised).statistic
    assert rank_correlation(table.parts[:, 3], table.realised) == pytest.approx(expected)
    assert rank_correlation(np.ones(600), table.realised) == 0.0


def test_the_part_that_tells_gets_the_weight() -> None:
    weights = chosen(planted())
    assert weights.argmax() == 3
    assert weights.min() >= 1.0


def test_an_interval_holds_what_it_is_of_and_is_wide_where_nothing_is_told() -> None:
    table = planted()
    low, high = interval(table.parts[:, 3], table)
    assert low < rank_correlation(table.parts[:, 3], table.realised) < high
    low, high = interval(table.parts[:, 0], table)
    assert low < 0.0 < high


def test_weights_are_chosen_on_earlier_days_than_those_they_are_measured_on() -> None:
    table = planted()
    flipped = replace(table, realised=np.where(table.day >= 50, -table.realised, table.realised))
    found = measured(flipped, 50)
    again = measured(table, 50)
    assert found["weights_chosen_before_2016"] == again["weights_chosen_before_2016"]
    assert found["from_2016"]["rank_correlation"] == pytest.approx(
        -again["from_2016"]["rank_correlation"], abs=1e-4
    )
    assert found["before_2016"]["decisions"] == 6 * (50 - HORIZON)


def test_figures_are_told_by_fifths_of_the_score() -> None:
    table = planted()
    found = figures_of(table, np.eye(len(PARTS))[3])
    assert found["score_by_fifth"] == sorted(found["score_by_fifth"])
    gains = found["realised_bps_by_fifth_of_score"]
    assert gains[0] < gains[-1]
    score = whole(table.parts, np.eye(len(PARTS))[3])
    assert found["rank_correlation"] == pytest.approx(
        rank_correlation(score, table.realised), abs=1e-4
    )
