"""Score: every part against what can be reckoned by hand, and the whole is their mean."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.clock import SECOND
from coordinator.core.decide import close_round
from coordinator.core.ports import Allocation, AllocationProblem, LimitReading
from coordinator.core.state import Round, State
from coordinator.learning import ChosenRisk
from schemas.base import OutputEvent
from schemas.control import Parameters, QualityWeights
from schemas.decisions import AllocationDecided, QualityScored
from tests.journals import DAY, HOUR, T0, Inputs, events_of, run, state_after
from tests.recorded import end_of, recorded
from tests.unit.core.planted import view
from tests.unit.core.test_bounding import planted
from tests.unit.core.test_limit_lines import answer


class Told:
    """An allocator that answers as a test says, with trades of so much of each instrument."""

    def __init__(self, *trades: float, **fields: Any) -> None:
        self.trades, self.fields = trades, fields

    def allocate(self, problem: AllocationProblem) -> Allocation:
        trades = np.array(self.trades) if self.trades else np.zeros(len(problem.mu))
        unit = np.where(problem.lot_weight > 0.0, problem.lot_weight, 1.0)
        made = replace(answer(), trades=trades, continuous=trades, lots=np.round(trades / unit))
        return replace(made, **self.fields)


def round_of(state: State, allocator: Told) -> list[OutputEvent]:
    portfolio = state.portfolios["p"]
    return close_round(state, portfolio, allocator=allocator, risk_model=ChosenRisk())


def scored(state: State, allocator: Told) -> QualityScored:
    (found,) = (one for one in round_of(state, allocator) if isinstance(one, QualityScored))
    return found


def part(name: str, *trades: float, state: State | None = None, **fields: Any) -> float:
    return dict(scored(state or planted(), Told(*trades, **fields)).parts)[name]


def test_the_whole_is_the_weighted_mean_of_the_parts() -> None:
    weights = QualityWeights(conflict=3.0, limits=0.0, payoff=2.0)
    state = planted()
    state.parameters = Parameters(quality_weights=weights)
    found = scored(state, Told(0.05, 0.0))
    assert [name for name, _ in found.parts] == sorted(QualityWeights.model_fields)
    given = [getattr(weights, name) for name, _ in found.parts]
    expected = np.average([value for _, value in found.parts], weights=given)
    assert found.score == pytest.approx(expected)
    assert found.score != pytest.approx(np.mean([value for _, value in found.parts]))


def test_weights_that_are_all_nothing_are_refused() -> None:
    nothing: dict[str, Any] = dict.fromkeys(QualityWeights.model_fields, 0.0)
    with pytest.raises(ValidationError, match="above 0"):
        QualityWeights(**nothing)


def test_an_answer_below_its_certified_bound_is_held_against_what_trading_is_worth() -> None:
    assert part("optimality", gap=0.0) == 1.0
    assert part("optimality", gap=1e-5) == pytest.approx(0.5)  # beside the least that counts
    worth: dict[str, Any] = {"objective_continuous": 3e-3, "objective_before": 1e-3}
    assert part("optimality", gap=2e-3, **worth) == pytest.approx(0.5)
    assert part("optimality", gap=math.inf, **worth) == 0.0


@pytest.mark.parametrize(("rung", "expected"), [("relaxed", 1.0), ("rule", 0.0), ("hold", 0.0)])
def test_an_answer_without_a_certificate_is_not_taken_for_the_best(
    rung: str, expected: float
) -> None:
    assert part("optimality", rung=rung) == expected


def test_what_whole_lots_lose_is_held_against_what_trading_is_worth() -> None:
    before: dict[str, Any] = {"objective_continuous": 1.01e-3, "objective_before": 1e-3}
    assert part("rounding", objective=1.01e-3, **before) == 1.0
    assert part("rounding", objective=2e-3, **before) == 1.0
    assert part("rounding", objective=0.98e-3, **before) == pytest.approx(0.25)


def decision_of(state: State, allocator: Told) -> AllocationDecided:
    events = round_of(state, allocator)
    return next(one for one in events if isinstance(one, AllocationDecided))


def expected_gain(decision: AllocationDecided) -> float:
    """Return less cost less the price of risk, against not trading, with the usual aversion."""
    before, after = decision.before, decision.after
    risk = 8.0 / 2.0 * (after.volatility**2 - before.volatility**2)
    return after.expected_return - before.expected_return - risk - decision.cost


def test_trades_pay_as_probably_as_their_gain_is_large_beside_their_risk() -> None:
    state = with_views(BUY)
    decision = decision_of(state, Told(0.02, 0.0))
    deviation = 0.02 * math.sqrt(covariance_there(state)[0, 0])
    expected = stats.norm.cdf(expected_gain(decision) / deviation)
    assert part("payoff", 0.02, 0.0, state=state) == pytest.approx(expected)
    assert part("payoff", -0.02, 0.0, state=state) < 0.5 < expected
    assert part("payoff", state=state) == 0.5


def covariance_there(state: State) -> Any:
    found: list[Any] = []

    class Seen(Told):
        def allocate(self, problem: AllocationProblem) -> Allocation:
            found.append(problem.covariance)
            return super().allocate(problem)

    round_of(state, Seen())
    return found[0]


def soft_reading(given: float, bound: float, tier: int) -> LimitReading:
    return LimitReading("sectors", None, bound, bound, 0.0, "Tech", "upper", tier, given)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"violation": 0.0}, 1.0),
        ({"violation": 5e-8}, 1.0),
        ({"violation": 0.0025}, 0.75),
        ({"violation": 0.5}, 0.0),
        ({"limits": (soft_reading(0.0, 0.2, 1),)}, 1.0),
        ({"limits": (soft_reading(0.1, 0.2, 1),)}, 1 - 0.5 / 2),
        ({"limits": (soft_reading(0.1, 0.2, 4),)}, 1 - 0.5 / 5),
        ({"limits": (soft_reading(0.5, 0.2, 1), soft_reading(0.005, 0.0, 1))}, 0.5 * 0.75),
    ],
)
def test_limits_that_hold_keep_their_part_whole(fields: dict[str, Any], expected: float) -> None:
    assert part("limits", **fields) == pytest.approx(expected)


def with_views(*views: Any) -> State:
    state = planted()
    state.views.clear()
    for one in views:
        made = view(**one)
        state.views[made.key] = made
    state.sources["u"] = replace(state.sources["s"], terms=state.sources["s"].terms)
    return state


BUY = {"instrument": "A", "direction": 1, "confidence": 1.0}
SELL = {"instrument": "A", "direction": -1, "confidence": 0.3, "source": "u", "signal_id": "2"}


def test_nobody_is_acted_against_where_all_say_the_same() -> None:
    same = with_views(BUY, {**SELL, "direction": 1})
    assert part("conflict", 0.05, 0.0, state=same) == 1.0
    assert part("satisfaction", 0.05, 0.0, state=same) == 1.0


def test_what_the_answer_goes_along_with_is_told_as_a_share_of_all_that_is_said() -> None:
    state = with_views(BUY, SELL)
    uses = decision_of(state, Told(0.05, 0.0)).signals
    for_it = sum(one.utility for one in uses if one.utility > 0.0)
    against = -sum(one.utility for one in uses if one.utility < 0.0)
    assert against > 0.0
    assert part("conflict", 0.05, 0.0, state=state) == pytest.approx(for_it / (for_it + against))
    own = {one.signal: one.own**2 for one in uses}
    met = own["s/1"] / (own["s/1"] + own["u/2"])
    assert part("satisfaction", 0.05, 0.0, state=state) == pytest.approx(met)
    assert part("satisfaction", -0.05, 0.0, state=state) == pytest.approx(1.0 - met)


def test_where_nobody_says_anything_nothing_is_missed() -> None:
    state = with_views()
    for name in ("conflict", "satisfaction", "timeliness"):
        assert part(name, state=state) == 1.0


def test_old_opinions_and_a_round_that_waited_are_late() -> None:
    state = with_views({**BUY, "session": 1.0})
    assert part("timeliness", state=state) == pytest.approx(1.0)
    state.market.session = 3  # two of five sessions are over
    gone = (1 - 2 ** (-2 / 5)) / (1 - 2**-1)
    assert part("timeliness", state=state) == pytest.approx(1.0 - gone)
    portfolio = state.portfolios["p"]
    waited = 20 * SECOND + state.parameters.window_ms * 1_000_000
    portfolio.round = Round("signals", state.clock - waited)
    assert part("timeliness", state=state) == pytest.approx((1.0 - gone) / 4)


def test_taking_back_what_was_traded_last_is_not_steady() -> None:
    state = planted()
    state.portfolios["p"].traded_last = {"A": 0.02, "B": -0.05}
    assert part("stability", state=state) == 1.0
    assert part("stability", 0.05, -0.05, state=state) == 1.0
    assert part("stability", -0.03, 0.0, state=state) == pytest.approx(1 - 0.02 / 0.03)
    assert part("stability", -0.01, 0.01, state=state) == pytest.approx(0.0)


def test_the_last_trades_outlive_a_restart_and_rounds_that_trade_nothing() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.opened("p", mode="aggressive")]
    inputs += [make.close({"A": 10.0}, T0 + SECOND)]
    inputs += [make.signal("s", "A", T0 + HOUR, strength=0.9, confidence=1.0)]
    first = state_after(inputs, end=T0 + 2 * HOUR)
    last = first.portfolios["p"].traded_last
    assert last["A"] > 0.0
    assert decode_state(encode_state(first)).portfolios["p"].traded_last == last
    again = [*inputs, make.signal("s", "A", T0 + 3 * HOUR, strength=0.9, confidence=1.0)]
    later = state_after(again, end=T0 + 4 * HOUR)
    assert (later.decisions, later.portfolios["p"].traded_last) == (2, last)


def test_every_decision_is_scored_once_and_right_after_it() -> None:
    inputs = recorded(3, days=2)
    log = run(inputs, end=end_of(inputs))
    decided = [one.decision_id for one in events_of(log, AllocationDecided)]
    found = events_of(log, QualityScored)
    assert [one.decision_id for one in found] == decided
    assert len({one.score for one in found}) > len(found) // 4


def test_scores_are_left_out_where_parameters_say_so_and_move_no_decision() -> None:
    make = Inputs()
    off = make.make("control", "ParametersChanged", T0, parameters={"quality": False})
    inputs = [make.listed("A"), make.registered("s"), make.opened("p")]
    inputs += [make.close({"A": 10.0}, T0 + SECOND), make.signal("s", "A", T0 + HOUR)]
    scored_log, plain = run(inputs, end=T0 + DAY), run([off, *inputs], end=T0 + DAY)
    assert events_of(plain, QualityScored) == []
    (one,), (other,) = (events_of(log, AllocationDecided) for log in (scored_log, plain))
    assert one.model_copy(update={"identity": other.identity}) == other
