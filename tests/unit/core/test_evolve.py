"""Evolve: what each input and output changes, and what it must leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.evolve import evolve_output
from coordinator.core.learn import CLOSED
from coordinator.core.listen import view_timer
from coordinator.core.state import State
from coordinator.log.memory import MemoryLog
from schemas.verdicts import SignalExpired
from tests.journals import DAY, HOUR, T0, Input, Inputs, engine, lay, zero_clock
from tests.unit.core.planted import feed, state_of

KEY = ("A", "s", "s")


def after(*events: tuple[str, str, dict[str, Any]]) -> State:
    state, make = state_of(), Inputs()
    for topic, name, fields in events:
        feed(state, make.make(topic, name, T0, **fields))
    return state


def signalled(**fields: Any) -> State:
    state, make = state_of(), Inputs()
    feed(state, make.signal("s", "A", T0 + HOUR, **fields))
    return state


def state_after(inputs: list[Input]) -> State:
    """The state of a whole engine: with what it said to the inputs applied, too."""
    one = engine(0, 1)
    for record in lay(inputs, MemoryLog(clock=zero_clock), shards=1).read("journal", 0):
        one.step(record)
    return one.state


def expired(signal_id: str) -> SignalExpired:
    return SignalExpired(
        decided_at=T0, source="s", strategy="s", signal_id=signal_id, instrument="A", expired_at=T0
    )


def test_a_later_signal_takes_the_place_of_the_earlier_and_its_end_too() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.close({"A": 10.0}, T0)]
    inputs.append(make.signal("s", "A", T0 + HOUR, expires_at=T0 + 2 * HOUR))
    inputs.append(make.signal("s", "A", T0 + HOUR + 1, event_id="2", direction=-1))
    state = state_after(inputs)
    assert (state.views[KEY].signal_id, len(state.views)) == ("2", 1)
    assert state.timers.deadline(view_timer(state.views[KEY])) is None
    assert state.session_timers.items() == [(view_timer(state.views[KEY]), 7)]


def test_an_expiry_ends_its_own_signal_and_not_the_one_in_its_place() -> None:
    state = signalled(event_id="2", expires_at=T0 + 2 * HOUR)
    evolve_output(state, expired("1"))
    assert KEY in state.views
    evolve_output(state, expired("2"))
    assert (state.views, state.session_timers.items()) == ({}, [])
    assert not [name for name, _ in state.timers.items() if name.startswith("end-view")]


def test_a_view_ends_with_its_horizon_in_sessions_or_by_the_clock() -> None:
    state = signalled(horizon_sessions=2.5)
    assert state.session_timers.items() == [("end-view\tA\ts\ts", 5)]
    clock = {"parameters": {"sessions": "clock"}}
    state = after(("control", "ParametersChanged", clock))
    feed(state, Inputs().signal("s", "A", T0, horizon_sessions=2.0))
    assert abs((state.timers.deadline("end-view\tA\ts\ts") or 0) - (T0 + 2 * DAY)) < 1_000_000


def test_a_forecast_adds_to_its_sources_spread_and_a_direction_does_not() -> None:
    assert signalled().sources["s"].spreads == {}
    source = signalled(expected_return=0.02, horizon_sessions=1.0).sources["s"]
    assert list(source.spreads) == ["expected_return"]
    assert source.spreads["expected_return"].count == 1
    assert source.spreads["expected_return"].squares == pytest.approx(1.0)


def test_a_source_registered_again_keeps_what_is_known_of_it() -> None:
    state = signalled(expected_return=0.02)
    make = Inputs()
    feed(state, make.make("control", "StrategyMuted", T0, source="s"))
    feed(state, make.registered("s", T0, kind="model", horizon_sessions=9.0))
    source = state.sources["s"]
    assert (source.terms.kind, source.horizon("s"), source.muted) == ("model", 9.0, True)
    assert source.spreads["expected_return"].count == 1


def test_strategies_are_muted_one_by_one() -> None:
    on = ("control", "StrategyMuted", {"source": "s", "strategy": "x"})
    other = ("control", "StrategyMuted", {"source": "s", "strategy": "a"})
    off = ("control", "StrategyMuted", {"source": "s", "strategy": "x", "muted": False})
    assert after(on, other, on).sources["s"].muted_strategies == ("a", "x")
    assert after(on, other, off).sources["s"].muted_strategies == ("a",)


def test_parameters_change_presets_and_keep_the_one_of_a_mode_that_is_gone() -> None:
    modes = [{"mode": "aggressive", "risk_aversion": 1.0}, {"mode": "balanced", "risk_aversion": 2}]
    state = after(("control", "ParametersChanged", {"parameters": {"modes": modes}}))
    assert state.portfolios["p"].risk_aversion == 2.0
    gone = {"parameters": {"modes": modes[:1]}}
    before = state.parameters_digest
    feed(state, Inputs().make("control", "ParametersChanged", T0, **gone))
    assert state.portfolios["p"].risk_aversion == 2.0
    assert state.parameters_digest != before


def test_a_mandate_replaces_the_former_and_what_is_not_given_stays() -> None:
    change = {"portfolio": "p", "mandate": {"gross_max": 0.5}, "schedule": {"kind": "interval"}}
    portfolio = after(("portfolios", "MandateChanged", change)).portfolios["p"]
    assert (portfolio.mandate.gross_max, portfolio.mandate.position_max) == (0.5, 0.1)
    assert (portfolio.mode, portfolio.schedule.kind) == ("balanced", "interval")


def test_hearers_are_the_open_portfolios_that_decide_on_signals() -> None:
    daily = {"schedule": {"kind": "session_close"}}
    terms = {"currency": "USD", "cash": "1"}
    narrow = {"portfolio": "n", "mandate": {"sources": ["u"]}, **terms}
    opened = [("portfolios", "PortfolioOpened", fields) for fields in (
        narrow, {"portfolio": "d", **terms, **daily})]  # fmt: skip
    state = after(*opened)
    assert (state.hearers.of("s", "A"), state.hearers.of("u", "A")) == (["p"], ["n", "p"])
    feed(state, Inputs().make("portfolios", "PortfolioClosed", T0, portfolio="p"))
    assert (state.hearers.of("s", "A"), state.hearers.of("u", "A")) == ([], ["n"])


def test_a_closed_portfolio_has_no_timers_but_its_trades() -> None:
    state = after(("portfolios", "PortfolioClosed", {"portfolio": "p"}))
    assert [name for name, _ in state.timers.items() if name != CLOSED] == []
