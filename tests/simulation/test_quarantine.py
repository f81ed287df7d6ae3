"""What the engine breaks on is rolled back, named and set aside; the rest goes on as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.core import engine as engine_module
from coordinator.core import evolve, intake, timers
from coordinator.core.decide import close_round
from coordinator.core.fold import Fold
from coordinator.core.listen import take_view
from coordinator.core.ports import Append
from coordinator.core.shard import Shard
from coordinator.core.state import State
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided
from schemas.market import PricesObserved
from schemas.portfolios import CashMoved
from schemas.signals import SignalIssued
from schemas.verdicts import RecordQuarantined
from tests.journals import (
    HOUR,
    MS,
    SECOND,
    T0,
    Input,
    Inputs,
    contents,
    engine,
    events_of,
    lay,
    owners,
    run,
    zero_clock,
)

END = T0 + 10 * HOUR
BAD = "the bad one"


def journal(*, bad: str | None = None) -> list[Input]:
    """Two portfolios, prices, signals and money; bad: which kind carries the marked id."""
    make = Inputs()
    made = [make.listed("A"), make.listed("B"), make.registered("s")]
    made += [make.opened("p"), make.opened("q", mode="aggressive")]
    made.append(make.close({"A": 10.0, "B": 20.0}, T0 + SECOND))
    made.append(make.signal("s", "A", T0 + HOUR))
    money = {"portfolio": "p", "amount": "100", "currency": "USD", "event_id": BAD}
    if bad == "CashMoved":
        made.append(make.make("portfolios", "CashMoved", T0 + 2 * HOUR, **money))
    if bad == "PricesObserved":
        made.append(make.prices({"A": 99.0}, T0 + 2 * HOUR, event_id=BAD))
    if bad == "SignalIssued":
        made.append(make.signal("s", "B", T0 + 2 * HOUR, event_id=BAD))
    made.append(make.signal("s", "B", T0 + 3 * HOUR, direction=-1, event_id="third"))
    made.append(make.signal("s", "A", T0 + 4 * HOUR, strength=0.2, event_id="fourth"))
    return made


def boom(*_: Any) -> Any:
    message = f"broken at {object()}"
    raise RuntimeError(message)


def half_then_boom(state: State, event: Any) -> None:
    """A change that gets half way."""
    state.sources.clear()
    for portfolio in state.portfolios.values():
        portfolio.accounts["USD"].cash *= 2
    boom()


def only_bad(
    real: Callable[..., Any] | None, fault: Callable[..., Any], *, at: int = 1
) -> Callable[..., Any]:
    """The real function, but the fault for the marked event (argument number `at`)."""

    def either(*args: Any) -> Any:
        if args[at].event_id == BAD:
            return fault(*args)
        return None if real is None else real(*args)

    return either


def settled(log: MemoryLog) -> tuple[list[Any], list[RecordQuarantined]]:
    """What was said of q, and the quarantines; a restart from nothing says the same."""
    owner = owners(log, shards=1)[0]
    again = owner.recover()
    assert again.outputs_missing == 0
    fresh = Shard(log, engine(0, 1))
    fresh.recover()
    assert fresh.engine.checkpoint() == owner.engine.checkpoint()
    return contents(log, shards=1)["q"], events_of(log, RecordQuarantined)


def plant(monkeypatch: pytest.MonkeyPatch, where: str, kind: type) -> None:
    if where == "judge":
        real = intake._RULES.get(kind)
        monkeypatch.setitem(intake._RULES, kind, only_bad(real, boom))
    else:
        real_change = evolve._INPUTS[kind]
        monkeypatch.setitem(evolve._INPUTS, kind, only_bad(real_change, half_then_boom))


@pytest.mark.parametrize("where", ["judge", "evolve"])
def test_a_portfolios_broken_record_is_rolled_back_and_pauses_it_alone(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    clean = run(journal(), end=END)
    plant(monkeypatch, where, CashMoved)
    log = run(journal(bad="CashMoved"), end=END)
    said_of_q, (quarantine,) = settled(log)
    assert said_of_q == contents(clean, shards=1)["q"]
    assert (quarantine.event, quarantine.event_id) == ("CashMoved", BAD)
    assert quarantine.portfolio == "p"
    assert quarantine.error == "RuntimeError: broken at <object object at 0x>"
    decided = [e.decided_at for e in events_of(log, AllocationDecided) if e.portfolio == "p"]
    assert decided
    assert max(decided) < T0 + 2 * HOUR
    state = _state(log)
    assert state.portfolios["p"].paused
    assert state.portfolios["p"].cash == 1_000_000
    assert not state.portfolios["q"].paused
    assert sorted(state.sources) == ["s"]


@pytest.mark.parametrize("where", ["judge", "evolve"])
def test_a_broken_shared_record_pauses_nobody_and_leaves_the_state_as_if_it_never_came(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    clean = run(journal(), end=END)
    plant(monkeypatch, where, PricesObserved)
    log = run(journal(bad="PricesObserved"), end=END)
    said_of_q, (quarantine,) = settled(log)
    assert said_of_q == contents(clean, shards=1)["q"]
    assert contents(log, shards=1)["p"] == contents(clean, shards=1)["p"]
    assert (quarantine.event, quarantine.portfolio) == ("PricesObserved", None)
    assert _state(log).market.price_of("A") == 10.0


def test_a_broken_signal_has_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = run(journal(), end=END)

    def broken(state: State, stamp: Any, event: SignalIssued) -> None:
        take_view(state, stamp, event)
        if event.event_id == BAD:
            boom()

    monkeypatch.setattr(evolve, "take_view", broken)
    log = run(journal(bad="SignalIssued"), end=END)
    said_of_q, (quarantine,) = settled(log)
    assert said_of_q == contents(clean, shards=1)["q"]
    assert quarantine.event == "SignalIssued"


@pytest.mark.parametrize("where", ["timer_events", "after_timer"])
def test_a_broken_timer_is_removed_its_portfolio_paused_and_the_record_applied(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    clean = run(journal(), end=END)
    if where == "timer_events":

        def broken_round(state: State, portfolio: Any, **ports: Any) -> Any:
            return boom() if portfolio.name == "p" else close_round(state, portfolio, **ports)

        monkeypatch.setattr(timers, "close_round", broken_round)
    else:
        real = timers.after_timer

        def broken_after(state: State, timer: str, **ports: Any) -> None:
            real(state, timer, **ports)
            if timer == "round\tp":
                state.portfolios["q"].accounts["USD"].cash *= 3
                boom()

        monkeypatch.setattr(engine_module, "after_timer", broken_after)
    log = run(journal(), end=END)
    said_of_q, (quarantine,) = settled(log)
    assert said_of_q == contents(clean, shards=1)["q"]
    assert (quarantine.event, quarantine.event_id) == ("timer", "round p")
    assert quarantine.portfolio == "p"
    state = _state(log)
    assert state.portfolios["p"].paused
    assert state.timers.deadline("round\tp") is None
    assert len(state.views) == 2


def test_a_resumed_portfolio_decides_again_on_its_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = Inputs()
    hourly = {"kind": "interval", "every": 3600}
    inputs = [make.listed("A"), make.registered("s"), make.opened("p", schedule=hourly)]
    inputs += [make.close({"A": 10.0}, T0 + SECOND), make.signal("s", "A", T0 + 2 * SECOND)]
    resumed = make.make("control", "CoordinationResumed", T0 + 2 * HOUR + SECOND, portfolio="p")
    real = timers.after_timer

    def once(state: State, timer: str, **ports: Any) -> None:
        if timer.startswith("interval") and state.clock < T0 + 2 * HOUR:
            boom()
        real(state, timer, **ports)

    monkeypatch.setattr(engine_module, "after_timer", once)
    log = run([*inputs, resumed], end=T0 + 5 * HOUR + SECOND)
    hours = [(e.decided_at - T0) // HOUR for e in events_of(log, AllocationDecided)]
    assert hours == [2, 3, 4, 5]
    assert len(events_of(log, RecordQuarantined)) == 1


@pytest.mark.parametrize("error", [MemoryError, OSError])
@pytest.mark.parametrize("where", ["judge", "evolve", "timer"])
def test_running_out_of_room_halts_instead_of_quarantining(
    monkeypatch: pytest.MonkeyPatch, where: str, error: type[Exception]
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise error

    if where == "timer":
        monkeypatch.setattr(timers, "close_round", full)
    else:
        rules: dict[Any, Any] = intake._RULES if where == "judge" else evolve._INPUTS
        monkeypatch.setitem(rules, CashMoved, full)
    with pytest.raises(error):
        run(journal(bad="CashMoved"), end=END)


def test_a_record_that_is_no_event_is_quarantined_without_pausing() -> None:
    log = lay(journal()[:7], MemoryLog(clock=zero_clock), shards=1)
    log.append([Append("journal", 0, b"garbage", T0 + HOUR + MS)])
    owner = owners(log, shards=1)[0]
    owner.recover()
    (quarantine,) = events_of(log, RecordQuarantined)
    assert (quarantine.event, quarantine.portfolio) == ("undecodable", None)
    assert isinstance(owner.engine.state, State)
    assert all(p.active for p in owner.engine.state.portfolios.values())


def _state(log: MemoryLog) -> State:
    made = engine(0, 1)
    fold = Fold(log, made)
    fold.start(None)
    for record in fold.journal():
        fold.step(record)
    return made.state
