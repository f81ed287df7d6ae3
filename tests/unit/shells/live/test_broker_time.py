"""Broker time: believed from its answers, whatever this machine's clock says or does."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.shells.live.broker_time import BrokerTime
from tests.journals import HOUR, MS, SECOND, T0


class Machine:
    """Its clocks; `wrong` by so much, ns."""

    def __init__(self, *, wrong: int = 0) -> None:
        self.passed = 0
        self.true = BrokerTime(monotonic=lambda: self.passed, guess=lambda: T0 + wrong)


def test_it_goes_on_with_the_time_that_passes() -> None:
    machine = Machine()
    machine.passed += 5 * SECOND
    assert machine.true.now() == T0 + 5 * SECOND


@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_an_answer_puts_right_a_clock_that_is_an_hour_wrong(wrong: int) -> None:
    machine = Machine(wrong=wrong)
    sent = machine.true.sending()
    machine.passed += 8 * MS
    machine.true.told(T0 + 3 * MS, sent)
    assert abs(machine.true.now() - T0 - 8 * MS) <= 8 * MS


def test_an_estimate_that_agrees_with_the_answer_stays() -> None:
    machine = Machine()
    sent = machine.true.sending()
    machine.passed += 8 * MS
    machine.true.told(T0 + 5 * MS, sent)
    assert machine.true.now() == T0 + 8 * MS


def test_what_was_read_is_over_and_what_is_older_says_nothing() -> None:
    machine = Machine()
    machine.true.heard(T0 - SECOND)
    assert machine.true.now() == T0
    machine.true.heard(T0 + SECOND)
    assert machine.true.now() == T0 + SECOND


def test_a_clock_that_jumps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = BrokerTime()
    before = found.now()
    real = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: real + HOUR)
    assert 0 <= found.now() - before < 10 * SECOND


@given(
    wrong=st.integers(-HOUR, HOUR),
    sends=st.lists(st.tuples(st.integers(0, 50 * MS), st.integers(0, 50 * MS)), min_size=1),
)
def test_it_is_never_further_off_than_the_last_answer_took(
    wrong: int, sends: list[tuple[int, int]]
) -> None:
    machine = Machine(wrong=wrong)
    for there, back in sends:
        sent = machine.true.sending()
        machine.passed += there
        at = (T0 + machine.passed) // MS * MS
        machine.passed += back
        machine.true.told(at, sent)
        assert abs(machine.true.now() - T0 - machine.passed) <= there + back + MS
