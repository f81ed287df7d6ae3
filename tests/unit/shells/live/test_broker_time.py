"""Broker time: believed from its answers, whatever this machine's clock says or does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.shells.live.broker_time import BrokerTime
from tests.journals import HOUR, MS, SECOND, T0


class Machine:
    """Its clocks; that of the day is `wrong` by so much, ns."""

    def __init__(self, *, wrong: int = 0) -> None:
        self.passed = 0
        self.wrong = wrong
        self.estimate = BrokerTime(
            monotonic=lambda: self.passed, guess=lambda: T0 + self.passed + self.wrong
        )


def test_it_goes_on_with_the_time_that_passes() -> None:
    machine = Machine()
    machine.passed += 5 * SECOND
    assert machine.estimate.now() == T0 + 5 * SECOND


@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_an_answer_puts_right_a_clock_that_is_an_hour_wrong(wrong: int) -> None:
    machine = Machine(wrong=wrong)
    sent = machine.passed
    machine.passed += 8 * MS
    machine.estimate.told(appended_at=T0 + 3 * MS, sent=sent)
    assert abs(machine.estimate.now() - T0 - 8 * MS) <= 8 * MS


def test_an_estimate_that_agrees_with_the_answer_stays() -> None:
    machine = Machine()
    sent = machine.passed
    machine.passed += 8 * MS
    machine.estimate.told(appended_at=T0 + 5 * MS, sent=sent)
    assert machine.estimate.now() == T0 + 8 * MS


def test_what_was_read_is_over_and_what_is_older_says_nothing() -> None:
    machine = Machine()
    machine.estimate.heard(T0 - SECOND)
    assert machine.estimate.now() == T0
    machine.estimate.heard(T0 + SECOND)
    assert machine.estimate.now() == T0 + SECOND


def test_a_clock_that_jumps_changes_nothing() -> None:
    machine = Machine()
    machine.wrong = HOUR
    machine.passed += SECOND
    assert machine.estimate.now() == T0 + SECOND


@given(
    wrong=st.integers(-HOUR, HOUR),
    sends=st.lists(st.tuples(st.integers(0, 50 * MS), st.integers(0, 50 * MS)), min_size=1),
)
def test_it_is_never_further_off_than_the_last_answer_took(
    wrong: int, sends: list[tuple[int, int]]
) -> None:
    machine = Machine(wrong=wrong)
    for there, back in sends:
        sent = machine.passed
        machine.passed += there
        at = (T0 + machine.passed) // MS * MS
        machine.passed += back
        machine.estimate.told(appended_at=at, sent=sent)
        assert abs(machine.estimate.now() - T0 - machine.passed) <= there + back + MS
