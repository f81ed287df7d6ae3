"""Trades of strategies meet: by hand. What holds of any trades is a law, in tests/laws."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.netting import credits_of, net, saved_cost


def test_strategies_cross_first_then_with_the_house_and_the_rest_is_sent() -> None:
    # One buys 6, one 2, one sells 4: 4 cross, 4 are left to buy; the house sells 1, 3 are sent.
    found = net(np.array([[6.0], [2.0], [-4.0]]), np.array([3.0]))
    assert found.crossed[:, 0] == pytest.approx([3.0, 1.0, -4.0])
    assert found.housed[:, 0] == pytest.approx([0.75, 0.25, 0.0])
    assert found.sent[:, 0] == pytest.approx([2.25, 0.75, 0.0])


def test_where_the_house_trades_the_same_way_it_takes_no_side_of_strategies() -> None:
    found = net(np.array([[6.0], [-4.0]]), np.array([5.0]))
    assert found.housed[:, 0].tolist() == [0.0, 0.0]
    assert found.sent[:, 0] == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize("sent", [0.0, -7.0])
def test_where_nothing_is_sent_their_way_the_house_takes_all_that_is_left(sent: float) -> None:
    found = net(np.array([[6.0], [-4.0]]), np.array([sent]))
    assert found.crossed[:, 0].tolist() == [4.0, -4.0]
    assert found.housed[:, 0].tolist() == [2.0, 0.0]
    assert found.sent[:, 0].tolist() == [0.0, 0.0]


def test_saved_is_the_cost_of_all_trades_less_that_of_their_sum() -> None:
    trades = np.array([[0.06, 0.01], [-0.04, 0.02]])
    linear, impact = np.array([0.001, 0.001]), np.array([0.2, 0.2])
    saved = saved_cost(trades, linear=linear, impact=impact)
    alone = 0.001 * 0.10 + 0.2 * 0.10**1.5
    together = 0.001 * 0.02 + 0.2 * 0.02**1.5
    assert saved == pytest.approx([alone - together, 0.0])
    assert saved_cost(trades, linear=linear, impact=None) == pytest.approx([0.001 * 0.08, 0.0])


def test_credit_goes_by_the_volume_that_crossed() -> None:
    crossed = np.array([[0.03, 0.0], [0.01, 0.0], [-0.04, 0.0]])
    assert credits_of(crossed, np.array([0.008, 0.0])) == pytest.approx([0.003, 0.001, 0.004])
