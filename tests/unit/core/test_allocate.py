"""A portfolio's problem: every number of it from the book, the market and the mandate."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.ports import Charges, RiskEstimate, Sleeves, WeightLimit
from coordinator.core.state import OpenTrade, State
from coordinator.learning import ChosenRisk
from schemas.control import Parameters
from schemas.portfolios import Costs, Mandate
from tests.unit.core.planted import state_of, view


def planted() -> State:
    state = state_of()
    portfolio = state.portfolios["p"]
    portfolio.positions = {"A": Decimal(100)}
    portfolio.accounts["USD"].cash = Decimal(9000)
    portfolio.open_trades = {
        "1": OpenTrade("1", "p:1", "B", Decimal(50)),
        "2": OpenTrade("2", "p:1", "A", Decimal(-20)),
    }
    made = view()
    state.views[made.key] = made
    return state


def of(state: State) -> Situation:
    found = situation(state, state.portfolios["p"], ChosenRisk())
    assert found is not None
    return found


def test_weights_are_of_nav_and_open_trades_stand_beside_what_is_held() -> None:
    problem = of(planted()).problem
    assert (problem.instruments, problem.nav, problem.cash) == (("A", "B"), 10_000.0, 0.9)
    assert problem.filled.tolist() == [0.1, 0.0]
    assert problem.working_buys.tolist() == [0.0, 0.1]
    assert problem.working_sells == pytest.approx([-0.02, 0.0])
    assert problem.lot_weight == pytest.approx([0.001, 0.002])


def test_costs_and_limits_are_the_mandates() -> None:
    state = planted()
    portfolio = state.portfolios["p"]
    portfolio.costs = Costs(fee_bps=1.0, half_spread_bps=2.0, sell_tax_bps=10.0)
    portfolio.mandate = Mandate(universe=("B",), position_min=-0.1, position_max=0.2)
    problem = of(state).problem
    assert problem.cost_buy == pytest.approx([3e-4, 3e-4])
    assert problem.cost_sell == pytest.approx([13e-4, 13e-4])
    assert problem.position_max == pytest.approx([0.02, 0.2])  # that much of A is being sold
    assert problem.position_min.tolist() == [0.0, -0.1]


def test_what_is_halted_or_stale_can_not_be_traded() -> None:
    state = planted()
    assert (of(state).problem.trade_max > 1.0).all()
    state.market.instruments["A"].halted = True
    state.market.session = 7
    assert of(state).problem.trade_max.tolist() == [0.0, 0.0]


def test_covariance_and_views_are_over_the_horizon() -> None:
    state = planted()
    five = of(state)
    state.portfolios["p"].mandate = Mandate(horizon_sessions=10.0)
    ten = of(state)
    assert (five.horizon, ten.horizon) == (5.0, 10.0)
    assert ten.problem.covariance == pytest.approx(2 * five.problem.covariance)
    assert ten.problem.mu[0] == pytest.approx(five.problem.mu[0])


def test_a_position_without_a_price_or_no_value_leaves_nothing_to_solve() -> None:
    state = planted()
    portfolio = state.portfolios["p"]
    risk = ChosenRisk()
    portfolio.accounts["USD"].cash = Decimal(-1000)
    assert situation(state, portfolio, risk) is None
    portfolio.accounts["USD"].cash = Decimal(9000)
    state.market.price[0] = np.nan
    assert situation(state, portfolio, risk) is None


def test_every_number_of_a_problem_is_in_its_digest() -> None:
    state = planted()
    state.portfolios["p"].mandate = Mandate(net_max=0.5, volatility_max=0.2)
    problem = of(state).problem
    digests = {problem_digest(problem)}
    plain = [name for name in problem.__slots__ if name not in ("charges", "sleeves", "factors")]
    for name in plain:
        part = getattr(problem, name)
        if isinstance(part, np.ndarray):
            changed: Any = part + 1e-12
        elif name in ("instruments", "limits"):
            changed = part[:1] + part[:1]
        else:
            changed = part + 1e-12 * max(part, 1.0)
        other: dict[str, Any] = {name: changed}
        digests.add(problem_digest(replace(problem, **other)))
    assert len(digests) == 1 + len(plain)


def test_every_number_of_charges_sleeves_and_factors_is_in_the_digest() -> None:
    problem = of(planted()).problem
    n = len(problem.instruments)
    sleeves = Sleeves(("s/a",), np.ones((n, 1)), np.ones(1), np.ones(1), np.ones(1), 1.0, 1.0)
    factors = RiskEstimate(np.ones((2, n)), np.ones(n), 0.5, 10.0, 2)
    digests = {problem_digest(problem)}
    for one in fields(Charges):
        changed: Any = np.ones(n) if one.default is None else 2.0
        # A weight of impact says something beside an impact alone.
        beside: dict[str, Any] = {"impact": np.full(n, 0.5)} if one.name == "impact_weight" else {}
        told = Charges(**beside, **{one.name: changed})
        digests.add(problem_digest(replace(problem, charges=told)))
    count = len(fields(Charges))
    assert len(digests) == 1 + count
    wholes: dict[str, Any] = {"sleeves": sleeves, "factors": factors}
    for name, whole in wholes.items():
        for one in fields(whole):
            part = getattr(whole, one.name)
            changed = (*part, "x") if isinstance(part, tuple) else part + 1e-12
            other: dict[str, Any] = {name: replace(whole, **{one.name: changed})}
            digests.add(problem_digest(replace(problem, **other)))
        count += len(fields(whole))
    assert len(digests) == 1 + count


def test_every_number_of_a_limit_is_in_the_digest_also_of_many_instruments() -> None:
    """The text of a long array leaves out its middle."""
    problem = of(planted()).problem
    rows = np.zeros((2, 2000))
    limit = WeightLimit("x", "linear", ("a", "b"), rows, np.zeros(2), np.ones(2), 0)
    middle = rows.copy()
    middle[1, 900] = 1e-9
    changes: tuple[dict[str, Any], ...] = (
        {"name": "y"}, {"kind": "gross"}, {"labels": ("a", "c")}, {"rows": middle},
        {"lower": limit.lower - 1}, {"upper": limit.upper + 1}, {"tier": 1},
    )  # fmt: skip
    made = [limit, *(replace(limit, **one) for one in changes)]
    digests = {problem_digest(replace(problem, limits=(one,))) for one in made}
    assert len(digests) == len(made)


def test_the_same_situation_under_other_parameters_is_another_problem() -> None:
    state = planted()
    before = problem_digest(of(state).problem)
    state.parameters = Parameters(risk_volatility_prior=0.03)
    assert problem_digest(of(state).problem) != before


def test_new_trades_begin_from_what_is_held_and_what_is_under_way() -> None:
    problem = of(planted()).problem
    assert problem.start == pytest.approx([0.08, 0.1])


def test_whether_an_odd_remainder_may_be_sold_is_the_instruments() -> None:
    state = planted()
    state.market.instruments["A"].full_exit_odd_lot = False
    state.market.instruments["B"].full_exit_odd_lot = True
    assert of(state).problem.exit_odd_lot.tolist() == [False, True]


def test_what_is_quoted_in_another_currency_is_no_part_of_the_problem() -> None:
    state = planted()
    state.market.instruments["B"].currency = "EUR"
    other = view(instrument="B")
    state.views[other.key] = other
    found = of(state)
    assert found.problem.instruments == ("A",)
    assert found.without == [other]


def test_another_currency_is_traded_where_a_rate_leads_home() -> None:
    state = planted()
    state.market.instruments["B"].currency = "EUR"
    state.market.observe_rate("EUR/USD", 1.5, 1)
    found = of(state)
    assert found.problem.working_buys == pytest.approx([0.0, 50 * 20.0 * 1.5 / 10_000])
    assert found.problem.lot_weight == pytest.approx([0.001, 0.003])
    assert found.prices.tolist() == [10.0, 20.0]
    assert found.unit.tolist() == pytest.approx([0.001, 0.003])
