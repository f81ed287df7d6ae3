"""Figures of weights and trades, each against a way to reckon it that shares nothing with it."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import permutations

import numpy as np
import pytest
from scipy import integrate

from coordinator.core.impact import (
    Setting,
    figures,
    groups_of,
    normal_tail,
    risk_added,
    trading,
)
from coordinator.core.instrument import Instrument
from coordinator.core.objectives import Expenses
from coordinator.core.ports import Floats

HORIZON = 5.0
SECTORS = ("banks", None, "energy", "banks", None)
FACTORS = ((("size", 0.5),), (), (("size", -1.0), ("value", 2.0)), (("value", 0.25),), ())
BETAS = np.array([1.2, 0.8, 1.0, 0.5, 1.5])
LONG = np.array([0.3, 0.1, 0.25, 0.05, 0.2])
MIXED = np.array([0.4, -0.2, 0.0, 0.3, -0.1])
EXPENSES = Expenses(np.array([0.02, 0.01, 0.05, 0.005, 0.0]))


def listed(i: int, sector: str | None, factors: tuple[tuple[str, float], ...]) -> Instrument:
    none = Decimal(0)
    return Instrument(
        f"I{i}", i, sector, none, none, "USD", None, full_exit_odd_lot=True, factors=factors
    )


def setting(*, seed: int = 1, expenses: Expenses = EXPENSES) -> Setting:
    """Five instruments whose covariance is any; of the last nobody knows a volume."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 5)) * 0.02
    instruments = [listed(i, *row) for i, row in enumerate(zip(SECTORS, FACTORS, strict=True))]
    return Setting(
        mu=rng.normal(size=5) * 0.01,
        covariance=root @ root.T + 1e-5 * np.eye(5),
        horizon=HORIZON,
        groups=groups_of(instruments),
        betas=BETAS,
        volume=np.array([0.5, 2.0, 0.1, 4.0, np.nan]),
        participation=0.1,
        expenses=expenses,
    )


def volatility(weights: Floats, covariance: Floats) -> float:
    """By brute sums."""
    total = 0.0
    for i, one in enumerate(weights):
        for j, other in enumerate(weights):
            total += one * other * covariance[i, j]
    return math.sqrt(total)


@pytest.mark.parametrize("weights", [LONG, MIXED])
def test_losses_are_those_of_drawn_normal_returns(weights: Floats) -> None:
    known = setting()
    count = 400_000
    rng = np.random.default_rng(7)
    drawn = rng.multivariate_normal(np.zeros(5), known.covariance / HORIZON, size=count) @ weights
    ordered = np.sort(drawn)
    sigma = figures(known, weights).volatility_session
    for level in (0.95, 0.99, 0.975):
        var, shortfall = normal_tail(sigma, level)
        worst = ordered[: round(count * (1.0 - level))]
        # Four standard errors of the quantile, and of the mean of what lies beyond it.
        density = math.exp(-0.5 * (var / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
        error = 4.0 * math.sqrt(level * (1.0 - level) / count) / density
        assert -worst[-1] == pytest.approx(var, abs=error)
        assert -worst.mean() == pytest.approx(shortfall, abs=error)
        assert shortfall > var > 0.0


def test_shortfall_is_the_mean_of_all_values_at_risk_beyond() -> None:
    var = integrate.quad(lambda level: normal_tail(0.02, level)[0], 0.95, 1.0 - 1e-12)[0] / 0.05
    assert normal_tail(0.02, 0.95)[1] == pytest.approx(var, rel=1e-6)


@pytest.mark.parametrize("weights", [LONG, MIXED])
def test_a_marginal_contribution_is_the_slope_of_the_volatility(weights: Floats) -> None:
    known, step = setting(), 1e-6
    found = figures(known, weights)
    assert found.volatility == pytest.approx(volatility(weights, known.covariance), rel=1e-12)
    assert found.volatility_year == pytest.approx(found.volatility * math.sqrt(252.0 / HORIZON))
    for i in range(5):
        moved = np.eye(5)[i] * step
        up, down = (volatility(weights + side * moved, known.covariance) for side in (1.0, -1.0))
        assert found.marginal[i] == pytest.approx((up - down) / (2.0 * step), rel=1e-6)
    assert float(found.marginal @ weights) == pytest.approx(found.volatility, rel=1e-12)
    assert float(found.shares.sum()) == pytest.approx(1.0, rel=1e-12)


def test_exposures_are_sums_over_the_instruments_of_a_sector_and_of_a_factor() -> None:
    found, groups = figures(setting(), MIXED), setting().groups
    assert groups.sectors == ("banks", "energy", None)
    for sector, long, short in zip(groups.sectors, found.long, found.short, strict=True):
        inside = [w for w, own in zip(MIXED, SECTORS, strict=True) if own == sector]
        assert long == pytest.approx(sum(w for w in inside if w > 0))
        assert short == pytest.approx(sum(w for w in inside if w < 0))
    told = dict(zip(groups.factors, found.factors, strict=True))
    assert list(told) == ["market", "size", "value"]
    assert told["market"] == pytest.approx(sum(MIXED * BETAS))
    for factor in ("size", "value"):
        assert told[factor] == pytest.approx(
            sum(w * dict(own).get(factor, 0.0) for w, own in zip(MIXED, FACTORS, strict=True))
        )


def test_selling_takes_sessions_at_a_share_of_the_volume_where_it_is_known() -> None:
    found = figures(setting(), MIXED)
    assert found.days[:4] == pytest.approx([0.4 / 0.05, 0.2 / 0.2, 0.0, 0.3 / 0.4])
    assert math.isnan(found.days[4])
    assert found.days_max == pytest.approx(8.0)
    assert found.days_mean == pytest.approx((0.4 * 8.0 + 0.2 * 1.0 + 0.3 * 0.75) / 0.9)


def test_what_is_not_held_takes_no_time_to_sell_and_says_nothing() -> None:
    found = figures(setting(), np.array([0.0, 0.0, 0.0, 0.0, 0.5]))
    assert (found.days_mean, found.days_max) == (None, None)
    nothing = figures(setting(), np.zeros(5))
    assert (nothing.volatility, nothing.effective_names) == (0.0, None)
    assert nothing.diversification_ratio is None
    assert not nothing.shares.any()


def test_names_count_by_their_share_of_the_gross_exposure() -> None:
    assert figures(setting(), np.array([0.2, -0.2, 0.2, -0.2, 0.0])).effective_names == 4.0
    assert figures(setting(), np.array([0.0, 0.0, -0.7, 0.0, 0.0])).effective_names == 1.0
    shares = np.abs(MIXED) / np.abs(MIXED).sum()
    assert figures(setting(), MIXED).effective_names == pytest.approx(1.0 / sum(shares**2))


def test_diversification_is_what_correlation_takes_off_the_risk() -> None:
    known = setting()
    alone = sum(abs(w) * math.sqrt(known.covariance[i, i]) for i, w in enumerate(LONG))
    found = figures(known, LONG).diversification_ratio
    assert found == pytest.approx(alone / volatility(LONG, known.covariance))
    assert found is not None
    assert found >= 1.0
    only = figures(known, np.array([0.0, 0.3, 0.0, 0.0, 0.0])).diversification_ratio
    assert only == pytest.approx(1.0)


def test_impact_costs_grow_with_the_three_halves_power_of_the_trade() -> None:
    known, trades = setting(), np.array([0.1, -0.3, 0.0, 0.02, 0.2])
    found = trading(known, trades)
    for i in range(4):
        assert EXPENSES.impact is not None
        assert found.costs[i] == pytest.approx(EXPENSES.impact[i] * abs(trades[i]) ** 1.5)
    assert found.costs[4] == 0.0  # none is reckoned
    assert found.volume_shares[:2] == pytest.approx([0.2, 0.15])
    assert np.isnan(found.volume_shares[[2, 4]]).all()  # not traded, not known
    assert found.volume_share_max == pytest.approx(0.2)
    assert trading(known, 4.0 * trades).costs == pytest.approx(8.0 * found.costs)
    assert not trading(setting(expenses=Expenses()), trades).costs.any()


@pytest.mark.parametrize("start", [LONG, MIXED, np.zeros(5)])
def test_parts_of_the_trades_add_up_to_the_change_of_the_volatility(start: Floats) -> None:
    covariance, trades = setting().covariance, np.array([0.1, -0.3, 0.0, 0.02, 0.2])
    found = risk_added(start, trades, covariance)
    change = volatility(start + trades, covariance) - (
        volatility(start, covariance) if start.any() else 0.0
    )
    assert float(found.sum()) == pytest.approx(change, rel=1e-10)
    assert found[2] == 0.0
    assert not risk_added(start, np.zeros(5), covariance).any()


def test_the_parts_are_the_mean_over_all_orders_of_trading_of_what_each_adds_to_the_variance() -> (
    None
):
    """Shapley's value, which takes 120 orders here and a product in the code."""
    covariance, trades = setting().covariance, np.array([0.1, -0.3, 0.05, 0.02, 0.2])
    found = risk_added(LONG, trades, covariance)
    before, after = (volatility(w, covariance) for w in (LONG, LONG + trades))
    added = np.zeros(5)
    orders = list(permutations(range(5)))
    for order in orders:
        weights = LONG.copy()
        for i in order:
            had = volatility(weights, covariance) ** 2
            weights[i] += trades[i]
            added[i] += volatility(weights, covariance) ** 2 - had
    assert added / len(orders) / (before + after) == pytest.approx(found)
