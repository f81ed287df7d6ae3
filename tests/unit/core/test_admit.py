"""Admission: terms of sources and strategies, ranges, rivals, rates; counted by reason."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.admit import _length
from coordinator.core.clock import MILLISECOND, MINUTE
from coordinator.core.state import Source
from schemas.decisions import RoundClosed
from schemas.verdicts import InputRejected, InputRejection, SignalRejected, SignalRejection
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    events_of,
    run,
    state_after,
)

S = SignalRejection
NOON = T0 + 12 * HOUR


def world(make: Inputs, **terms: Any) -> list[Input]:
    made = [make.listed("A"), make.listed("B"), make.registered("s", **terms), make.opened("p")]
    return [*made, make.close({"A": 10.0, "B": 20.0}, T0 + SECOND)]


def reasons(inputs: list[Input]) -> list[SignalRejection]:
    return [one.reason for one in events_of(run(inputs, end=NOON + DAY), SignalRejected)]


def source_after(inputs: list[Input]) -> Source:
    return state_after(inputs).sources["s"]


def test_a_source_speaks_of_its_own_instruments_alone() -> None:
    make = Inputs()
    inputs = world(make, instruments=["A"])
    inputs += [make.signal("s", "A", NOON), make.signal("s", "B", NOON)]
    assert reasons(inputs) == [S.NOT_ALLOWED]


def test_a_strategy_speaks_of_its_own_of_these_and_has_its_own_horizon() -> None:
    make = Inputs()
    inputs = world(make)
    terms = {"source": "s", "strategy": "s", "instruments": ["B"], "horizon_sessions": 9.0}
    inputs.append(make.make("control", "StrategyRegistered", T0 + SECOND, **terms))
    inputs += [make.signal("s", "A", NOON), make.signal("s", "B", NOON)]
    assert reasons(inputs) == [S.NOT_ALLOWED]
    assert source_after(inputs).horizon("s") == 9.0
    assert source_after(inputs).horizon("another") == 5.0


@pytest.mark.parametrize(("source", "strategy", "reason"), [
    ("x", "s", InputRejection.UNKNOWN_SOURCE), ("s", "x", InputRejection.UNKNOWN_STRATEGY),
])  # fmt: skip
def test_a_strategy_belongs_to_a_source_that_names_it_or_names_none(
    source: str, strategy: str, reason: InputRejection
) -> None:
    make = Inputs()
    inputs = world(make, strategies=["s"])
    terms = {"source": source, "strategy": strategy}
    inputs.append(make.make("control", "StrategyRegistered", NOON, **terms))
    assert [one.reason for one in events_of(run(inputs), InputRejected)] == [reason]


def test_more_signals_than_the_rate_allows_do_not_count_until_the_next_minute() -> None:
    make = Inputs()
    inputs = world(make, rate_per_minute=2)
    inputs += [make.signal("s", "A", NOON + n * SECOND) for n in (0, 1, 2, 60)]
    assert reasons(inputs) == [S.RATE_LIMITED]


def test_the_opposite_at_the_same_time_contradicts_and_the_same_again_does_not() -> None:
    make = Inputs()
    inputs = world(make)
    inputs += [make.signal("s", "A", NOON), make.signal("s", "A", NOON, strength=0.3)]
    inputs.append(make.signal("s", "A", NOON, expected_return=-0.01))
    inputs.append(make.signal("s", "A", NOON, direction=0))
    assert reasons(inputs) == [S.CONTRADICTORY]


def test_a_price_far_from_a_market_that_is_not_known_cannot_be_judged() -> None:
    make = Inputs()
    inputs = [*world(make), make.listed("C", NOON), make.signal("s", "C", NOON, price=5.0)]
    assert reasons(inputs) == []


def test_every_reason_is_counted_with_its_source_and_terms_change_no_record() -> None:
    make = Inputs()
    inputs = world(make)
    inputs += [make.signal("s", "A", NOON), make.signal("s", "X", NOON)]
    inputs += [make.signal("s", "A", NOON, price=99.0), make.signal("s", "Y", NOON)]
    inputs.append(make.registered("s", NOON, priority=0.9))
    found = source_after(inputs)
    assert (found.accepted, found.rejected) == (1, {"unknown_instrument": 2, "price_away": 1})
    assert (found.terms.priority, found.priority("any"), found.last_at) == (0.9, 0.9, NOON)


def test_what_a_source_may_not_speak_of_any_more_counts_no_more() -> None:
    make = Inputs()
    inputs = world(make)
    inputs += [make.signal("s", "A", NOON), make.registered("s", NOON + HOUR, instruments=["B"])]
    inputs.append(make.signal("s", "B", NOON + 2 * HOUR))
    last = events_of(run(inputs, end=NOON + DAY), RoundClosed)[-1]
    assert [one.rpartition("/")[0] for one in last.signals_used] == ["s"]
    assert len(last.signals_used) == 1


def test_who_is_registered_anew_without_a_strategy_speaks_for_it_no_more() -> None:
    make = Inputs()
    inputs = world(make, strategies=["a", "b"])
    terms = {"source": "s", "strategy": "a", "horizon_sessions": 9.0}
    inputs.append(make.make("control", "StrategyRegistered", T0 + SECOND, **terms))
    inputs.append(make.registered("s", T0 + HOUR, strategies=["c"]))
    inputs += [make.signal("s", "A", NOON, strategy=name) for name in "abc"]
    assert reasons(inputs) == [S.UNKNOWN_STRATEGY, S.UNKNOWN_STRATEGY]


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (5_999 * MILLISECOND, "5999 ms"), (2 * MINUTE - 1, "119999 ms"), (2 * MINUTE, "2 minutes"),
        (119 * MINUTE, "119 minutes"), (47 * 60 * MINUTE, "47 hours"), (9 * DAY + 1, "9 days"),
    ],
)  # fmt: skip
def test_how_late_a_signal_is_is_told_in_a_unit_that_people_read(ns: int, text: str) -> None:
    assert _length(ns) == text
