"""A benchmark: what is expected without opinions, and opinions beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from coordinator.core.allocate import Situation, situation
from coordinator.core.benchmark import prior_of, prior_weights, relative
from coordinator.core.forms import RAW_MAX
from coordinator.core.state import State
from coordinator.learning import ChosenRisk
from schemas.decisions import AllocationDecided, ConflictKind, ConflictsDetected
from schemas.mandates import BenchmarkWeight, Mandate
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run
from tests.unit.core.planted import feed, state_of, view

AT = T0 + HOUR


def mandate(weights: dict[str, float], aversion: float | None = 4.0, **fields: Any) -> Mandate:
    told = tuple(BenchmarkWeight(instrument=n, weight=w) for n, w in sorted(weights.items()))
    bounds: dict[str, Any] = {"position_min": -1.0, "position_max": 1.0}
    return Mandate(benchmark=told, benchmark_aversion=aversion, **(bounds | fields))


def of(state: State, name: str = "p") -> Situation:
    found = situation(state, state.portfolios[name], ChosenRisk())
    assert found is not None
    return found


def planted(told: Mandate, *views: Any) -> State:
    state = state_of()
    state.portfolios["p"].mandate = told
    for one in views:
        state.views[one.key] = one
    return state


def test_without_opinions_returns_are_what_makes_the_benchmark_best() -> None:
    found = of(planted(mandate({"A": 0.6, "B": 0.3})))
    assert found.problem.instruments == ("A", "B")
    sigma = found.problem.covariance
    assert found.problem.mu == pytest.approx(4.0 * sigma @ [0.6, 0.3])
    assert np.linalg.solve(4.0 * sigma, found.problem.mu) == pytest.approx([0.6, 0.3])


def test_a_portfolio_of_the_same_risk_aversion_buys_its_benchmark() -> None:
    make = Inputs()
    fields = {"benchmark": [{"instrument": "A", "weight": 0.5}, {"instrument": "B", "weight": 0.3}]}
    terms = {"position_max": 1.0, "benchmark_aversion": 8.0, **fields}
    inputs = [make.listed("A"), make.listed("B"), make.registered("s")]
    free = {"fee_bps": 0.0, "half_spread_bps": 0.0}
    inputs += [make.opened("p", mandate=terms, costs=free, schedule={"kind": "session_close"})]
    inputs += [make.close({"A": 10.0, "B": 20.0}, AT)]
    (decision,) = events_of(run(inputs, end=AT + HOUR), AllocationDecided)
    assert [one.weight for one in decision.targets] == pytest.approx([0.5, 0.3], abs=1e-3)
    assert decision.prior_utility == pytest.approx(decision.after.expected_return)
    assert decision.prior_utility > 0.0


def test_a_benchmark_that_is_not_believed_in_is_held_against_and_expected_nothing_of() -> None:
    told = mandate({"A": 0.6}, None)
    found = of(planted(told))
    assert prior_weights(told) == {}
    assert not found.problem.mu.any()
    assert found.aims.benchmark is not None
    assert found.aims.benchmark.tolist() == [0.6]


def test_names_without_a_price_are_left_out_and_named() -> None:
    found = of(planted(mandate({"A": 0.4, "ZED": 0.5})))
    assert found.problem.instruments == ("A",)
    assert found.aims.absent == ("ZED",)
    assert list(found.aims.remarks()) == [
        "of the benchmark, without a price and taken as cash: ZED"
    ]
    assert found.problem.mu == pytest.approx(4.0 * found.problem.covariance @ [0.4])


def test_what_may_not_be_held_is_compared_with_all_the_same() -> None:
    found = of(planted(mandate({"A": 0.4, "B": 0.4}, universe=("A",))))
    assert found.problem.instruments == ("A", "B")
    assert found.problem.position_max.tolist() == [1.0, 0.0]


def test_each_opinions_part_and_the_priors_add_up_to_what_is_expected() -> None:
    make = Inputs()
    inputs = opinions(make, benchmark_aversion=5.0)
    (decision,) = events_of(run(inputs, end=AT + HOUR), AllocationDecided)
    parts = sum(use.utility for use in decision.signals) + decision.prior_utility
    assert parts == pytest.approx(decision.after.expected_return, abs=1e-12)
    assert decision.prior_utility != 0.0


def opinions(make: Inputs, **terms: Any) -> list[Input]:
    """Two sources that expect A to rise: one far more than a benchmark of it would, one less."""
    fields = {"benchmark": [{"instrument": "A", "weight": 0.9}], "position_max": 1.0, **terms}
    inputs = [make.listed("A"), make.listed("B"), make.registered("s"), make.registered("u")]
    inputs += [make.opened("p", mandate=fields), make.close({"A": 10.0, "B": 20.0}, T0 + SECOND)]
    return [
        *inputs,
        make.signal("s", "A", AT, strength=0.9, confidence=0.9),
        make.signal("u", "A", AT + 1, strength=0.05, confidence=0.9),
    ]


@pytest.mark.parametrize(("aversion", "kinds"), [(None, 0), (20.0, 1)])
def test_opinions_conflict_by_what_they_say_beyond_the_prior(
    aversion: float | None, kinds: int
) -> None:
    """Both are for A; only one of them says more than that the benchmark is right."""
    inputs = opinions(Inputs(), benchmark_aversion=aversion)
    found = events_of(run(inputs, end=AT + HOUR), ConflictsDetected)
    lines = [line for event in found for line in event.conflicts]
    opposed = [line for line in lines if line.kind is ConflictKind.OPPOSITE_DIRECTION]
    assert len(opposed) == kinds


def wish(weight: float, **fields: Any) -> Any:
    """A view of a source that says what it would hold; raw as on arrival, gamma sigma sqrt(h) 2."""
    said = {"direction": None, "form": "target_weight", "stated": weight, "raw": 2.0 * weight}
    return view(**(said | fields))


def test_who_would_hold_what_the_benchmark_does_says_nothing_beside_it() -> None:
    """Shrunk is nothing here: mu is the prior to the last bit."""
    told = mandate({"A": 0.25})
    found = of(planted(told, wish(0.25)))
    assert found.problem.mu.tolist() == of(planted(told)).problem.mu.tolist()
    assert [one.reference for one in found.without] == ["s/1"]


@pytest.mark.parametrize(("weight", "sign"), [(0.4, 1.0), (0.1, -1.0), (0.0, -1.0), (-0.2, -1.0)])
def test_a_target_weight_says_how_far_it_lies_from_the_benchmarks(
    weight: float, sign: float
) -> None:
    told = mandate({"A": 0.25})
    prior = of(planted(told)).problem.mu[0]
    found = of(planted(told, wish(weight))).problem.mu[0]
    assert sign * (found - prior) > 0.0


def test_on_the_scale_of_its_arrival_and_never_beyond_what_any_score_may_be() -> None:
    state = state_of()
    near, far, nothing = relative(
        [wish(0.4), wish(1e-6, raw=90.0), wish(0.0, raw=0.0)], {"A": 0.1}, state
    )
    assert near.raw == pytest.approx(0.6)
    assert far.raw == -RAW_MAX
    assert -RAW_MAX < nothing.raw < 0.0


def test_other_forms_and_other_names_are_as_they_were() -> None:
    state = state_of()
    views = [view(), wish(0.3, instrument="B"), view(form="expected_return", direction=None)]
    assert relative(views, {"A": 0.1}, state) == views
    assert all(one is two for one, two in zip(relative(views, {}, state), views, strict=True))


def test_who_has_a_benchmark_shares_no_opinion_with_who_has_none() -> None:
    state = planted(mandate({"A": 0.25}), wish(0.4))
    feed(state, Inputs(offsets={("portfolios", 0): 9}).opened("q", cash="5"))
    state.portfolios["q"].accounts["USD"].cash = Decimal(1_000_000)
    with_one, without = of(state).problem.mu, of(state, "q").problem.mu
    assert with_one[0] != without[0]
    alone = planted(Mandate(), wish(0.4))
    assert of(alone).problem.mu.tolist() == without.tolist()
    assert of(state).problem.mu.tolist() == with_one.tolist()


def test_forecasts_across_names_are_set_beside_the_benchmark_before_they_are_compared() -> None:
    make, names = Inputs(), ["A", "B", "C", "D", "E", "F"]
    listed = [make.listed(name) for name in names]
    registered = [make.registered("s", normalisation="zscore")]
    prices = make.close(dict.fromkeys(names, 10.0), T0 + SECOND)
    state = state_of(*listed, *registered, make.opened("p"), prices)
    held = dict(zip(names, (0.3, 0.2, 0.2, 0.1, 0.1, 0.1), strict=True))
    state.portfolios["p"].mandate = mandate(held)
    for name in names:  # each exactly as the benchmark holds it, but one
        more = 0.1 if name == "C" else 0.0
        made = wish(held[name] + more, instrument=name, signal_id=name)
        state.views[made.key] = made
    rows = of(state).rows
    scores = dict(zip([one.instrument for one in rows.views], rows.score.tolist(), strict=True))
    assert max(scores, key=lambda name: scores[name]) == "C"
    assert len({round(scores[name], 9) for name in names if name != "C"}) == 1


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ([("A", 0.6), ("B", 0.6)], "add up to 1.2"),
        ([("A", 60.0), ("B", 40.0)], "give fractions"),
        ([("B", 0.6), ("A", 0.3)], "sorted"),
        ([("A", 0.6), ("A", 0.3)], "stands there twice"),
    ],
)
def test_a_benchmark_that_is_none_is_refused(weights: list[tuple[str, float]], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Mandate(benchmark=tuple(BenchmarkWeight(instrument=n, weight=w) for n, w in weights))


def test_a_published_benchmark_may_be_rounded_and_may_hold_cash_or_shorts() -> None:
    for weights in ({"A": 0.6, "B": 0.405}, {"A": 0.2}, {"A": 1.3, "B": -0.3}):
        assert len(mandate(weights).benchmark) == len(weights)


def test_the_prior_is_gamma_times_the_covariance_with_the_benchmark() -> None:
    rng = np.random.default_rng(2)
    root = rng.normal(size=(3, 3))
    told = mandate({"A": 0.5, "C": 0.2, "GONE": 0.3}, 2.5)
    found = prior_of(told, ("A", "B", "C"), root @ root.T)
    assert found == pytest.approx(2.5 * root @ root.T @ np.array([0.5, 0.0, 0.2]))


def test_days_go_on_with_a_benchmark_and_a_replay_says_the_same() -> None:
    def log() -> Any:
        make = Inputs()
        inputs = opinions(make, benchmark_aversion=3.0)
        inputs += [make.close({"A": 10.0 + n, "B": 20.0 - n}, T0 + n * DAY) for n in (1, 2, 3)]
        inputs += [make.signal("s", "B", T0 + 3 * DAY + HOUR, target_weight=0.2)]
        return run(inputs, end=T0 + 5 * DAY)

    first, second = log(), log()
    ends = [one.payload for one in first.read("decisions", 0)]
    assert ends == [one.payload for one in second.read("decisions", 0)]
    assert len(events_of(first, AllocationDecided)) >= 2
