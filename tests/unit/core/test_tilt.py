"""Multipliers in force: what moves them, what is said of it, and what a decision makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.allocate import situation
from coordinator.core.checkpoint import decode_state, encode_state, portfolio_digest, state_digest
from coordinator.core.skill import Forecasts
from coordinator.core.state import State
from coordinator.core.tilt import MOVES, NEUTRAL, Tilt, look_again, moves, tilt_of
from coordinator.learning import ChosenRisk
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.verdicts import InputRejected, ParametersAdapted
from tests.journals import DAY, HOUR, MS, SECOND, T0, Input, Inputs, events_of, run, state_after
from tests.unit.core.planted import state_of, view

CALM = {"regime": "calm"}
CRISIS = {
    "regime": "crisis", "probability_min": 0.7, "probability_keep": 0.4, "risk_aversion": 2.0,
    "turnover": 0.5, "budgets": 0.25,
}  # fmt: skip
REGIMES = {"regime": {"regimes": [CALM, CRISIS], "age_sessions_max": 2.0}}
DRAWDOWN = {"drawdown": {"begins": 0.05, "full": 0.25, "risk_aversion": 3.0, "turnover": 0.5}}


def world(make: Inputs, rules: dict[str, Any], **fields: Any) -> list[Input]:
    """One name, one source, one portfolio that is in the market with all it has, and the rules."""
    parameters = {"adaptation": rules, **fields}
    return [
        make.listed("A"), make.registered("s"),
        make.make("control", "ParametersChanged", T0, parameters=parameters),
        make.opened("p", mandate={"position_max": 1.0, "turnover_max": 1.0}),
        make.fill("p", "A", "100000", "10", T0), make.close({"A": 10.0}, T0),
    ]  # fmt: skip


def declared(
    make: Inputs, at: int, regime: str = "crisis", sure: float = 0.9, **more: Any
) -> Input:
    fields = {"regime": regime, "probability": sure, **more}
    return make.make("market", "RegimeDeclared", at, **fields)


def told(log: MemoryLog) -> list[tuple[str | None, str, float, float]]:
    events = events_of(log, ParametersAdapted)
    return [(one.cause, one.name, one.before, one.after) for one in events]


def factors(state: State, name: str = "p") -> dict[str, float]:
    return dict(tilt_of(state, state.portfolios[name]).parts)


# -- regimes ---------------------------------------------------------------------------------------


def test_a_declared_regime_moves_what_its_row_says_and_each_move_is_told() -> None:
    make = Inputs()
    log = run([*world(make, REGIMES), declared(make, T0 + HOUR)], end=T0 + 2 * HOUR)
    assert told(log) == [
        ("regime", "budgets", 1.0, 0.25),
        ("regime", "risk_aversion", 1.0, 2.0),
        ("regime", "turnover", 1.0, 0.5),
    ]
    event = events_of(log, ParametersAdapted)[0]
    assert (event.portfolio, event.decided_at) == ("p", T0 + HOUR)
    assert event.rule == "regime crisis, declared with probability 0.9"


def test_a_decision_is_made_under_what_is_in_force_and_says_so() -> None:
    make = Inputs()
    inputs = [*world(make, REGIMES), declared(make, T0 + HOUR)]
    inputs += [make.signal("s", "A", T0 + 2 * HOUR)]
    log = run(inputs, end=T0 + 3 * HOUR)
    first, second = events_of(log, AllocationDecided)
    assert first.decided_at == T0 + HOUR + 10 * MS  # what it may do has changed: it decides anew
    assert second.tilt == (
        ("regime/budgets", 0.25), ("regime/risk_aversion", 2.0), ("regime/turnover", 0.5),
    )  # fmt: skip
    (turnover,) = (one for one in second.limits if one.limit == "turnover_max")
    assert turnover.bound == 0.5
    state = state_after(inputs)
    found = situation(state, state.portfolios["p"], ChosenRisk())
    assert found is not None
    assert found.problem.risk_aversion == 2.0 * state.portfolios["p"].risk_aversion
    assert found.problem.turnover_max == 0.5


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ([("crisis", 0.5)], 2.0),  # kept down to 0.4
        ([("crisis", 0.3)], 1.0),
        ([("calm", 0.9)], 1.0),
        ([("calm", 0.1)], 1.0),  # the latest counts, also where it is too unsure for its own row
        ([("unheard-of", 1.0)], 2.0),  # nobody's regime
        ([("crisis", 0.3), ("crisis", 0.5)], 1.0),  # kept only while it is in force
    ],
)
def test_the_latest_declaration_counts(more: list[tuple[str, float]], left: float) -> None:
    make = Inputs()
    inputs = [*world(make, REGIMES), declared(make, T0 + HOUR)]
    for n, (regime, sure) in enumerate(more):
        inputs.append(declared(make, T0 + (2 + n) * HOUR, regime, sure))
    state = state_after(inputs)
    assert factors(state).get("regime/risk_aversion", 1.0) == left
    assert not events_of(run(inputs), InputRejected)


def test_what_was_declared_under_another_table_hinders_nothing() -> None:
    make = Inputs()
    calm = {"adaptation": {"regime": {"regimes": [CALM | {"risk_aversion": 0.5}]}}}
    inputs = [*world(make, REGIMES), declared(make, T0 + 2 * HOUR)]
    inputs.append(make.make("control", "ParametersChanged", T0 + 3 * HOUR, parameters=calm))
    assert factors(state_after(inputs)) == {}
    inputs.append(declared(make, T0 + 4 * HOUR, "calm", event_time=T0 + HOUR))
    assert factors(state_after(inputs)) == {"regime/risk_aversion": 0.5}


def test_latest_is_by_its_own_time_not_by_arrival() -> None:
    make = Inputs()
    late = declared(make, T0 + 2 * HOUR, "calm", event_time=T0)
    state = state_after([*world(make, REGIMES), declared(make, T0 + HOUR), late])
    assert factors(state)["regime/risk_aversion"] == 2.0


def test_a_declaration_counts_for_so_many_sessions() -> None:
    make = Inputs()
    inputs = [*world(make, REGIMES), declared(make, T0 + HOUR)]
    closes = [make.close({"A": 10.0}, T0 + n * DAY) for n in range(1, 5)]
    assert factors(state_after([*inputs, *closes[:3]]))["regime/risk_aversion"] == 2.0
    assert factors(state_after([*inputs, *closes])) == {}
    assert state_after([*inputs, *closes]).portfolios["p"].adapted == {}


def test_by_the_clock_it_ends_at_that_very_moment() -> None:
    make = Inputs()
    fields = {"sessions": "clock", "session_ms": 1_000}
    inputs = [*world(make, REGIMES, **fields), declared(make, T0 + 1)]
    log = run(inputs, end=T0 + HOUR)
    ends = [one for one in events_of(log, ParametersAdapted) if one.after == 1.0]
    assert [one.decided_at for one in ends] == [T0 + 1 + 2 * SECOND + 1] * 3


@pytest.mark.parametrize("sessions", [127.0, 128.0, 200.0, 0.1, 10_000.0])
def test_by_the_clock_it_ends_however_many_days_it_lasts(sessions: float) -> None:
    """A nanosecond beyond many days is the bound itself, once both are divided."""
    make = Inputs()
    rules = {"regime": {"regimes": [CALM, CRISIS], "age_sessions_max": sessions}}
    inputs = [*world(make, rules, sessions="clock"), declared(make, T0 + HOUR)]
    last = T0 + HOUR + int(sessions * DAY)
    kept = state_after(inputs, end=last)
    assert factors(kept)["regime/risk_aversion"] == 2.0
    assert kept.timers.deadline(MOVES) == last + 1
    log = run(inputs, end=last + DAY)
    ends = [one for one in events_of(log, ParametersAdapted) if one.after == 1.0]
    assert [one.decided_at for one in ends] == [last + 1] * 3


def test_without_a_rule_a_regime_is_taken_and_nothing_moves() -> None:
    make = Inputs()
    inputs = [*world(make, {}), declared(make, T0 + HOUR)]
    assert told(run(inputs, end=T0 + DAY)) == []
    assert state_after(inputs).regimes.said is None


# -- drawdown, rules that change, new portfolios ---------------------------------------------------


def falling(make: Inputs, *prices: float) -> list[Input]:
    return [make.close({"A": price}, T0 + (n + 1) * DAY) for n, price in enumerate(prices)]


def test_a_drawdown_is_looked_at_once_the_session_is_over() -> None:
    make = Inputs()
    quote = make.prices({"A": 5.0}, T0 + HOUR)
    log = run([*world(make, DRAWDOWN), quote, *falling(make, 8.5, 7.0, 10.0)], end=T0 + 4 * DAY)
    assert [one for one in told(log) if one[1] == "risk_aversion"] == [
        ("drawdown", "risk_aversion", 1.0, 2.0),
        ("drawdown", "risk_aversion", 2.0, 3.0),
        ("drawdown", "risk_aversion", 3.0, 1.0),
    ]
    at = events_of(log, ParametersAdapted)[0].decided_at
    assert at == T0 + DAY


def test_rules_that_end_take_their_multipliers_with_them() -> None:
    make = Inputs()
    inputs = [*world(make, DRAWDOWN | REGIMES), declared(make, T0 + HOUR), *falling(make, 7.0)]
    assert factors(state_after(inputs))["drawdown/risk_aversion"] == 3.0
    inputs.append(make.make("control", "ParametersChanged", T0 + 2 * DAY, parameters={}))
    log = run(inputs, end=T0 + 3 * DAY)
    ends = [one for one in events_of(log, ParametersAdapted) if one.decided_at == T0 + 2 * DAY]
    assert {one.after for one in ends} == {1.0}
    assert "there is no rule for drawdown" in {one.rule for one in ends}
    assert factors(state_after(inputs)) == {}


def test_a_new_portfolio_starts_under_what_is_in_force() -> None:
    make = Inputs()
    inputs = [*world(make, REGIMES), declared(make, T0 + HOUR), make.opened("q", T0 + 2 * HOUR)]
    assert factors(state_after(inputs), "q") == factors(state_after(inputs))


def test_the_product_of_all_rules_is_in_force() -> None:
    make = Inputs()
    inputs = [*world(make, DRAWDOWN | REGIMES), declared(make, T0 + HOUR), *falling(make, 7.0)]
    state = state_after(inputs)
    tilt = tilt_of(state, state.portfolios["p"])
    assert (tilt.aversion, tilt.turnover, tilt.budgets) == (6.0, 0.25, 0.125)


def test_a_closed_portfolio_is_left_as_it_was() -> None:
    make = Inputs()
    inputs = world(make, DRAWDOWN)
    inputs.append(make.make("portfolios", "PortfolioClosed", T0 + HOUR, portfolio="p"))
    assert told(run([*inputs, *falling(make, 5.0)], end=T0 + 3 * DAY)) == []


def test_who_decides_by_a_schedule_waits_for_it() -> None:
    make = Inputs()
    start = world(make, REGIMES)
    mandate = {"portfolio": "p", "mandate": {}, "schedule": {"kind": "session_close"}}
    start.append(make.make("portfolios", "MandateChanged", T0, **mandate))
    rounds = events_of(run([*start, declared(make, T0 + HOUR)], end=T0 + 2 * HOUR), RoundClosed)
    assert [one.decided_at for one in rounds if one.decided_at > T0 + SECOND] == []


# -- strategies ------------------------------------------------------------------------------------


def taught(sz: float) -> State:
    """A source with a record, a live view of it, and a rule that goes by it."""
    make = Inputs()
    parameters = {"adaptation": {"signal_quality": {"least": 0.25, "most": 2.0}}}
    state = state_of(
        make.listed("A"), make.registered("s", strategies=["s", "t"]), make.registered("u"),
        make.opened("p"), make.opened("q", mandate={"sources": ["u"]}),
        make.close({"A": 10.0}, T0),
        make.make("control", "ParametersChanged", T0, parameters=parameters),
    )  # fmt: skip
    made = view()
    state.views[made.key] = made
    record = Forecasts(sz=sz, ss=3600.0, weight=3600.0, outcomes=3600)
    state.sources["s"].skill.by_horizon[2] = record
    return state


def test_a_strategy_moves_with_its_sources_skill_for_those_who_hear_it() -> None:
    state = taught(-100.0)
    found = list(moves(state))
    assert [(one.portfolio, one.source, one.strategy) for one in found] == [
        (None, "s", "s"), (None, "s", "t"),
    ]  # fmt: skip
    assert {(one.name, one.cause, one.after) for one in found} == {
        ("strategy", "signal_quality", 0.25)
    }
    state.adapted_strategies = {("s", one.strategy or ""): one.after for one in found}
    hears, does_not = (tilt_of(state, state.portfolios[name]) for name in "pq")
    assert hears.wish("s", "t") == hears.budget("s", "t") == hears.budget("s", "") == 0.25
    assert hears.wish("u", "u") == hears.budget("u", "") == 1.0
    assert hears.parts == (("signal_quality/s/s", 0.25), ("signal_quality/s/t", 0.25))
    assert does_not == Tilt()
    assert list(moves(state)) == []  # it is there


def test_budgets_of_a_portfolio_and_of_a_strategy_multiply() -> None:
    tilt = Tilt(budgets=0.5, strategies=(("s", "a", 1.5), ("s", "b", 0.5)))
    assert [tilt.budget("s", name) for name in ("a", "b", "c", "")] == [0.75, 0.25, 0.5, 0.25]


# -- the state -------------------------------------------------------------------------------------


def test_what_is_in_force_is_part_of_a_checkpoint_and_of_the_portfolios_digest() -> None:
    make = Inputs()
    state = state_after([*world(make, REGIMES), declared(make, T0 + HOUR)])
    state.adapted_strategies = {("u", "b"): 0.5, ("s", "a"): 2.0}
    again = decode_state(encode_state(state))
    assert again.regimes == state.regimes
    assert again.adapted_strategies == state.adapted_strategies
    assert again.portfolios["p"].adapted == state.portfolios["p"].adapted != {}
    assert state_digest(again) == state_digest(state)
    before = portfolio_digest(again.portfolios["p"])
    again.portfolios["p"].adapted.popitem()
    assert portfolio_digest(again.portfolios["p"]) != before


def test_a_state_in_which_nothing_moved_is_that_of_a_build_without_rules() -> None:
    state = state_of()
    assert tilt_of(state, state.portfolios["p"]) is NEUTRAL
    look_again(state)
    assert state.timers.deadline("moves") is None
    assert b"adapted" not in encode_state(state).split(b"\n")[-1]
