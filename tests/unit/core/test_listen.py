"""Listen: from when a view's age counts, when it ends, and who is woken by its coming and going."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.state import State
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.verdicts import SignalExpired
from tests.journals import DAY, HOUR, MS, T0, Input, Inputs, events_of, run
from tests.unit.core.planted import feed, state_of

CLOSE = {"A": 10.0}


def base(make: Inputs, **fields: Any) -> list[Input]:
    made = [make.listed("A"), make.registered("s"), make.registered("u")]
    return [*made, make.opened("p", **fields), make.close(CLOSE, T0)]


def began(*inputs: Input) -> float:
    state: State = state_of(*inputs)
    return state.views["A", "s", "s"].session


def test_an_age_counts_from_the_first_close_at_or_after_the_signal_was_known() -> None:
    for at, session in ((T0 - 1, 1.0), (T0, 1.0), (T0 + 1, 2.0)):
        make = Inputs()
        before = [make.listed("A"), make.registered("s", T0 - DAY)]
        assert began(*before, make.close(CLOSE, T0), make.signal("s", "A", at)) == session


def test_a_signal_before_any_close_begins_at_the_first() -> None:
    make = Inputs()
    assert began(make.listed("A"), make.registered("s"), make.signal("s", "A", T0)) == 1.0


@pytest.mark.parametrize("known", [DAY - HOUR, DAY])
def test_a_horizon_of_one_session_is_used_at_one_close_and_over_at_the_next(known: int) -> None:
    make = Inputs()
    inputs = base(make, schedule={"kind": "session_close"})
    closes = [make.close(CLOSE, T0 + n * DAY) for n in (1, 2, 3)]
    signal = make.signal("s", "A", T0 + known, horizon_sessions=1.0)
    order = [signal, closes[0]] if known < DAY else [closes[0], signal]
    log = run([*inputs, *order, *closes[1:]], end=T0 + 4 * DAY)
    used = {r.decided_at: len(r.signals_used) for r in events_of(log, RoundClosed)}
    assert used[T0 + DAY] == 1
    assert [used[T0 + n * DAY] for n in (2, 3)] == [0, 0]
    assert [e.decided_at for e in events_of(log, SignalExpired)] == [T0 + 2 * DAY]


def test_a_signal_in_the_instant_of_its_predecessors_end_takes_its_place() -> None:
    make = Inputs()
    inputs = [*base(make), make.signal("s", "A", T0 + HOUR, horizon_sessions=1.0)]
    closes = [make.close(CLOSE, T0 + n * DAY) for n in (1, 2)]
    new = make.signal("s", "A", T0 + 2 * DAY, horizon_sessions=3.0)
    log = run([*inputs, *closes, new, make.close(CLOSE, T0 + 3 * DAY)], end=T0 + 4 * DAY)
    ended = [(e.signal_id, e.reason) for e in events_of(log, SignalExpired)]
    assert ended == [("signals-1-0", "superseded")]
    assert events_of(log, RoundClosed)[-1].signals_used == ("s/signals-1-1",)


def test_a_withdrawal_in_the_instant_of_a_views_end_is_the_end_that_is_said() -> None:
    make = Inputs()
    inputs = [*base(make), make.signal("s", "A", T0 + HOUR, horizon_sessions=1.0)]
    inputs += [make.close(CLOSE, T0 + n * DAY) for n in (1, 2)]
    gone = make.make(
        "signals", "SignalWithdrawn", T0 + 2 * DAY, source="s", signal_id="signals-1-0"
    )
    log = run([*inputs, gone], end=T0 + 4 * DAY)
    assert [e.reason for e in events_of(log, SignalExpired)] == ["withdrawn"]


@pytest.mark.parametrize("muted", [True, False])
@pytest.mark.parametrize("strategy", [None, "s"])
def test_who_hears_a_source_decides_anew_when_it_is_muted_or_heard_again(
    muted: bool, strategy: str | None
) -> None:
    make = Inputs()
    inputs = [*base(make), make.opened("q", T0, mandate={"sources": ["u"]})]
    inputs.append(make.signal("s", "A", T0 + HOUR, confidence=1.0))
    about: dict[str, Any] = {"source": "s", "strategy": strategy}
    inputs.append(make.make("control", "StrategyMuted", T0 + 2 * HOUR, **about))
    if not muted:
        off = about | {"muted": False}
        inputs.append(make.make("control", "StrategyMuted", T0 + 3 * HOUR, **off))
    log = run(inputs, end=T0 + DAY)
    last = events_of(log, RoundClosed)[-1]
    assert (last.portfolio, last.trigger, len(last.signals_used)) == (
        "p",
        "signals",
        int(not muted),
    )
    assert last.decided_at == T0 + (2 if muted else 3) * HOUR + 10 * MS


def test_a_withdrawal_undoes_what_its_signal_brought() -> None:
    make = Inputs()
    inputs = [*base(make, mode="aggressive"), make.signal("s", "A", T0 + HOUR, confidence=1.0)]
    bought = events_of(run(inputs, end=T0 + DAY), AllocationDecided)[0].trades[0]
    fill = make.fill("p", "A", str(bought.quantity), "10", T0 + 2 * HOUR, trade_id=bought.trade_id)
    gone = {"source": "s", "signal_id": "signals-1-0"}
    withdrawn = make.make("signals", "SignalWithdrawn", T0 + 3 * HOUR, **gone)
    last = events_of(run([*inputs, fill, withdrawn], end=T0 + DAY), RoundClosed)[-1]
    assert (last.decided_at, last.trigger) == (T0 + 3 * HOUR + 10 * MS, "signals")
    assert last.signals_used == ()


@pytest.mark.parametrize("wakes", [False, True])
def test_an_end_by_time_wakes_whom_the_parameters_say(*, wakes: bool) -> None:
    make = Inputs()
    inputs, rule = base(make), {"expiry_opens_rounds": wakes}
    inputs.append(make.make("control", "ParametersChanged", T0, parameters=rule))
    inputs.append(make.signal("s", "A", T0 + HOUR, expires_at=T0 + 2 * HOUR))
    found = events_of(run(inputs, end=T0 + DAY), RoundClosed)
    assert [one.decided_at for one in found[1:]] == [T0 + 2 * HOUR + 10 * MS] * wakes
    assert all(one.signals_used == () for one in found[1:])


def test_a_views_expiry_and_the_end_of_its_horizon_are_both_disarmed_with_it() -> None:
    state, make = state_of(), Inputs()
    feed(state, make.signal("s", "A", T0 + HOUR, expires_at=T0 + DAY))
    assert len(state.session_timers.items()) == 1
    feed(state, make.close(CLOSE, T0 + HOUR))
    assert state.timers.deadline("end-view\tA\ts\ts") == T0 + DAY
