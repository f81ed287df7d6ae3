"""Sleeves: what each strategy would hold, how large it may be, and the split of an answer."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.ports import Sleeves
from coordinator.core.skill import Forecasts, horizon_bucket
from coordinator.core.sleeves import sleeves_of, split
from coordinator.core.state import State
from coordinator.core.tilt import Tilt
from coordinator.learning import ChosenRisk
from schemas.control import ModePreset, Parameters
from schemas.portfolios import Mandate
from tests.journals import T0, Inputs
from tests.unit.core.planted import feed, state_of, view

MODES = (ModePreset(mode="balanced", risk_aversion=8.0),)
OPEN = Mandate(position_min=-1.0, position_max=1.0, gross_max=2.0)


def planted(how: str = "books", **parameters: Any) -> State:
    """s for A and B in two strategies, u against A; each certain enough to count."""
    state = state_of()
    feed_terms(state, "s")
    feed_terms(state, "u")
    state.parameters = Parameters.model_validate({"sleeves": how, "modes": MODES} | parameters)
    state.portfolios["p"].mandate = OPEN
    state.portfolios["p"].preset = state.parameters.modes[0]
    said(state, source="s", strategy="x", instrument="A")
    said(state, source="s", strategy="y", instrument="B", strength=0.9)
    said(state, source="u", strategy="u", instrument="A", direction=-1, strength=0.3)
    return state


def said(state: State, **fields: Any) -> None:
    made = view(signal_id=f"n{len(state.views)}", **fields)
    state.views[made.key] = made


def feed_terms(state: State, source: str, strategy: str | None = None, **terms: Any) -> None:
    make = Inputs()
    named = {"source": source} if strategy is None else {"source": source, "strategy": strategy}
    kind = "SourceRegistered" if strategy is None else "StrategyRegistered"
    feed(state, make.make("control", kind, T0, **named, **terms))


def of(state: State) -> Situation:
    found = situation(state, state.portfolios["p"], ChosenRisk())
    assert found is not None
    return found


def sleeves(state: State) -> Sleeves:
    found = of(state).sleeves
    assert found is not None
    return found


def test_off_there_are_none_and_books_leave_the_problem_as_it_is() -> None:
    off, kept = (of(planted(how)) for how in ("off", "books"))
    assert off.sleeves is None
    assert kept.sleeves is not None
    assert kept.problem.sleeves is None
    assert problem_digest(kept.problem) == problem_digest(off.problem)


@pytest.mark.parametrize(
    ("terms", "bound"),
    [
        ({"house_max": 0.1}, True),
        ({"house_weight": 1.0}, True),
        ({"wish_weight": 1.0}, False),  # the house would hold whatever strategies may not
        ({}, False),
    ],
)
def test_budgets_are_part_of_the_problem_where_the_house_is_bounded_or_charged(
    terms: dict[str, float], bound: bool
) -> None:
    mode = {"mode": "balanced", "risk_aversion": 8.0, **terms}
    found = of(planted("budgets", modes=(mode,)))
    assert found.sleeves is not None
    assert found.problem.sleeves is (found.sleeves if bound else None)
    assert (problem_digest(found.problem) == problem_digest(of(planted("off")).problem)) != bound


def test_a_sleeve_is_its_part_of_mu_over_variance_at_a_volatility_of_one_a_session() -> None:
    found = of(planted())
    combination, sigma = found.combination, found.problem.covariance
    own = found.sleeves
    assert own is not None
    assert own.names == ("s/x", "s/y", "u/u")
    owners = [f"{one.source}/{one.strategy}" for one in found.rows.views]
    parts = np.array(
        [
            sum(combination.influence[:, row] for row, who in enumerate(owners) if who == name)
            for name in own.names
        ]
    ).T
    assert parts.sum(axis=1) == pytest.approx(combination.mu)
    wanted = parts / np.diag(sigma)[:, None]
    for at in range(3):
        one = own.targets[:, at]
        assert math.sqrt(one @ sigma @ one / found.horizon) == pytest.approx(1.0)
        assert one / np.abs(one).sum() == pytest.approx(wanted[:, at] / np.abs(wanted[:, at]).sum())
        alone = parts[:, at] @ one / (8.0 * (one @ sigma @ one))
        assert own.wished[at] == pytest.approx(alone)
    assert np.isinf(own.size_max).all()


def test_stated_weights_are_what_a_strategy_holds_unless_it_says_something_else_too() -> None:
    state = planted()
    for name, weight in (("A", 0.3), ("B", -0.1)):
        said(state, source="s", strategy="t", instrument=name, direction=None, strength=None,
             form="target_weight", stated=weight, raw=weight)  # fmt: skip
    own = sleeves(state)
    held = own.targets[:, own.names.index("s/t")]
    assert held / held[0] == pytest.approx([1.0, -1.0 / 3.0])
    assert held[0] > 0.0
    said(state, source="s", strategy="t", instrument="A", strength=0.9)
    own = sleeves(state)
    held = own.targets[:, own.names.index("s/t")]
    assert held / held[0] != pytest.approx([1.0, -1.0 / 3.0], rel=1e-3)


def test_a_source_that_is_believed_to_be_wrong_is_followed_the_other_way_round() -> None:
    state = planted()
    state.views.clear()
    said(state, source="s", strategy="t", instrument="A", direction=None, strength=None,
         form="target_weight", stated=0.3, raw=0.3)  # fmt: skip
    assert sleeves(state).targets[0, 0] > 0.0
    wrong = Forecasts(sz=-400.0, ss=2000.0, weight=2000.0, outcomes=2000)
    state.sources["s"].skill.by_horizon[horizon_bucket(5.0)] = wrong
    state.learned += 1
    found = of(state)
    assert found.combination.mu[0] < 0.0
    assert found.sleeves is not None
    assert found.sleeves.targets[0, 0] < 0.0
    assert found.sleeves.wished[0] > 0.0


def test_risk_budgets_are_shares_of_the_mandates_volatility() -> None:
    state = planted()
    state.portfolios["p"].mandate = OPEN.model_copy(update={"volatility_max": 0.252})
    feed_terms(state, "u", risk_budget=0.25)
    own = sleeves(state)
    assert own.size_max.tolist()[:2] == [math.inf, math.inf]
    assert own.size_max[2] == pytest.approx(0.25 * 0.252 / math.sqrt(252))


def test_without_one_they_are_shares_of_what_its_wishes_would_risk() -> None:
    state = planted()
    feed_terms(state, "u", risk_budget=0.25)
    found = of(state)
    assert found.sleeves is not None
    sigma, mu = found.problem.covariance, found.problem.mu
    wishes = np.clip(mu / (8.0 * np.diag(sigma)), -1.0, 1.0)
    best = (mu @ wishes) / (8.0 * (wishes @ sigma @ wishes))
    scale = min(1.0, best, 2.0 / np.abs(wishes).sum())
    whole = scale * math.sqrt(wishes @ sigma @ wishes / found.horizon)
    assert whole > 0.0
    assert found.sleeves.size_max[2] == pytest.approx(0.25 * whole)


def test_strategies_without_a_budget_of_their_own_share_their_sources_by_their_wishes() -> None:
    state = planted()
    state.portfolios["p"].mandate = OPEN.model_copy(update={"volatility_max": 0.252})
    whole = 0.252 / math.sqrt(252)
    feed_terms(state, "s", risk_budget=0.5)
    own = sleeves(state)
    shares = own.wished[:2] / own.wished[:2].sum()
    assert own.size_max[:2] == pytest.approx(0.5 * whole * shares)
    assert own.size_max[2] == math.inf
    feed_terms(state, "s", "x", risk_budget=0.1)
    own = sleeves(state)
    assert own.size_max[:2] == pytest.approx([0.1 * whole, 0.5 * whole])


def test_capital_bounds_what_a_strategy_ties_up_in_the_portfolios_currency() -> None:
    state = planted()
    feed_terms(state, "u", capital="50000")
    own = sleeves(state)
    tied = np.abs(own.targets).sum(axis=0) * 1_000_000.0
    assert own.size_max[2] * tied[2] == pytest.approx(50_000.0)
    feed_terms(state, "u", capital="50000", capital_currency="EUR")
    assert math.isinf(sleeves(state).size_max[2])  # no rate leads home: nothing to compare
    feed(state, Inputs().rate("EUR/USD", 1.2, T0))
    assert sleeves(state).size_max[2] * tied[2] == pytest.approx(60_000.0)
    feed_terms(state, "s", capital="90000")
    own = sleeves(state)
    assert (own.size_max[:2] * tied[:2]).sum() == pytest.approx(90_000.0)


@pytest.mark.parametrize("how", ["off", "budgets"])
def test_a_capital_that_no_rate_leads_from_is_named(how: str) -> None:
    state = planted(how)
    feed_terms(state, "s", capital="50000")
    feed_terms(state, "s", "y", capital="50000", capital_currency="JPY")
    feed_terms(state, "u", capital="50000", capital_currency="EUR")
    told = "no exchange rate leads from capital of {}: no bound"
    assert list(of(state).aims.remarks()) == [told.format("s/y (JPY), u/u (EUR)")]
    feed(state, Inputs().rate("EUR/USD", 1.2, T0))
    assert list(of(state).aims.remarks()) == [told.format("s/y (JPY)")]
    state.views.clear()
    assert list(of(state).aims.remarks()) == []


def test_of_both_budgets_the_tighter_one_counts() -> None:
    state = planted()
    state.portfolios["p"].mandate = OPEN.model_copy(update={"volatility_max": 0.252})
    feed_terms(state, "u", risk_budget=0.25, capital="1")
    own = sleeves(state)
    assert own.size_max[2] * np.abs(own.targets[:, 2]).sum() * 1e6 == pytest.approx(1.0)


def test_rules_that_move_weights_multiply_wishes_and_budgets() -> None:
    state = planted()
    portfolio = state.portfolios["p"]
    portfolio.mandate = OPEN.model_copy(update={"volatility_max": 0.252})
    feed_terms(state, "u", risk_budget=0.25)
    feed_terms(state, "s", capital="90000")
    found = of(state)
    plain, moved = (
        sleeves_of(
            state, portfolio, found.problem, found.combination, horizon=found.horizon, tilt=tilt
        )
        for tilt in (Tilt(), Tilt(budgets=0.5, strategies=(("u", "u", 0.4),)))
    )
    assert plain is not None
    assert moved is not None
    assert moved.wished == pytest.approx(plain.wished * [1.0, 1.0, 0.4])
    assert moved.size_max == pytest.approx(plain.size_max * [0.5, 0.5, 0.2])


def test_modes_say_what_wishes_and_the_house_weigh() -> None:
    state = planted()
    own = sleeves(state)
    assert (own.wish_weight.tolist(), own.house_weight, own.house_max) == ([0.0] * 3, 0.0, math.inf)
    mode = ModePreset(
        mode="balanced", risk_aversion=8.0, wish_weight=2.0, house_weight=3.0, house_max=0.1
    )
    state.portfolios["p"].preset = mode
    own = sleeves(state)
    assert (own.wish_weight.tolist(), own.house_weight, own.house_max) == ([2.0] * 3, 3.0, 0.1)


def test_budgets_bind_on_where_the_parameters_no_longer_have_the_mode() -> None:
    own = {"mode": "theirs", "risk_aversion": 8.0, "wish_weight": 2.0, "house_max": 0.1}
    usual = {"mode": "balanced", "risk_aversion": 8.0}
    state, make = planted("budgets"), Inputs()
    state.portfolios["p"].mode = "theirs"
    for modes in ([usual, own], [usual]):
        terms = {"sleeves": "budgets", "modes": modes}
        feed(state, make.make("control", "ParametersChanged", T0, parameters=terms))
        bound = of(state).problem.sleeves
        assert bound is not None
        assert (bound.wish_weight.tolist(), bound.house_max) == ([2.0] * 3, 0.1)


def test_of_too_many_strategies_the_largest_wishes_are_told_apart() -> None:
    state = planted()
    wished = dict(zip(sleeves(state).names, sleeves(state).wished.tolist(), strict=True))
    state.parameters = state.parameters.model_copy(update={"sleeves_max": 2})
    assert sleeves(state).names == tuple(sorted(sorted(wished, key=lambda n: -wished[n])[:2]))


def test_no_view_no_sleeves() -> None:
    state = planted()
    state.views.clear()
    state.portfolios["p"].positions["A"] = Decimal(5)
    assert of(state).sleeves is None


# -- the split of an answer ------------------------------------------------------------------------

SIGMA = np.array([[4.0, 1.0, 0.0], [1.0, 9.0, 2.0], [0.0, 2.0, 1.0]]) * 1e-4


def made(*targets: list[float], wished: tuple[float, ...] = (), **fields: Any) -> Sleeves:
    columns = np.array(targets).T
    scaled = columns / np.sqrt(np.einsum("ns,ns->s", columns, SIGMA @ columns))
    count = len(targets)
    return Sleeves(
        names=tuple("abcdef"[:count]),
        targets=scaled,
        size_max=fields.get("size_max", np.full(count, np.inf)),
        wished=np.array(wished or (0.01,) * count),
        wish_weight=np.zeros(count),
        house_weight=0.0,
    )


def test_weights_that_are_sleeves_are_found_again() -> None:
    own = made([1.0, 0.0, 0.0], [0.5, -1.0, 0.0])
    found = split(own, own.targets @ [0.02, 0.005], SIGMA)
    assert found == pytest.approx([0.02, 0.005], abs=1e-6)


def test_the_house_is_left_with_the_least_risk() -> None:
    own = made([1.0, 0.2, 0.0], [0.0, -1.0, 0.3])
    weights = np.array([0.3, 0.1, -0.2])
    found = split(own, weights, SIGMA)

    def risk(sizes: np.ndarray[Any, Any]) -> float:
        left = weights - own.targets @ sizes
        return float(left @ SIGMA @ left)

    rng = np.random.default_rng(1)
    tried = np.maximum(found + rng.normal(0.0, 0.002, (500, 2)), 0.0)
    assert risk(found) <= min(risk(one) for one in tried) + 1e-10
    assert (found >= 0.0).all()


def test_a_strategy_whose_wish_was_not_met_at_all_has_nothing() -> None:
    own = made([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    found = split(own, own.targets @ [0.02, -0.01], SIGMA)
    assert found[1] == pytest.approx(0.0, abs=1e-7)


def test_no_size_is_beyond_its_budget_and_the_others_answer_for_the_rest() -> None:
    own = made([1.0, 0.0, 0.0], [1.0, 0.1, 0.0], size_max=np.array([0.01, 0.0]))
    assert split(own, own.targets @ [0.03, 0.0], SIGMA) == pytest.approx([0.01, 0.0])
    free = made([1.0, 0.0, 0.0], [1.0, 0.1, 0.0], size_max=np.array([0.01, np.inf]))
    found = split(free, free.targets @ [0.03, 0.0], SIGMA)
    assert found[0] == pytest.approx(0.01)
    assert 0.015 < found[1] < 0.03


def test_of_sizes_that_explain_the_same_those_next_to_the_wishes_count() -> None:
    own = made([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], wished=(0.05, 0.03))
    found = split(own, own.targets @ [0.01, 0.0], SIGMA)
    assert found[0] - found[1] == pytest.approx(0.01, abs=1e-6)
    assert found == pytest.approx([0.045, 0.035], abs=1e-5)
    alike = made([1.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    assert split(alike, alike.targets @ [0.02, 0.0], SIGMA) == pytest.approx([0.01, 0.01], abs=1e-6)
    again = replace(alike, wished=np.zeros(2))
    assert split(again, again.targets @ [0.02, 0.0], SIGMA) == pytest.approx([0.01] * 2, abs=1e-6)
