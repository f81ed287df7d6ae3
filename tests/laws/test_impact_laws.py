"""Impact: what holds of any weights, any trades and any covariance."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.impact import Setting, figures, groups_of, risk_added, trading
from coordinator.core.instrument import Instrument
from coordinator.core.objectives import Expenses
from coordinator.core.ports import Floats
from coordinator.quality.bets import effective_bets
from tests.journals import law

SECTORS = ("a", "b", None)


@st.composite
def books(draw: st.DrawFn, *, shorts: bool = True) -> tuple[Setting, Floats, Floats]:
    """A setting of one to eight instruments, weights and trades; some of each are nothing."""
    count = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    root = rng.normal(size=(count, count)) * rng.uniform(1e-3, 0.1, size=count)
    none = Decimal(0)
    instruments = [
        Instrument(
            f"I{i}", i, SECTORS[i % 3], none, none, "USD", None, full_exit_odd_lot=True,
            factors=(("size", float(i)),),
        )
        for i in range(count)
    ]  # fmt: skip
    setting = Setting(
        mu=rng.normal(size=count) * 0.01,
        covariance=root.T @ root + 1e-6 * np.eye(count),
        horizon=draw(st.sampled_from([0.5, 1.0, 5.0, 20.0])),
        groups=groups_of(instruments),
        betas=rng.normal(size=count),
        volume=np.where(rng.uniform(size=count) > 0.2, rng.uniform(0.01, 10.0, count), np.nan),
        participation=draw(st.floats(0.01, 1.0)),
        expenses=Expenses(rng.uniform(0.0, 2.0, count) if draw(st.booleans()) else None),
    )
    weights = rng.normal(size=count) * (rng.uniform(size=count) > 0.3)
    trades = rng.normal(size=count) * (rng.uniform(size=count) > 0.5)
    return setting, weights if shorts else np.abs(weights), trades


@law(100)
@given(books())
def test_contributions_add_up_to_the_risk_and_exposures_to_the_weights(
    book: tuple[Setting, Floats, Floats],
) -> None:
    setting, weights, _ = book
    found = figures(setting, weights)
    assert np.isclose(found.marginal @ weights, found.volatility, rtol=1e-10)
    assert np.isclose(found.shares.sum(), 1.0 if weights.any() else 0.0)
    assert np.isclose(found.long.sum() + found.short.sum(), weights.sum())
    assert np.isclose(found.long.sum() - found.short.sum(), np.abs(weights).sum())


@law(100)
@given(books())
def test_what_trades_add_is_the_change_of_the_risk_and_undoing_them_takes_it_back(
    book: tuple[Setting, Floats, Floats],
) -> None:
    setting, weights, trades = book
    change = figures(setting, weights + trades).volatility - figures(setting, weights).volatility
    added = risk_added(weights, trades, setting.covariance)
    assert np.isclose(added.sum(), change, rtol=1e-8, atol=1e-12)
    back = risk_added(weights + trades, -trades, setting.covariance)
    assert np.allclose(back, -added, rtol=1e-8, atol=1e-12)
    assert not added[trades == 0.0].any()


@law(100)
@given(books(shorts=False))
def test_diversification_of_what_is_long_is_at_least_one(
    book: tuple[Setting, Floats, Floats],
) -> None:
    setting, weights, _ = book
    found = figures(setting, weights)
    if weights.any():
        assert found.diversification_ratio is not None
        assert found.diversification_ratio >= 1.0 - 1e-12
    else:
        assert found.diversification_ratio is None


@law(60)
@given(books())
def test_bets_and_names_lie_between_one_and_how_many_are_held(
    book: tuple[Setting, Floats, Floats],
) -> None:
    setting, weights, _ = book
    held = int((weights != 0.0).sum())
    for count in (
        figures(setting, weights).effective_names,
        effective_bets(weights, setting.covariance),
    ):
        if held:
            assert count is not None
            assert 1.0 - 1e-9 <= count <= held + 1e-9
        else:
            assert count is None


@law(60)
@given(books(), st.floats(0.1, 10.0))
def test_a_book_as_many_times_as_large_risks_as_many_times_as_much(
    book: tuple[Setting, Floats, Floats], times: float
) -> None:
    setting, weights, trades = book
    one, other = figures(setting, weights), figures(setting, times * weights)
    assert np.isclose(other.volatility, times * one.volatility)
    assert np.allclose(other.marginal, one.marginal)
    assert np.allclose(other.shares, one.shares)
    costs = trading(setting, trades).costs
    assert np.allclose(trading(setting, times * trades).costs, times**1.5 * costs)
    assert (costs >= 0.0).all()
