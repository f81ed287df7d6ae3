from __future__ import annotations

import math
from itertools import groupby

from replay.demo.recording import load

RECORDING = load()


def test_recording_holds_seven_agents_and_918_trades_of_50_names() -> None:
    assert len(RECORDING.agents) == 7
    assert sum(len(agent.trades) for agent in RECORDING.agents) == 918
    assert len(RECORDING.instruments) == 50
    assert len(RECORDING.sessions) == 30
    assert {agent.cash for agent in RECORDING.agents} == {100_000.0}


def test_last_session_has_opened_and_not_closed() -> None:
    assert len(RECORDING.sessions[-1].opens) == 50
    assert RECORDING.sessions[-1].closes == {}
    assert all(len(session.closes) == 50 for session in RECORDING.sessions[:-1])


def test_holiday_week_has_no_session() -> None:
    first = RECORDING.sessions[0].opened_at
    assert first == 1_759_973_400 * 10**9  # 2025-10-09 09:30 in Shanghai, after the golden week
    gaps = {
        (after.opened_at - before.opened_at) // (86_400 * 10**9)
        for before, after in zip(RECORDING.sessions, RECORDING.sessions[1:], strict=False)
    }
    assert gaps == {1, 3}


def test_index_weights_were_known_before_the_first_session_and_sum_to_one() -> None:
    assert sorted(RECORDING.weights) == list(RECORDING.instruments)
    assert math.isclose(sum(RECORDING.weights.values()), 1.0)


def test_cash_never_goes_below_zero_at_the_recorded_opens() -> None:
    for agent in RECORDING.agents:
        cash = agent.cash
        for trade in agent.trades:
            cash -= trade.quantity * RECORDING.sessions[trade.session].opens[trade.instrument]
            assert cash > -0.01


def test_changes_are_the_trades_netted_by_session_and_name() -> None:
    for agent in RECORDING.agents:
        netted: dict[tuple[int, str], float] = {}
        for trade in agent.trades:
            key = (trade.session, trade.instrument)
            netted[key] = netted.get(key, 0.0) + trade.quantity
        assert {(c.session, c.instrument): c.quantity for c in agent.changes} == {
            key: quantity for key, quantity in netted.items() if quantity
        }


def test_change_knows_the_worth_of_the_agent_before_its_first_trade() -> None:
    for agent in RECORDING.agents:
        for session, changes in groupby(agent.changes, key=lambda change: change.session):
            assert len({change.nav for change in changes}) == 1, session
        assert agent.changes[0].nav == agent.cash
        assert all(change.held + change.quantity > -1e-9 for change in agent.changes)
