"""Leave one out: what a source changed is the difference to a world in which it said nothing."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.log.memory import MemoryLog
from replay.errors import OtherProblem, UnknownSource
from replay.leave_out import decided_without, leave_out
from replay.problems import situation_at
from schemas.base import Event
from schemas.canonical import canonical_bytes
from schemas.decisions import AllocationDecided
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run
from tests.recorded import end_of, recorded
from tests.unit.replay.forgeries import retold

AT = T0 + DAY + HOUR
SAID: dict[str, dict[str, Any]] = {
    "s": {"A": 1, "B": -1},
    "t": {"A": -1, "C": 1},
    "u": {"B": 1, "C": 1},
    "silent": {},
}


def world(*speakers: str) -> MemoryLog:
    """Three names and four sources, of whom these speak, at once; the portfolio may go short."""
    make = Inputs()
    inputs: list[Input] = [make.listed(name) for name in "ABC"]
    inputs += [make.registered(source) for source in SAID]
    terms = {"position_max": 0.5, "position_min": -0.5, "gross_max": 2.0}
    inputs.append(make.opened("p", mandate=terms, mode="aggressive"))
    inputs += [make.close({"A": 10.0, "B": 20.0 + n, "C": 5.0}, T0 + n * DAY) for n in (0, 1)]
    for n, source in enumerate(SAID):
        for name, direction in SAID[source].items():
            if source in speakers:
                wish: dict[str, Any] = {
                    "direction": direction,
                    "strength": 0.7 + n / 20,
                    "confidence": 0.9,
                }
                wish["event_id"] = f"{source}-{name}"
                inputs.append(make.signal(source, name, AT, **wish))
    return run(inputs, end=AT + HOUR)


ALL = world(*SAID)


def alone(source: str) -> AllocationDecided:
    (made,) = events_of(world(source), AllocationDecided)
    return made


def test_a_source_without_any_view_changes_nothing_bit_for_bit() -> None:
    state, portfolio, _ = situation_at(ALL, "p:1")
    whole = decided_without(state, portfolio, ())
    other = decided_without(state, portfolio, ("silent",))
    assert whole is not None
    assert other is not None
    assert canonical_bytes(other) == canonical_bytes(whole)
    (recorded_one,) = events_of(ALL, AllocationDecided)
    same = {"identity": recorded_one.identity}
    assert canonical_bytes(whole.model_copy(update=same)) == canonical_bytes(recorded_one)
    assert whole.identity.problem == recorded_one.identity.problem
    (left,) = leave_out(ALL, "p:1", ["silent"]).sources
    assert (left.signals, left.changes, left.turnover_change, left.objective_change) == (
        (), (), 0.0, 0.0,
    )  # fmt: skip


@pytest.mark.parametrize("source", ["s", "t", "u"])
def test_without_all_others_it_is_the_decision_of_a_world_where_only_that_one_spoke(
    source: str,
) -> None:
    state, portfolio, _ = situation_at(ALL, "p:1")
    found = decided_without(state, portfolio, [name for name in SAID if name != source])
    expected = alone(source)
    assert found is not None
    assert found.identity.problem == expected.identity.problem
    same = {"identity": expected.identity}
    assert canonical_bytes(found.model_copy(update=same)) == canonical_bytes(expected)


def test_what_each_source_changed_is_told_the_one_that_moved_most_first() -> None:
    told = leave_out(ALL, "p:1")
    assert sorted(one.source for one in told.sources) == ["s", "t", "u"]
    moved = [sum(abs(c.decided - c.without) for c in one.changes) for one in told.sources]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0.0
    for one in told.sources:
        rest = [name for name in ("s", "t", "u") if name != one.source]
        (real,) = events_of(world(*rest), AllocationDecided)
        assert one.trades == real.trades
        assert one.turnover_change == told.turnover - real.turnover
        assert one.objective_change == told.objective - real.solver.objective
        sizes = [abs(change.decided - change.without) for change in one.changes]
        assert sizes == sorted(sizes, reverse=True)


def test_every_decision_of_busy_days_can_be_asked() -> None:
    inputs = recorded(3)
    log = run(inputs, end=end_of(inputs))
    asked = [leave_out(log, one.decision_id) for one in events_of(log, AllocationDecided)[::12]]
    assert any(left.changes for told in asked for left in told.sources)
    assert any(left.signals and not left.changes for told in asked for left in told.sources)


def test_without_the_only_one_who_spoke_there_is_nothing_to_decide() -> None:
    (left,) = leave_out(world("s"), "p:1").sources
    assert (left.rung, left.trades, left.turnover) == (None, (), 0.0)
    assert {change.without for change in left.changes} == {0.0}


def test_it_is_told_how_far_it_is() -> None:
    steps: list[tuple[int, int, str]] = []
    leave_out(ALL, "p:1", step=lambda done, total, name: steps.append((done, total, name)))
    assert steps == [(0, 3, "s"), (1, 3, "t"), (2, 3, "u")]


def test_a_source_that_nobody_registered_is_named_beside_those_that_were_heard() -> None:
    with pytest.raises(UnknownSource, match=r"'ghost'.* heard in it: s, t, u"):
        leave_out(ALL, "p:1", ["s", "ghost"])


def test_a_decision_that_comes_out_otherwise_here_is_refused() -> None:
    def change(event: Event) -> Event:
        return (
            event.model_copy(update={"trades": event.trades[1:]})
            if isinstance(event, AllocationDecided)
            else event
        )

    with pytest.raises(OtherProblem, match="it comes out otherwise here"):
        leave_out(retold(ALL, change), "p:1")


def test_what_a_source_led_the_portfolio_to_hold_is_there_without_its_wish() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.registered("t")]
    inputs += [make.opened("p", mandate={"position_max": 0.5}, mode="aggressive")]
    inputs += [make.close({"A": 10.0}, T0 + SECOND)]
    inputs += [make.signal("s", "A", T0 + HOUR, strength=0.9, confidence=1.0)]
    (first,) = events_of(run(inputs, end=T0 + DAY), AllocationDecided)
    (trade,) = first.trades
    bought = f"{trade.quantity:f}"
    at = T0 + 2 * HOUR
    inputs.append(make.fill("p", "A", bought, "10", at, trade_id=trade.trade_id))
    inputs.append(make.signal("t", "A", at + HOUR, direction=-1, strength=0.9, confidence=0.3))
    told = {one.source: one for one in leave_out(run(inputs, end=T0 + DAY), "p:2").sources}
    assert [one.quantity for one in told["s"].trades] == [-trade.quantity]
    assert told["t"].trades == ()
