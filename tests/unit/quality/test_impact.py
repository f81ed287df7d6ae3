"""The analysis in full: past losses of the weights, names that add up, worth after costs."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

from coordinator.core.allocate import Situation, situation
from coordinator.core.impact import normal_tail
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio, State
from coordinator.learning import ChosenRisk
from coordinator.quality.impact import Analysis, Trades, analyse
from tests.journals import DAY, HOUR, T0, Input, Inputs, state_after

CLOSES = 120
NAMES = ("A", "B", "C")


def world() -> list[Input]:
    """Three names, of which C has no volume; 100 of A and -200 of B are held."""
    make, rng = Inputs(), np.random.default_rng(5)
    inputs = [make.listed("A", sector="Tech"), make.listed("B"), make.listed("C", sector="Tech")]
    mandate = {"position_min": -0.5, "position_max": 0.5, "universe": ["A", "B", "C"]}
    inputs.append(make.registered("s"))
    inputs.append(make.opened("p", cash="10000", mandate=mandate, costs={"sell_tax_bps": 5.0}))
    prices = np.array([20.0, 10.0, 5.0])
    for n in range(CLOSES):
        prices = np.round(prices * (1.0 + 0.02 * rng.normal(size=3)), 4)
        told = dict(zip(NAMES, prices.tolist(), strict=True))
        at = T0 + n * DAY + HOUR
        volume = [1e4, 5e4, None]
        inputs.append(make.prices(told, at, kind="bar", volume=volume, session_close=True))
    end = T0 + CLOSES * DAY
    inputs += [make.fill("p", "A", "100", "20", end), make.fill("p", "B", "-200", "10", end)]
    return [*inputs, make.signal("s", "C", end + HOUR), make.signal("s", "A", end + HOUR)]


@pytest.fixture(scope="module")
def stood() -> tuple[State, Portfolio, Situation]:
    state = state_after(world(), follows=True)
    portfolio = state.portfolios["p"]
    found = situation(state, portfolio, ChosenRisk())
    assert found is not None
    assert found.problem.instruments == NAMES
    return state, portfolio, found


def told(stood: tuple[State, Portfolio, Situation], trades: Floats) -> Analysis:
    start = stood[2].problem.start
    quantities = [Decimal(int(one != 0.0)) for one in trades]
    asked = Trades(start, trades, quantities)
    return analyse(*stood, asked, question="trades", limits=())


TRADES = np.array([-0.05, 0.1, 0.2])


def test_past_losses_are_those_of_the_weights_in_the_sessions_that_were(
    stood: tuple[State, Portfolio, Situation],
) -> None:
    found = told(stood, TRADES)
    closes = np.array([[20.0, 10.0, 5.0]] * CLOSES)
    rng, prices = np.random.default_rng(5), np.array([20.0, 10.0, 5.0])
    for n in range(CLOSES):
        prices = np.round(prices * (1.0 + 0.02 * rng.normal(size=3)), 4)
        closes[n] = prices
    returns = np.vstack([np.zeros(3), closes[1:] / closes[:-1] - 1.0])
    moved = returns @ (stood[2].problem.start + TRADES)
    worst = sorted(moved)[:6]
    assert found.sessions == CLOSES
    tail = found.after.tails[0]
    assert tail.var_past == pytest.approx(-worst[5])
    assert tail.shortfall_past == pytest.approx(-sum(worst) / 6)
    runs = sorted(moved[i : i + 5].sum() for i in range(CLOSES - 4))[:5]
    assert tail.var_past_horizon == pytest.approx(-runs[4])
    assert tail.shortfall_past_horizon == pytest.approx(-sum(runs) / 5)
    assert found.after.tails[1].var_past == pytest.approx(-worst[0])


def test_normal_losses_over_the_horizon_are_those_of_a_session_times_its_root(
    stood: tuple[State, Portfolio, Situation],
) -> None:
    found = told(stood, TRADES)
    for side in (found.before, found.after):
        for tail in side.tails:
            assert (tail.var, tail.shortfall) == normal_tail(side.volatility_session, tail.level)
            assert tail.var_horizon == pytest.approx(tail.var * math.sqrt(found.horizon))
            assert tail.shortfall_horizon == pytest.approx(tail.shortfall * math.sqrt(5.0))


def test_names_add_up_to_the_portfolio(stood: tuple[State, Portfolio, Situation]) -> None:
    found = told(stood, TRADES)
    names = found.names
    assert [one.instrument for one in names] == ["C", "B", "A"]
    for side in ("before", "after"):
        whole = getattr(found, side)
        each = [getattr(one, f"weight_{side}") for one in names]
        marginal = [getattr(one, f"marginal_{side}") for one in names]
        assert sum(each) == pytest.approx(whole.net)
        assert sum(w * m for w, m in zip(each, marginal, strict=True)) == pytest.approx(
            whole.volatility
        )
        assert sum(getattr(one, f"share_{side}") for one in names) == pytest.approx(1.0)
    change = found.after.volatility - found.before.volatility
    assert sum(one.risk_added for one in names) == pytest.approx(change)
    assert sum(one.cost for one in names) == pytest.approx(found.cost)
    opinion = sum(one.expected_return * one.trade for one in names)
    assert opinion == pytest.approx(found.after.expected_return - found.before.expected_return)


def test_costs_cash_and_worth_follow_from_the_trades(
    stood: tuple[State, Portfolio, Situation],
) -> None:
    found = told(stood, TRADES)
    assert found.cost == pytest.approx(3e-4 * 0.35 + 5e-4 * 0.05)  # the tax is on what is sold
    assert found.before.cash - found.after.cash == pytest.approx(0.25 + found.cost)
    assert found.before.cash + found.before.net == pytest.approx(1.0)
    assert found.turnover == pytest.approx(0.175)
    problem = stood[2].problem
    after = problem.start + TRADES
    worth = [w @ problem.mu - problem.risk_aversion / 2 * w @ problem.covariance @ w
             for w in (problem.start, after)]  # fmt: skip
    assert found.gain == pytest.approx(worth[1] - worth[0] - found.cost)


def test_no_trades_leave_all_as_it_was(stood: tuple[State, Portfolio, Situation]) -> None:
    found = told(stood, np.zeros(3))
    assert found.before == found.after
    assert (found.gain, found.cost, found.turnover) == (0.0, 0.0, 0.0)
    assert sorted(one.instrument for one in found.names) == ["A", "B"]
    assert all(one.share_before == one.share_after for one in found.names)


def test_what_has_no_volume_is_named(stood: tuple[State, Portfolio, Situation]) -> None:
    assert told(stood, TRADES).volumes_unknown == ("C",)
    assert told(stood, np.zeros(3)).volumes_unknown == ()
    (line,) = (one for one in told(stood, TRADES).names if one.instrument == "C")
    assert (line.volume_share, line.days_after, line.impact_cost) == (None, None, 0.0)
