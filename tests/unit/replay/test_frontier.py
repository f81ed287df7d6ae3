"""The frontier of a recorded decision: its own point is the decision, the others are ordered."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import pytest

from coordinator.core.allocate import problem_digest
from replay.frontier import OVER, Over, frontier, swept, weight_of, with_weight
from replay.problems import situation_at
from schemas.control import ModePreset
from schemas.decisions import AllocationDecided
from tests.journals import HOUR, SECOND, T0, Input, Inputs, events_of, run
from tests.recorded import end_of, recorded

AT = T0 + HOUR


def log_of(**terms: Any) -> Any:
    """A portfolio that sells short, of names that are traded in any quantity."""
    return run(inputs_of(Inputs(), **terms), end=AT + HOUR)


def inputs_of(make: Inputs, *, risk_budget: float | None = None, **terms: Any) -> list[Input]:
    """The inputs of `log_of`. terms: of the mandate."""
    names = ("A", "B", "C", "D")
    inputs = [make.listed(name, lot="0") for name in names]
    inputs.append(make.registered("s", risk_budget=risk_budget))
    mandate = {"position_min": -0.9, "position_max": 0.9, "gross_max": 4.0, "turnover_max": 4.0}
    inputs.append(make.opened("p", mandate=mandate | terms, costs={"impact": 1.0}))
    inputs.append(make.close(dict.fromkeys(names, 10.0), T0 + SECOND))
    for i, (name, sign) in enumerate(zip(names, (1, 1, -1, 1), strict=True)):
        said = {"direction": sign, "strength": 0.5 + i / 10, "confidence": 0.9}
        inputs.append(make.signal("s", name, AT + i, **said))
    return inputs


LOG = log_of()


@pytest.mark.parametrize("decision", ["p-close:2", "p-short:1", "p-limits:3", "p-narrow:2"])
def test_the_chosen_point_is_the_decision(decision: str) -> None:
    inputs = recorded(3)
    log = run(inputs, end=end_of(inputs))
    recorded_one = next(
        one for one in events_of(log, AllocationDecided) if one.decision_id == decision
    )
    told = frontier(log, decision, points=3)
    (chosen,) = [point for point in told.points if point.chosen]
    assert chosen.expected_return == recorded_one.after.expected_return
    assert chosen.volatility == recorded_one.after.volatility
    assert (chosen.cost, chosen.turnover) == (recorded_one.cost, recorded_one.turnover)
    assert chosen.holding == recorded_one.cost_holding
    assert chosen.rung == recorded_one.solver.rung.value
    assert chosen.value == dict(_aversions())[recorded_one.mode]


def _aversions() -> list[tuple[str, float]]:
    return [("aggressive", 3.0), ("balanced", 8.0), ("conservative", 20.0)]


def test_more_risk_aversion_never_means_more_risk_or_more_return() -> None:
    told = frontier(LOG, "p:1", points=9, whole=False)
    values = [point.value for point in told.points]
    assert values == sorted(values)
    assert values == pytest.approx([8.0 * 2.0 ** (k * 0.75) for k in range(-4, 5)])
    for less, more in pairwise(told.points):
        assert more.volatility <= less.volatility + 1e-7
        assert more.expected_return <= less.expected_return + 1e-7
    assert told.points[0].volatility > 2.0 * told.points[-1].volatility
    assert [point.chosen for point in told.points].index(True) == 4


def test_four_equal_positions_are_four_names_and_without_a_benchmark_nothing_is_tracked() -> None:
    told = frontier(LOG, "p:1", points=3)
    assert all(0.0 < point.names <= 4.0 + 1e-12 for point in told.points)
    assert all(point.tracking is None for point in told.points)
    against = [{"instrument": "A", "weight": 0.5}]
    tracked = frontier(log_of(benchmark=against), "p:1", points=3)
    assert all(point.tracking is not None and point.tracking > 0.0 for point in tracked.points)


@pytest.mark.parametrize(
    ("over", "measure"),
    [("turnover_price", "turnover"), ("cost", "cost"), ("tracking", "tracking")],
)
def test_more_of_another_weight_is_never_more_of_what_it_is_against(
    over: Over, measure: str
) -> None:
    against = [{"instrument": "A", "weight": 0.5}]
    told = frontier(log_of(benchmark=against), "p:1", over=over, points=7, whole=False)
    found = [getattr(point, measure) for point in told.points]
    assert all(after <= before + 1e-6 for before, after in pairwise(found))
    assert found[-1] < found[0]


@pytest.mark.parametrize("over", get_args(Over))
@pytest.mark.parametrize("chosen", [0.0, 0.7])
@pytest.mark.parametrize("points", [3, 4, 15, 101])
def test_weights_rise_and_the_chosen_one_is_among_them(
    over: Over, chosen: float, points: int
) -> None:
    if over == "risk" and not chosen:
        return  # no mode has a risk aversion of 0
    values = swept(chosen, over, points, aversion=8.0)
    assert len(values) == points
    assert list(values) == sorted(set(values))
    assert chosen in values
    assert (0.0 in values) == (over != "risk")


def test_what_is_varied_is_a_field_of_modes() -> None:
    assert set(OVER) == set(get_args(Over))
    assert set(OVER.values()) <= set(ModePreset.model_fields)


@pytest.mark.parametrize("points", [2, 102])
def test_too_few_or_too_many_points_are_refused(points: int) -> None:
    with pytest.raises(ValueError, match="give 3 to 101"):
        frontier(LOG, "p:1", points=points)


def test_every_weight_makes_another_problem_and_leaves_the_recorded_one() -> None:
    state, portfolio, found = situation_at(LOG, "p:1")
    before = problem_digest(found.problem)
    for over in get_args(Over):
        chosen = weight_of(found, over)
        same = with_weight(state, portfolio, found, over, chosen)
        other = with_weight(state, portfolio, found, over, chosen + 1.0)
        assert problem_digest(same) == before == problem_digest(found.problem)
        assert problem_digest(other) != before


def test_another_risk_aversion_is_the_problem_of_a_mode_that_has_it() -> None:
    """What strategies wish, and the volatility that their budgets are shares of, go with it."""
    mode = {"mode": "balanced", "house_max": 0.01, "house_weight": 50.0, "wish_weight": 2000.0}

    def log_at(aversion: float) -> Any:
        modes = [mode | {"risk_aversion": aversion}]
        make = Inputs()
        rules = make.make(
            "control", "ParametersChanged", T0, parameters={"sleeves": "budgets", "modes": modes}
        )
        return run([rules, *inputs_of(make, risk_budget=0.2)], end=AT + HOUR)

    told = frontier(log_at(8.0), "p:1", points=3)
    assert [point.value for point in told.points] == [1.0, 8.0, 64.0]
    for point in told.points:
        (own,) = (
            one for one in frontier(log_at(point.value), "p:1", points=3).points if one.chosen
        )
        assert replace(own, chosen=point.chosen) == point
        decided = events_of(log_at(point.value), AllocationDecided)[0]
        assert point.volatility == decided.after.volatility
    assert told.points[0].volatility > 2.0 * told.points[-1].volatility
