"""The state's own small answers."""

from __future__ import annotations

import pytest

from coordinator.core.state import State
from schemas.control import Parameters
from tests.journals import DAY
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
