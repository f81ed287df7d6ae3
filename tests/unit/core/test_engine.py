"""The engine's own rules: the chain it writes, its clock, who says what, what it remembers."""

from __future__ import annotations

from coordinator.core.route import Router
from coordinator.core.shards import shard_of
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.journal import SignalsShed
from schemas.verdicts import ClockJumped, InputRejected, SignalExpired, SignalRejected
from tests.journals import (
    DAY,
    HOUR,
    MS,
    SECOND,
    T0,
    Inputs,
    contents,
    engine,
    events_of,
    lay,
    outputs,
    owners,
    run,
    zero_clock,
)
from tests.recorded import end_of, recorded


def test_every_output_names_its_place_and_follows_from_the_one_before() -> None:
    log = run(recorded(2), end=end_of(recorded(2)))
    entries = outputs(log)
    assert [e.seq for e in entries] == list(range(len(entries)))
    places = [(e.position, e.ordinal) for e in entries]
    assert places == sorted(set(places))
    firsts = [e.ordinal for i, e in enumerate(entries) if entries[i - 1].position != e.position]
    assert set(firsts) == {0}


def test_a_sources_verdicts_come_from_its_home_and_firm_wide_answers_from_shard_0() -> None:
    inputs = recorded(2)
    log = run(inputs, shards=8, end=end_of(inputs))
    for shard in range(8):
        for entry in outputs(log, shard):
            event = entry.event
            if isinstance(event, SignalRejected | SignalExpired):
                assert shard_of(event.source, 8) == shard
            elif isinstance(event, InputRejected) and event.portfolio is None:
                assert shard == 0
            elif portfolio := getattr(event, "portfolio", None):
                assert shard_of(portfolio, 8) == shard


def test_a_jump_of_the_clock_is_said_and_a_step_is_not() -> None:
    make = Inputs()
    days = [make.registered("s", T0 + n * DAY) for n in (0, 13, 30)]
    (jump,) = events_of(run(days), ClockJumped)
    assert (jump.previous, jump.step_ms) == (T0 + 13 * DAY, 17 * 86_400_000)


def test_the_clock_never_goes_back() -> None:
    make = Inputs()
    first, second = make.registered("s", T0 + HOUR), make.registered("u", T0 + SECOND)
    log = run([first, second])
    one = engine(0, 1)
    clocks = [(one.step(record), one.clock)[1] for record in log.read("journal", 0)]
    assert clocks == [T0, T0 + HOUR, T0 + HOUR]


def test_shed_signals_are_rejected_by_name() -> None:
    log = lay([Inputs().registered("s")], MemoryLog(clock=zero_clock), shards=2)
    shed = SignalsShed(event_id="1", event_time=T0, source="s", signal_ids=("a", "b"))
    Router(log, shards=2).write(shed, shards=[0, 1], journal_time=T0 + MS)
    for owner in owners(log, shards=2):
        owner.recover()
    found = events_of(log, SignalRejected, shards=2)
    assert [(event.signal_id, event.reason) for event in found] == [("a", "shed"), ("b", "shed")]


def test_ends_of_signals_are_said_once_with_their_reason() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.registered("s")]
    inputs += [make.signal("s", "A", T0 + HOUR), make.signal("s", "A", T0 + 2 * HOUR)]
    inputs += [make.signal("s", "B", T0 + HOUR + n, expires_at=T0 + 3 * HOUR) for n in (0,)]
    gone = {"source": "s", "signal_id": "signals-1-1"}
    inputs.append(make.make("signals", "SignalWithdrawn", T0 + 4 * HOUR, **gone))
    found = events_of(run(inputs, end=T0 + DAY), SignalExpired)
    assert [(e.signal_id, e.reason, e.decided_at) for e in found] == [
        ("signals-1-0", "superseded", T0 + 2 * HOUR),
        ("signals-1-2", "time", T0 + 3 * HOUR),
        ("signals-1-1", "withdrawn", T0 + 4 * HOUR),
    ]


def test_an_id_used_again_after_it_was_forgotten_takes_its_own_place() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.opened("p")]
    inputs.append(make.close({"A": 10.0}, T0))
    inputs += [
        make.signal("s", "A", T0 + n * DAY, event_id="daily", horizon_sessions=20.0) for n in (1, 9)
    ]
    log = run(inputs, end=T0 + 10 * DAY)
    assert [e.reason for e in events_of(log, SignalExpired)] == ["superseded"]
    assert [len(r.signals_used) for r in events_of(log, RoundClosed)] == [1, 1]


def test_shards_forget_an_id_at_one_moment_whatever_else_they_saw() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s")]
    inputs += [make.opened(f"p{n}") for n in range(4)]
    inputs += [make.close({"A": 10.0}, T0), make.signal("s", "A", T0 + DAY, event_id="1")]
    money = {"portfolio": "p1", "amount": "1", "currency": "USD"}
    inputs.append(make.make("portfolios", "CashMoved", T0 + 8 * DAY + HOUR, **money))
    inputs.append(make.signal("s", "A", T0 + 8 * DAY + 2 * HOUR, event_id="1"))
    one, eight = (run(inputs, shards=n, end=T0 + 9 * DAY) for n in (1, 8))
    assert contents(one, shards=1) == contents(eight, shards=8)
    assert len(events_of(one, AllocationDecided)) == 9


def test_the_next_deadline_is_the_earliest_timer_and_nothing_without_any() -> None:
    assert engine(0, 1).next_deadline() is None
    one = engine(0, 1)
    make = Inputs()
    log = run([make.listed("A"), make.registered("s"), make.opened("p"),
               make.close({"A": 1.0}, T0), make.signal("s", "A", T0 + HOUR)])  # fmt: skip
    for record in log.read("journal", 0):
        one.step(record)
    assert one.next_deadline() == T0 + HOUR + 10 * MS
