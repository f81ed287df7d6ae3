"""Rounds: what opens one, when it is due, and who is woken."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.evolve import evolve_input
from coordinator.core.rounds import next_begin, note_idle, open_round
from coordinator.core.state import Round, State
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.entries import Stamp
from schemas.journal import RoundsPaced
from tests.journals import (
    DAY,
    HOUR,
    MS,
    SECOND,
    T0,
    Input,
    Inputs,
    events_of,
    lay,
    owners,
    run,
    zero_clock,
)
from tests.unit.core.books import portfolio


def days(make: Inputs, *, schedule: dict[str, Any] | None = None, **fields: Any) -> list[Input]:
    terms = fields if schedule is None else fields | {"schedule": schedule}
    made = [make.listed("A"), make.listed("B"), make.registered("s"), make.registered("u")]
    return [*made, make.opened("p", **terms), make.close({"A": 10.0, "B": 5.0}, T0 + SECOND)]


def rounds(inputs: list[Input], end: int = T0 + 5 * DAY) -> list[RoundClosed]:
    return events_of(run(inputs, end=end), RoundClosed)


def test_a_round_closes_when_its_window_ends_and_holds_what_came_in_it() -> None:
    make, at = Inputs(), T0 + HOUR
    base = days(make)
    early = [make.signal("s", "A", at), make.signal("u", "A", at + 9 * MS)]
    late = make.signal("s", "B", at + 11 * MS)
    first, second = rounds([*base, *early, late])
    assert (first.opened_at, first.decided_at) == (at, at + 10 * MS)
    assert first.signals_used == ("s/signals-1-0", "u/signals-2-0")
    assert (second.signals_new, len(second.signals_used)) == (1, 3)


def test_a_signal_at_the_very_end_of_the_window_is_still_in_it() -> None:
    make, at = Inputs(), T0 + HOUR
    base = days(make)
    inputs = [*base, make.signal("s", "A", at), make.signal("u", "A", at + 10 * MS)]
    (only,) = rounds(inputs)
    assert len(only.signals_used) == 2


def test_a_steady_stream_is_decided_no_more_often_than_the_spacing() -> None:
    make = Inputs()
    base = days(make)
    stream = [make.signal("s", "A", T0 + HOUR + n * MS) for n in range(200)]
    at = [r.decided_at for r in rounds([*base, *stream])]
    assert [b - a for a, b in pairwise(at)] == [50 * MS] * 4
    assert at[0] == T0 + HOUR + 10 * MS


def test_rounds_lie_further_apart_when_the_journal_says_that_their_owner_fell_behind() -> None:
    log = MemoryLog(clock=zero_clock)
    lay(days(Inputs()), log, shards=1)
    (owner,) = owners(log, shards=1)
    owner.recover()
    state = owner.engine.state
    assert isinstance(state, State)
    portfolio = state.portfolios["p"]
    for said, spacing in ((200, 200), (20, 50), (0, 50)):
        event = RoundsPaced(event_id="pace", event_time=state.clock, round_spacing_ms=said)
        evolve_input(state, Stamp("journal", "", 0, -1, state.clock), event)
        portfolio.round, portfolio.last_round_at = None, state.clock
        open_round(state, portfolio, "signals")
        assert state.timers.deadline("round\tp") == state.clock + spacing * MS


def due_after(state: State, name: str, last: int | None) -> int:
    """When a round of that portfolio is due that opens now."""
    portfolio = state.portfolios[name]
    portfolio.round, portfolio.last_round_at = None, last
    open_round(state, portfolio, "signals")
    found = state.timers.deadline(f"round\t{name}")
    assert found is not None
    return found


def paced(count: int, **said: int) -> State:
    """A shard with so many portfolios, paced."""
    state = deciding(*[None] * count)
    state.clock = T0
    event = RoundsPaced(event_id="pace", event_time=T0, **said)
    evolve_input(state, Stamp("journal", "", 0, -1, T0), event)
    return state


def test_rounds_that_wait_for_their_spacing_come_one_after_the_other() -> None:
    state = paced(4, round_spacing_ms=100, stagger_ms=20)
    found = [due_after(state, f"p{n}", T0) for n in range(4)]
    assert found == [T0 + at * MS for at in (100, 120, 140, 160)]
    state.clock = T0 + 161 * MS
    again = [due_after(state, f"p{n}", at) for n, at in enumerate(found)]
    assert again == [at + 100 * MS for at in found]  # each has its own time now


def test_a_round_that_waits_for_nothing_but_its_window_takes_no_turn() -> None:
    state = paced(2, round_spacing_ms=100, stagger_ms=20)
    assert due_after(state, "p0", T0 - SECOND) == due_after(state, "p1", None) == T0 + 10 * MS
    assert state.turn == 0


def test_no_round_waits_for_more_than_a_spacing_for_its_turn() -> None:
    state = paced(40, round_spacing_ms=100, stagger_ms=20)
    found = [due_after(state, f"p{n}", T0) for n in range(40)]
    assert found[:6] == [T0 + 100 * MS + n * 20 * MS for n in range(6)]
    assert set(found[6:]) == {T0 + 200 * MS}


def test_a_turn_is_part_of_the_state() -> None:
    state = paced(2, round_spacing_ms=100, stagger_ms=20)
    due_after(state, "p0", T0)
    restored = decode_state(encode_state(state))
    assert (restored.stagger_ms, restored.turn) == (20, T0 + 100 * MS)
    assert due_after(restored, "p1", T0) == T0 + 120 * MS


def test_rounds_of_portfolios_overlap() -> None:
    make = Inputs()
    base = days(make, mandate={"sources": ["s"]})
    other = make.opened("q", mandate={"sources": ["u"]})
    inputs = [*base, other]
    inputs += [make.signal("s", "A", T0 + HOUR), make.signal("u", "A", T0 + HOUR + 5 * MS)]
    found = [(r.portfolio, r.opened_at, r.decided_at) for r in rounds(inputs)]
    at = T0 + HOUR
    assert found == [("p", at, at + 10 * MS), ("q", at + 5 * MS, at + 15 * MS)]


@pytest.mark.parametrize(
    ("mandate", "opened"),
    [({}, 1), ({"universe": ["B"]}, 0), ({"sources": ["u"]}, 0), ({"universe": ["A"]}, 1)],
)
def test_only_a_signal_that_concerns_a_portfolio_wakes_it(
    mandate: dict[str, Any], opened: int
) -> None:
    make = Inputs()
    base = days(make, mandate=mandate)
    inputs = [*base, make.signal("s", "A", T0 + HOUR)]
    assert len(rounds(inputs)) == opened


def test_every_second_close_decides_where_the_schedule_says_so() -> None:
    make = Inputs()
    inputs = days(make, schedule={"kind": "session_close", "every": 2})
    inputs.append(make.signal("s", "A", T0 + HOUR))
    inputs += [make.close({"A": 10.0, "B": 5.0}, T0 + n * DAY) for n in range(1, 4)]
    found = rounds(inputs)
    assert [(r.trigger, (r.decided_at - T0) // DAY) for r in found] == [
        ("session_close", 1),
        ("session_close", 3),
    ]


def test_an_interval_decides_on_a_fixed_grid_even_when_the_mandate_changes_on_it() -> None:
    make = Inputs()
    inputs = days(make, schedule={"kind": "interval", "every": 3600})
    inputs.append(make.signal("s", "A", T0 + 90 * SECOND))
    change = make.make("portfolios", "MandateChanged", T0 + HOUR, portfolio="p", mandate={})
    found = [r for r in rounds([*inputs, change], T0 + 3 * HOUR + 1) if r.trigger == "interval"]
    assert [(r.decided_at - T0) % HOUR for r in found[1:]] == [0] * (len(found) - 1)
    assert [(r.decided_at - T0) // HOUR for r in found][-2:] == [2, 3]


def test_a_breach_at_the_close_opens_a_round_that_goes_back_within_the_limit() -> None:
    make = Inputs()
    inputs = days(make, mandate={"position_max": 0.1})
    fill = make.fill("p", "A", "9500", "10", T0 + HOUR)
    inputs += [fill, make.close({"A": 14.0, "B": 5.0}, T0 + DAY)]
    log = run(inputs, end=T0 + 2 * DAY)
    (decision,) = events_of(log, AllocationDecided)
    assert [r.trigger for r in events_of(log, RoundClosed)] == ["breach"]
    assert decision.targets[0].weight_before > 0.1 >= decision.targets[0].weight


@pytest.mark.parametrize(
    ("name", "topic", "fields", "opened"),
    [
        ("CashMoved", "portfolios", {"amount": "5", "currency": "USD"}, 1),
        ("MandateChanged", "portfolios", {"mandate": {}}, 1),
        ("CoordinationResumed", "control", {}, 1),
        ("CoordinationPaused", "control", {}, 0),
        ("PortfolioClosed", "portfolios", {}, 0),
    ],
)
def test_what_an_intervention_opens(
    name: str, topic: str, fields: dict[str, Any], opened: int
) -> None:
    make = Inputs()
    base = days(make)
    event = make.make(topic, name, T0 + HOUR, portfolio="p", **fields)
    found = rounds([*base, event])
    assert [r.trigger for r in found] == ["constraint"] * opened


@pytest.mark.parametrize("pauses", [({}, "p"), ("p", {}), ({}, {})])
def test_who_is_paused_alone_stays_so_when_everybody_goes_on(pauses: tuple[Any, Any]) -> None:
    make = Inputs()
    inputs = [*days(make), make.opened("q")]
    for n, who in enumerate(pauses):
        about = {"portfolio": who} if who else {}
        inputs.append(make.make("control", "CoordinationPaused", T0 + HOUR + n, **about))
    inputs.append(make.signal("s", "A", T0 + 2 * HOUR))
    inputs.append(make.make("control", "CoordinationResumed", T0 + 3 * HOUR))
    found = rounds(inputs)
    woken = ["q"] if "p" in pauses else ["p", "q"]
    assert [(r.portfolio, r.trigger, r.opened_at) for r in found] == [
        (name, "constraint", T0 + 3 * HOUR) for name in woken
    ]


def test_to_go_on_alone_is_not_enough_while_everybody_is_paused() -> None:
    make = Inputs()
    base = days(make)
    pause = make.make("control", "CoordinationPaused", T0 + HOUR)
    resume = make.make("control", "CoordinationResumed", T0 + 2 * HOUR, portfolio="p")
    signal = make.signal("s", "A", T0 + 3 * HOUR)
    assert rounds([*base, pause, resume, signal]) == []


@pytest.mark.parametrize("about", [{"portfolio": "p"}, {}])
def test_sessions_do_not_count_while_paused(about: dict[str, str]) -> None:
    make = Inputs()
    inputs = days(make, schedule={"kind": "session_close", "every": 3})
    closes = [make.close({"A": 10.0, "B": 5.0}, T0 + n * DAY) for n in range(1, 6)]
    off = make.make("control", "CoordinationPaused", T0 + DAY + HOUR, **about)
    on = make.make("control", "CoordinationResumed", T0 + 3 * DAY + HOUR, **about)
    found = rounds([*inputs, closes[0], off, *closes[1:3], on, *closes[3:]], T0 + 6 * DAY)
    at = [(r.decided_at - T0) // DAY for r in found if r.trigger == "session_close"]
    assert at == [4]


@pytest.mark.parametrize("about", [{"portfolio": "p"}, {}])
def test_an_interval_goes_on_after_a_pause(about: dict[str, str]) -> None:
    make = Inputs()
    inputs = days(make, schedule={"kind": "interval", "every": 3600})
    off = make.make("control", "CoordinationPaused", T0 + 90 * SECOND, **about)
    on = make.make("control", "CoordinationResumed", T0 + 2 * HOUR + SECOND, **about)
    found = rounds([*inputs, off, on], T0 + 4 * HOUR + 1)
    assert [(r.decided_at - T0) // HOUR for r in found if r.trigger == "interval"] == [3, 4]


def test_a_pause_stops_the_open_round_and_a_general_one_stops_all() -> None:
    for about in ({"portfolio": "p"}, {}):
        make = Inputs()
        base = days(make)
        signal = make.signal("s", "A", T0 + HOUR)
        pause = make.make("control", "CoordinationPaused", T0 + HOUR + MS, **about)
        assert rounds([*base, signal, pause]) == []
        make = Inputs()
        base = days(make)
        signals = [make.signal("s", "A", T0 + n * HOUR) for n in (2, 4)]
        off = make.make("control", "CoordinationPaused", T0 + HOUR, **about)
        on = make.make("control", "CoordinationResumed", T0 + 3 * HOUR, **about)
        found = rounds([*base, off, signals[0], on, signals[1]])
        assert found[-1].decided_at == T0 + 4 * HOUR + 10 * MS
        assert min(r.decided_at for r in found) > T0 + 3 * HOUR


def deciding(*last: int | None, opened: bool = False, paused: bool = False) -> State:
    """A shard whose portfolios decided last at these times."""
    state = State(shard=0, shards=1)
    for number, at in enumerate(last):
        name = f"p{number}"
        made = portfolio()
        made.name, made.paused, made.last_round_at = name, paused, at
        made.round = Round("signals", T0) if opened else None
        state.portfolios[name] = made
        note_idle(state, made)
    return state


def test_the_next_round_begins_no_sooner_than_the_first_portfolio_may_decide_again() -> None:
    assert next_begin(deciding(T0, T0 + 25 * MS)) == T0 + 50 * MS
    assert next_begin(deciding(T0, None)) == 50 * MS  # it has never decided: at once
    paced = deciding(T0)
    paced.pace_ms = 200
    assert next_begin(paced) == T0 + 200 * MS


def test_no_round_begins_where_nobody_decides_or_all_collect_already() -> None:
    for state in (deciding(), deciding(None, paused=True), deciding(None, opened=True)):
        assert next_begin(state) is None
