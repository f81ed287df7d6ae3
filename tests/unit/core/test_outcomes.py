"""Outcomes: entries after a signal was known, exits at the same kind of price, once and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.outcomes import OUTCOME_MOST
from coordinator.core.state import Source
from coordinator.log.memory import MemoryLog
from schemas.verdicts import (
    InputRejected,
    InputRejection,
    RecordQuarantined,
    SourceCalibrated,
)
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    contents,
    engine,
    events_of,
    lay,
    only,
    run,
    state_after,
    zero_clock,
)

SIGMA = 0.02  # the prior volatility, which a few sessions hardly move
FEW = {"risk_weight_prior": 1e6, "skill_count_prior": 1e-3}


def opening(make: Inputs, **parameters: Any) -> list[Input]:
    """Two names that do not move, so that the market is still where only A moves by half."""
    changed = make.make("control", "ParametersChanged", T0, parameters=FEW | parameters)
    made = [changed, make.listed("A"), make.listed("B"), make.registered("s")]
    return [*made, make.close({"A": 100.0, "B": 100.0}, T0 + HOUR)]


def source_after(inputs: list[Input]) -> Source:
    return state_after(inputs).sources["s"]


def outcomes(inputs: list[Input]) -> list[float]:
    """Of scores of one: sums of what came of them."""
    forecasts = source_after(inputs).skill.by_horizon.values()
    return [round(one.sz, 9) for one in forecasts]


def signal(make: Inputs, at: int, **fields: Any) -> Input:
    terms = {"direction": 1, "strength": None, "horizon_sessions": 1.0}
    return make.signal("s", "A", at, **(terms | fields))


def test_what_is_said_before_a_close_is_entered_there_and_ends_at_a_close() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR)]
    inputs.append(make.close({"A": 110.0, "B": 100.0}, T0 + DAY))  # before the entry: no matter
    inputs.append(make.close({"A": 112.2, "B": 100.0}, T0 + 2 * DAY))
    # Two percent, of which one is the market's: beta is one.
    assert outcomes(inputs) == [pytest.approx(0.01 / SIGMA, rel=1e-4)]


def test_what_enters_at_an_open_ends_at_an_open() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR)]
    for day, (first, close) in enumerate(((100.0, 101.0), (102.0, 99.0)), 1):
        at = T0 + day * DAY
        inputs.append(make.prices({"A": first, "B": 100.0}, at, kind="open"))
        inputs.append(make.close({"A": close, "B": 100.0}, at + HOUR))
    (found,) = outcomes(inputs)
    assert found == pytest.approx(0.01 / SIGMA, rel=0.02)


def test_a_price_of_the_signals_own_moment_is_no_entry() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + DAY)]
    inputs.append(make.prices({"A": 50.0}, T0 + DAY))
    assert state_after(inputs).outcomes.entered == {}
    inputs.append(make.prices({"A": 50.0}, T0 + DAY + 1))
    assert len(state_after(inputs).outcomes.entered) == 1


def test_an_outcome_teaches_when_it_is_known_and_not_before() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, horizon_sessions=2.0)]
    for day in (1, 2):
        inputs.append(make.close({"A": 100.0 + day, "B": 100.0}, T0 + day * DAY))
        assert outcomes(inputs) == []
    inputs.append(make.close({"A": 103.0, "B": 100.0}, T0 + 3 * DAY))
    assert len(outcomes(inputs)) == 1


def test_overlapping_outcomes_count_for_their_own_part() -> None:
    make = Inputs()
    inputs = opening(make)
    for day in range(1, 12):
        inputs.append(signal(make, T0 + day * DAY - HOUR, horizon_sessions=5.0))
        inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + day * DAY))
    (forecasts,) = source_after(inputs).skill.by_horizon.values()
    assert forecasts.outcomes == 6
    assert forecasts.weight == pytest.approx(1 + 5 / 5, rel=0.01)


def test_many_signals_of_a_session_have_one_outcome() -> None:
    make = Inputs()
    inputs = opening(make)
    for n in range(9):
        inputs.append(signal(make, T0 + 2 * HOUR + n * SECOND))
        inputs.append(make.prices({"A": 100.0}, T0 + 2 * HOUR + n * SECOND + 1))
    assert len(state_after(inputs).outcomes.entered) == 1


@pytest.mark.parametrize("said", ["hold", "withdrawn"])
def test_what_is_taken_back_before_its_entry_has_no_outcome(said: str) -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, event_id="x")]
    if said == "hold":
        inputs.append(signal(make, T0 + 3 * HOUR, direction=0))
    else:
        fields = {"source": "s", "signal_id": "x"}
        inputs.append(make.make("signals", "SignalWithdrawn", T0 + 3 * HOUR, **fields))
    inputs.append(make.close({"A": 110.0}, T0 + DAY))
    assert state_after(inputs).outcomes.entered == {}


def test_a_split_and_a_dividend_are_no_loss() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR)]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    inputs.append(make.action("A", "split", T0 + DAY + 1, ratio="2"))
    inputs.append(make.action("A", "dividend", T0 + DAY + 2, amount="10"))
    inputs.append(make.close({"A": 40.0, "B": 100.0}, T0 + 2 * DAY))
    (found,) = outcomes(inputs)
    assert found == pytest.approx(0.0, abs=1e-9)


def test_a_reported_outcome_corrects_the_one_found_here() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, event_id="x")]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    told = {"source": "s", "signal_id": "x", "realised_return": 0.03, "known_at": T0 + DAY}
    inputs.append(make.close({"A": 10.0, "B": 100.0}, T0 + 2 * DAY))
    inputs.append(make.prices({"A": 10.0}, T0 + 2 * DAY + 1))
    assert outcomes(inputs) == [pytest.approx(-6.0, rel=0.01)]
    inputs.append(make.make("outcomes", "OutcomeAttributed", T0 + 2 * DAY + HOUR, **told))
    assert outcomes(inputs) == [pytest.approx(0.03 / SIGMA, rel=0.01)]


@pytest.mark.parametrize(("changes", "reason"), [
    ({"source": "u"}, InputRejection.UNKNOWN_SOURCE),
    ({"signal_id": "y"}, InputRejection.UNKNOWN_SIGNAL),
    ({"known_at": T0 + 9 * DAY}, InputRejection.FUTURE),
    ({}, InputRejection.FUTURE),  # its horizon is not over
    ({"source": None}, InputRejection.UNSUPPORTED),
])  # fmt: skip
def test_a_report_of_nothing_that_is_awaited_is_rejected(
    changes: dict[str, Any], reason: InputRejection
) -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, event_id="x")]
    inputs.append(make.close({"A": 100.0}, T0 + DAY))
    told = {"source": "s", "signal_id": "x", "realised_return": 0.03, "known_at": T0 + DAY}
    inputs.append(make.make("outcomes", "OutcomeAttributed", T0 + DAY + HOUR, **(told | changes)))
    (event,) = events_of(run(inputs), InputRejected)
    assert event.reason == reason


@pytest.mark.parametrize("closes", ["together", "one by one"])
def test_names_that_close_at_one_moment_close_together_however_they_are_told(closes: str) -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR)]
    inputs.append(make.signal("s", "B", T0 + 2 * HOUR, direction=1, horizon_sessions=1.0))
    for day, prices in enumerate(({"A": 100.0, "B": 100.0}, {"A": 101.0, "B": 99.0}), 1):
        at = T0 + day * DAY
        if closes == "together":
            inputs.append(make.close(prices, at))
        else:
            inputs += [make.close({name: price}, at) for name, price in prices.items()]
    state = state_after(inputs)
    (forecasts,) = state.sources["s"].skill.by_horizon.values()
    assert forecasts.outcomes == 2
    assert state.market.level == pytest.approx(1.0)


def test_strategies_of_a_source_do_not_multiply_its_evidence() -> None:
    make = Inputs()
    inputs = opening(make)
    inputs += [signal(make, T0 + 2 * HOUR, strategy=f"echo{n}") for n in range(9)]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    inputs.append(make.close({"A": 101.0, "B": 100.0}, T0 + 2 * DAY))
    (forecasts,) = source_after(inputs).skill.by_horizon.values()
    assert (forecasts.outcomes, round(forecasts.weight, 6)) == (9, 1.0)


def split(make: Inputs, *, told: int) -> list[Input]:
    """A signal whose session holds a split, ten for one, that is told some time after its close."""
    at = T0 + 2 * DAY
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, event_id="x")]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    if told > 0:
        inputs.append(make.close({"A": 10.0, "B": 100.0}, at))
    inputs.append(make.action("A", "split", at + told, ratio="10", effective_at=at - HOUR))
    if told < 0:
        inputs.append(make.close({"A": 10.0, "B": 100.0}, at))
    return [*inputs, make.close({"A": 10.0, "B": 100.0}, at + DAY)]


@pytest.mark.parametrize("told", [-HOUR, HOUR])
def test_a_split_divides_the_volumes_before_it_whenever_it_is_told(told: int) -> None:
    market = state_after(split(Inputs(), told=told)).market
    assert market.volumes[[1, 2, 3], 0].tolist() == [1e7, 1e7, 1e6]


def test_a_split_that_is_told_in_time_is_no_outcome() -> None:
    inputs = split(Inputs(), told=-HOUR)
    assert outcomes(inputs) == [pytest.approx(0.0, abs=1e-9)]
    assert state_after(inputs).market.level == pytest.approx(1.0)


def test_one_that_is_told_after_the_close_taught_something_bounded_that_a_report_corrects() -> None:
    make = Inputs()
    inputs = split(make, told=HOUR)
    (taught,) = outcomes(inputs)
    assert -OUTCOME_MOST <= taught < 0.0
    at = T0 + 3 * DAY + HOUR
    said = {"source": "s", "signal_id": "x", "realised_return": 0.0, "known_at": at}
    inputs.append(make.make("outcomes", "OutcomeAttributed", at, **said))
    assert outcomes(inputs) == [pytest.approx(0.0, abs=1e-9)]


def test_absurd_prices_end_no_learning() -> None:
    make = Inputs()
    inputs = opening(make)
    for day in range(1, 9):
        inputs.append(signal(make, T0 + day * DAY - HOUR))
        inputs.append(make.close({"A": (1e12, 1.1e-9)[day % 2], "B": 1e-9}, T0 + day * DAY))
    inputs += [
        make.action("A", "dividend", T0 + 9 * DAY + n, amount="0.0000000010") for n in range(40)
    ]
    inputs.append(make.close({"A": 5.0}, T0 + 10 * DAY))
    log = run(inputs, end=T0 + 11 * DAY)
    assert events_of(log, RecordQuarantined) == []
    state = state_after(inputs)
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


def test_what_fades_is_the_same_after_a_restart() -> None:
    make = Inputs()
    inputs = [*busy(make), make.signal("s", "A", T0 + 5 * DAY + HOUR, horizon_sessions=20.0)]
    for day in range(6, 10):
        inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + day * DAY))
        inputs.append(make.moved("p", "1", T0 + day * DAY + HOUR))
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=1, end=T0 + 11 * DAY)
    warm, cold = engine(0, 1), engine(0, 1)
    for record in log.read("journal", 0):
        before = cold.checkpoint()
        cold = engine(0, 1)
        cold.restore(before)
        assert cold.step(record) == warm.step(record), record.position


def test_no_more_wait_than_the_parameters_allow() -> None:
    make = Inputs()
    inputs = [*opening(make, outcomes_max=1), signal(make, T0 + 2 * HOUR)]
    inputs.append(make.signal("s", "B", T0 + 2 * HOUR))
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    assert len(state_after(inputs).outcomes.entered) == 1


def test_without_learning_nothing_waits_and_skills_stay_at_their_prior() -> None:
    make = Inputs()
    inputs = [*opening(make, learning=False), signal(make, T0 + 2 * HOUR)]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    inputs.append(make.close({"A": 120.0, "B": 100.0}, T0 + 2 * DAY))
    state = state_after(inputs)
    assert (state.outcomes.expected, state.outcomes.entered, state.learned) == ({}, {}, 0)


def busy(make: Inputs) -> list[Input]:
    inputs = [*opening(make), make.registered("u"), make.opened("p"), make.opened("q")]
    for day in range(1, 6):
        at = T0 + day * DAY
        for source in ("s", "u"):
            stated = {"direction": (-1) ** day, "confidence": 0.7, "horizon_sessions": 1.0}
            inputs.append(make.signal(source, "A", at - HOUR, **stated))
            inputs.append(make.signal(source, "B", at - HOUR, expected_return=0.01))
        prices = {"A": 100.0 + (-1) ** day, "B": 100.0 + day}
        inputs.append(make.prices(prices, at - HOUR // 2))
        inputs.append(make.close(prices, at))
    return inputs


def test_what_was_learned_is_said_after_each_session_by_the_sources_home() -> None:
    log = run(busy(Inputs()), end=T0 + 9 * DAY)
    said = events_of(log, SourceCalibrated)
    assert {one.source for one in said} == {"s", "u"}
    last = [one for one in said if one.source == "s"][-1]
    assert last.observations > 1.0
    assert last.skill_low is not None
    assert last.skill_high is not None
    assert last.skill_low < last.skill < last.skill_high
    assert last.confident > 1
    assert [one.confidence_from for one in last.reliability] == [0.7]


@pytest.mark.parametrize("shards", [2, 3])
def test_what_is_learned_does_not_depend_on_the_shards(shards: int) -> None:
    kinds = ("SourceCalibrated", "AllocationDecided")
    one = run(busy(Inputs()), end=T0 + 9 * DAY)
    several = run(busy(Inputs()), shards=shards, end=T0 + 9 * DAY)
    assert only(contents(one, shards=1), kinds) == only(contents(several, shards=shards), kinds)


def test_all_that_waits_and_all_that_is_known_is_in_a_checkpoint() -> None:
    state = state_after(busy(Inputs()))
    assert state.outcomes.entered
    assert state.pairs.names == ["s", "u"]
    written = encode_state(state)
    again = decode_state(written)
    assert encode_state(again) == written
    assert again.market.level_now() == state.market.level_now()


def test_what_should_have_ended_while_nothing_was_learned_is_forgotten() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, event_id="x")]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    for learning, day in ((False, 1), (True, 4)):
        changed = {"parameters": FEW | {"learning": learning}}
        inputs.append(make.make("control", "ParametersChanged", T0 + day * DAY + HOUR, **changed))
        inputs += [make.close({"A": 100.0, "B": 100.0}, T0 + (day + n) * DAY) for n in range(1, 4)]
    found = state_after(inputs).outcomes
    assert (found.entered, found.at_close, found.at_first) == ({}, {}, {})


def test_a_report_of_what_prices_show_changes_nothing() -> None:
    """It is of the signal's own: what the market explains is not in it."""
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR)]
    inputs += [
        make.close({"A": 100.0, "B": 100.0}, T0 + DAY),
        make.close({"A": 102.0, "B": 104.0}, T0 + 2 * DAY),
    ]
    own = 0.02 - 0.03  # its beta is one, and the market the mean of both
    told: dict[str, Any] = {"source": "s", "signal_id": "signals-1-0", "realised_return": own}
    told |= {"known_at": T0 + 2 * DAY}
    before = outcomes(inputs)
    inputs.append(make.make("outcomes", "OutcomeAttributed", T0 + 2 * DAY + HOUR, **told))
    assert outcomes(inputs) == pytest.approx(before, rel=1e-3)
