"""What the objective is charged with: every rate by its formula, nothing where nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.evolve import evolve_input
from coordinator.core.objectives import (
    Expenses,
    charged,
    traded_charge,
)
from coordinator.core.ports import AllocationProblem, Charges, Floats
from coordinator.core.state import State
from coordinator.learning import ChosenRisk
from schemas.control import ModePreset, Parameters, ParametersChanged
from schemas.entries import Stamp
from schemas.portfolios import Costs, Mandate, RateOf
from tests.journals import T0
from tests.journals import Inputs as Make
from tests.support.charged_reference import ReferenceAllocator, charge, objective
from tests.unit.core.planted import feed, state_of, view
from tests.unit.solver.conftest import build

NAV = 1_000_000.0
VOLUME = 1e6
"""Units of each name in a session, as `Inputs.close` tells them."""


def planted(**costs: Any) -> State:
    state = state_of()
    state.portfolios["p"].costs = Costs(**costs)
    state.portfolios["p"].mandate = Mandate(position_min=-0.5, position_max=0.5)
    for name in ("A", "B"):
        made = view(instrument=name)
        state.views[made.key] = made
    return state


def of(state: State) -> Situation:
    found = situation(state, state.portfolios["p"], ChosenRisk())
    assert found is not None
    return found


def preset(**weights: float) -> ModePreset:
    return ModePreset.model_validate({"mode": "own", "risk_aversion": 8.0} | weights)


def under(state: State, **weights: float) -> Situation:
    state.portfolios["p"].preset = preset(**weights)
    return of(state)


def test_without_weights_and_further_costs_nothing_is_charged() -> None:
    state = planted()
    found = of(state)
    assert found.problem.charges.none
    assert found.aims.expenses == Expenses()
    assert charged(found.problem, found.aims, state.parameters) is found.problem
    bare = replace(found.problem, charges=Charges())
    assert problem_digest(bare) == problem_digest(found.problem)


def traded(state: State) -> tuple[Floats, Floats]:
    """One-session volatility of each name, and the money traded in a session."""
    found = of(state)
    sigma = np.sqrt(np.diag(found.problem.covariance) / found.horizon)
    return sigma, VOLUME * found.prices


def closed(state: State) -> State:
    """Once more, so that a session's volume is known."""
    make = Make(offsets={("market", 0): 100})
    feed(state, make.close({"A": 10.0, "B": 20.0}, T0 + 1))
    return state


def test_impact_is_the_square_root_law_in_money() -> None:
    state = closed(planted(impact=0.8))
    sigma, volume = traded(state)
    value = np.array([30_000.0, 70_000.0])
    fraction = 0.8 * sigma * np.sqrt(value / volume)
    cost = of(state).aims.expenses.of_trades(np.array([1.0, -1.0]) * value / NAV)
    assert cost * NAV == pytest.approx(fraction * value)
    assert of(state).problem.charges.impact is not None
    assert of(state).problem.charges.impact_square is None


def test_a_volume_is_that_of_the_portfolios_currency() -> None:
    state = closed(planted(impact=0.8))
    before = of(state).aims.expenses.impact
    state.market.instruments["B"].currency = "EUR"
    state.market.observe_rate("EUR/USD", 4.0, 1)
    after = of(state).aims.expenses.impact
    assert before is not None
    assert after is not None
    assert after[0] == before[0]
    # The volatility of B in dollars is the same, as the rate never moved; its volume is fourfold.
    assert after[1] == pytest.approx(before[1] / 2.0)


def test_where_no_volume_is_known_the_prior_counts_or_nothing_does_and_it_is_said() -> None:
    state = planted(impact=0.8)  # one session is not over yet: no volume
    state.market.volumes[:] = np.nan
    found = of(state)
    assert found.aims.expenses.unknown == ("A", "B")
    assert found.problem.charges.impact is None
    assert list(found.aims.remarks()) == ["no impact is charged where no volume is known: A, B"]
    state.parameters = Parameters(volume_prior=5e6)
    known = of(state)
    sigma = np.sqrt(np.diag(known.problem.covariance) / known.horizon)
    assert known.aims.expenses.impact == pytest.approx(0.8 * sigma * np.sqrt(NAV / 5e6))
    assert list(known.aims.remarks()) == []


def test_what_is_not_traded_at_all_is_as_dear_as_can_be_and_no_infinity() -> None:
    state = closed(planted(impact=0.8))
    state.market.volumes[:] = 0.0
    impact = of(state).aims.expenses.impact
    assert impact is not None
    assert impact.tolist() == [1000.0, 1000.0]


def test_of_many_instruments_a_square_charges_as_much_at_the_reference() -> None:
    state = closed(planted(impact=0.8))
    exact = of(state).problem.charges
    state.parameters = Parameters(impact_exact_max=1, impact_reference=0.04)
    square = of(state).problem.charges
    assert square.impact is None
    at = np.array([0.04, -0.04])
    assert traded_charge(square, at) == pytest.approx(traded_charge(exact, at))
    assert traded_charge(square, at / 2) < traded_charge(exact, at / 2)
    # What is expected to be paid does not depend on the form that is charged.
    state.parameters = Parameters()
    assert of(state).aims.expenses.impact == pytest.approx(of(state).problem.charges.impact)


def test_holding_is_paid_by_the_year_over_the_horizon() -> None:
    carry = (RateOf(instrument="A", bps_year=-252.0),)
    borrow = (RateOf(instrument="A", bps_year=504.0),)
    found = of(planted(borrow_bps_year=25.2, borrow=borrow, carry=carry))
    assert found.horizon == 5.0
    assert found.aims.expenses.borrow == pytest.approx([10e-4, 0.5e-4])
    assert found.aims.expenses.carry == pytest.approx([-5e-4, 0.0])
    weights = np.array([-0.2, 0.3])
    assert found.aims.expenses.of_holding(weights) == pytest.approx(0.2 * 10e-4 + 0.2 * 5e-4)


def test_rates_of_names_that_the_problem_lacks_change_nothing() -> None:
    carry = (RateOf(instrument="Z", bps_year=100.0),)
    assert of(planted(borrow=carry, carry=carry)).problem.charges.none


def test_a_modes_weights_scale_costs_and_charge_by_their_formulas() -> None:
    state = closed(planted(impact=0.5, borrow_bps_year=100.0))
    plain = of(state).problem
    found = under(
        state, cost_weight=3.0, holding_weight=0.5, robustness=0.02, turnover_price_bps=4.0,
        diversification=2.0, tracking=6.0,
    ).problem  # fmt: skip
    charges = found.charges
    sigma = np.sqrt(np.diag(found.covariance))
    assert charges.robustness == pytest.approx(0.02 * sigma)
    assert charges.impact == pytest.approx(np.asarray(plain.charges.impact))
    assert charges.impact_weight == 3.0
    assert charges.borrow == pytest.approx(0.5 * np.asarray(plain.charges.borrow))
    assert (charges.turnover, charges.diversification, charges.tracking) == (4e-4, 2.0, 6.0)
    assert charges.benchmark is None
    assert charges.linear_buy == pytest.approx(2.0 * found.cost_buy)
    assert charges.linear_sell == pytest.approx(2.0 * found.cost_sell)
    assert found.cost_buy.tolist() == plain.cost_buy.tolist()  # what cash pays


def test_costs_that_do_not_count_are_taken_back_whole() -> None:
    charges = under(closed(planted(impact=0.5)), cost_weight=0.0).problem.charges
    assert charges.impact is not None  # cash pays it all the same
    assert charges.impact_weight == 0.0
    assert charges.linear_buy is not None
    assert charges.linear_buy.tolist() == pytest.approx([-3e-4, -3e-4])


def full(n: int = 5) -> AllocationProblem:
    """A problem charged with everything there is."""
    rng = np.random.default_rng(5)
    charges = Charges(
        robustness=rng.uniform(1e-4, 1e-3, n), impact=rng.uniform(0.0, 0.02, n),
        impact_square=rng.uniform(0.0, 0.1, n), borrow=rng.uniform(0.0, 1e-3, n),
        carry=rng.normal(size=n) * 1e-3, turnover=2e-4, diversification=3.0, tracking=4.0,
        benchmark=rng.normal(size=n) * 0.2, linear_buy=rng.uniform(-1e-3, 1e-3, n),
        linear_sell=rng.uniform(-1e-3, 1e-3, n),
    )  # fmt: skip
    return replace(build(n, position_min=-1.0, filled=rng.normal(size=n) * 0.1), charges=charges)


def held_charge(problem: AllocationProblem, weights: Floats) -> float:
    """What the objective is charged for holding that, beside its risk."""
    charges = problem.charges
    if charges.none:
        return 0.0
    variances = np.diag(problem.covariance)
    total = charges.diversification / 2.0 * float(variances @ weights**2)
    if charges.robustness is not None:
        total += float(charges.robustness @ np.abs(weights))
    if charges.borrow is not None:
        total += float(charges.borrow @ np.maximum(-weights, 0.0))
    if charges.carry is not None:
        total += float(charges.carry @ weights)
    if charges.tracking:
        active = weights if charges.benchmark is None else weights - charges.benchmark
        total += charges.tracking / 2.0 * float(active @ problem.covariance @ active)
    return total


def test_what_an_answer_is_charged_is_what_the_model_in_cvxpy_says() -> None:
    problem, rng = full(), np.random.default_rng(6)
    for _ in range(20):
        trades = rng.normal(size=5) * 0.2
        told = traded_charge(problem.charges, trades) + held_charge(problem, problem.start + trades)
        assert told == pytest.approx(
            float(np.asarray(charge(problem, cp.Constant(trades)).value)), rel=1e-9
        )


def test_no_trade_is_worth_more_than_what_the_reference_finds() -> None:
    problem, rng = full(), np.random.default_rng(7)
    problem = replace(problem, charges=replace(problem.charges, linear_buy=None, linear_sell=None))
    best = ReferenceAllocator().allocate(problem)
    for _ in range(50):
        other = best.trades + rng.normal(size=5) * 0.01
        held = problem.start + other
        if np.abs(held).sum() > problem.gross_max or problem.cash < other.sum() + 0.01:
            continue
        assert objective(problem, other) <= best.objective + 1e-9


@pytest.mark.parametrize("name", ["own", "gone"])
def test_a_mode_is_kept_whole_through_a_checkpoint_and_when_parameters_drop_it(name: str) -> None:
    state = planted()
    own = preset(robustness=0.01, tracking=2.0)
    changed = Parameters(modes=(ModePreset(mode="balanced", risk_aversion=1.0),))
    state.portfolios["p"].mode, state.portfolios["p"].preset = name, own
    again = decode_state(encode_state(state))
    assert again.portfolios["p"].preset == own
    event = ParametersChanged(event_id="1", event_time=T0, parameters=changed)
    evolve_input(again, Stamp("control", "t", 0, 99, T0), event)
    assert again.portfolios["p"].preset == own
    assert again.portfolios["p"].risk_aversion == 8.0


def test_other_parameters_give_a_portfolio_its_modes_new_weights() -> None:
    state = planted()
    mode = ModePreset(mode="balanced", risk_aversion=4.0, diversification=2.0)
    event = ParametersChanged(event_id="1", event_time=T0, parameters=Parameters(modes=(mode,)))
    evolve_input(state, Stamp("control", "t", 0, 99, T0), event)
    charges = of(state).problem.charges
    assert (of(state).problem.risk_aversion, charges.diversification) == (4.0, 2.0)
