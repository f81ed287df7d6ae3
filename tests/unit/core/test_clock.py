"""Timers as data: fired by deadline, then by id, however they were armed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.clock import NEVER, Timers

steps = st.lists(
    st.tuples(
        st.sampled_from(["arm", "disarm", "fire"]), st.sampled_from("abcd"), st.integers(0, 9)
    ),
    max_size=60,
)


@given(steps)
def test_timers_agree_with_a_sorted_dictionary(steps: list[tuple[str, str, int]]) -> None:
    timers, model = Timers(), dict[str, int]()
    for action, name, deadline in steps:
        if action == "arm":
            timers.arm(name, deadline)
            model[name] = deadline
        elif action == "disarm":
            timers.disarm(name)
            model.pop(name, None)
        elif model:
            due = min(model, key=lambda n: (model[n], n))
            assert timers.first() == due
            timers.disarm(due)
            del model[due]
        assert timers.earliest == min(model.values(), default=NEVER)
        assert timers.items() == sorted(model.items())
        assert Timers(timers.items()).first() == timers.first()
        soonest = min(model.values(), default=NEVER)
        assert timers.due() == sorted(name for name, at in model.items() if at == soonest)


def test_timers_of_one_deadline_come_in_the_order_of_their_ids() -> None:
    timers = Timers([("b", 5), ("a", 5), ("c", 4)])
    order = []
    while (name := timers.first()) is not None:
        order.append(name)
        timers.disarm(name)
    assert order == ["c", "a", "b"]


def test_arming_again_moves_a_timer() -> None:
    timers = Timers([("a", 5), ("b", 6)])
    timers.arm("a", 7)
    assert (timers.first(), timers.deadline("a"), timers.deadline("z")) == ("b", 7, None)


def test_without_timers_nothing_is_ever_due() -> None:
    timers = Timers()
    timers.disarm("a")
    assert (timers.first(), timers.earliest) == (None, NEVER)


def test_timers_that_are_moved_again_and_again_do_not_pile_up() -> None:
    timers = Timers([("far", 10**9)])
    for step in range(10_000):
        timers.arm("moved", 10**6 + step)
        timers.arm("gone", 10**8 + step)
        timers.disarm("gone")
    assert len(timers._heap) < 3_000
    assert (timers.first(), timers.earliest) == ("moved", 10**6 + 9_999)


def test_timers_moved_a_hundred_thousand_times_do_not_pile_up() -> None:
    timers = Timers([("end", 5)])
    for n in range(100_000):
        timers.arm(f"view {n % 10}", 10**9 + n)
        timers.arm(f"round {n}", 10**9)
        timers.disarm(f"round {n}")
    assert len(timers._heap) < 3_000
    assert (timers.earliest, len(timers.items())) == (5, 11)
    timers.disarm("end")
    assert timers.first() == "view 0"
