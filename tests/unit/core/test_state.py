"""The state's own small answers."""

from __future__ import annotations

import pytest

from coordinator.core.state import State
from schemas.control import Parameters
from tests.journals import DAY, T0, Inputs
from tests.unit.core.planted import state_of, view


def test_sessions_are_counted_by_closes_or_by_the_clock() -> None:
    state = State(shard=0, shards=1)
    state.market.session, state.clock = 3, 10 * DAY
    assert state.session_now() == 3.0
    state.parameters = Parameters(sessions="clock", session_ms=43_200_000)
    assert state.session_now() == 20.0


@pytest.mark.parametrize(("field", "active"), [("closed", False), ("paused", False), ("", True)])
def test_a_closed_or_paused_portfolio_decides_nothing(field: str, active: bool) -> None:
    portfolio = state_of().portfolios["p"]
    if field:
        setattr(portfolio, field, True)
    assert portfolio.active is active


def test_a_view_is_known_by_its_place_and_said_by_its_reference() -> None:
    made = view(signal_id="7", strategy="x")
    assert (made.key, made.reference) == (("A", "s", "x"), "s/7")


def test_a_name_trades_with_a_fresh_price_unless_halted_or_delisted() -> None:
    state = state_of()
    state.parameters = Parameters(price_age_sessions_max=2.0)
    instrument = state.market.instruments["A"]
    found = []
    for session in (1, 3, 4):
        state.market.session = session
        found.append(state.tradable(instrument))
    assert found == [True, True, False]
    state.market.session = 1
    for field in ("halted", "delisted"):
        setattr(instrument, field, True)
        assert not state.tradable(instrument)
        setattr(instrument, field, False)
    unpriced = state_of(Inputs().listed("A"))
    assert not unpriced.tradable(unpriced.market.instruments["A"])


def test_by_the_clock_a_price_is_as_old_as_the_time_since() -> None:
    state = state_of()
    state.parameters = Parameters(sessions="clock", price_age_sessions_max=2.0)
    state.market.session = 1_000
    instrument = state.market.instruments["A"]
    found = []
    for passed in (2 * DAY, 2 * DAY + 1):
        state.clock = T0 + passed
        found.append(state.tradable(instrument))
    assert found == [True, False]
    unpriced = state_of(Inputs().listed("A"))
    unpriced.parameters = state.parameters
    assert not unpriced.tradable(unpriced.market.instruments["A"])


def test_a_pause_of_one_or_of_all_lets_nobody_concerned_decide() -> None:
    state = state_of()
    portfolio = state.portfolios["p"]
    assert state.may_decide(portfolio)
    state.paused = True
    assert not state.may_decide(portfolio)
    assert portfolio.active
