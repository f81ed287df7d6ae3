"""A rule's book: every cent of what trading costs, and nothing that only later sessions tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.core.ports import Floats
from tests.bench.tradebooks import (
    Market,
    Moment,
    Ruined,
    Standing,
    Tariff,
    charged,
    played_out,
    usual_volume,
)

TARIFF = Tariff(buy=0.0003, sell=0.0008, impact=0.5)
SIGMA = np.array([0.01, 0.02])


def market(**changes: Floats) -> Market:
    """Two names over four sessions."""
    given = {
        "opens": np.array([[10.0, 20.0], [10.0, 21.0], [11.0, 20.0], [12.0, 22.0]]),
        "closes": np.array([[10.0, 20.0], [10.5, 20.5], [11.5, 19.0], [12.5, 22.5]]),
        "usual": np.full((4, 2), 1_000_000.0),
    }
    return Market(**{**given, **changes})


def moment(session: int) -> Moment:
    return Moment(session, np.diag(5.0 * SIGMA**2), SIGMA)


def test_a_books_costs_are_right_to_the_cent() -> None:
    """400 bought at 10.00 and 100 sold short at 21.00; then half of the first sold at 11.00."""
    orders = {0: np.array([400.0, -100.0]), 1: np.array([-200.0, 0.0])}
    seen: list[Standing] = []

    def decide(standing: Standing) -> Floats:
        seen.append(standing)
        return orders[standing.moment.session]

    made = played_out(market(), [moment(0), moment(1)], decide, nav=10_000.0, tariff=TARIFF)
    # 4,000 at 3 bp is 1.20; its impact 0.5 x 1 % x sqrt(0.004) x 4,000 = 1.2649.
    # 2,100 at 8 bp is 1.68; its impact 0.5 x 2 % x sqrt(0.0021) x 2,100 = 0.9623.
    first = 1.20 + 1.2649 + 1.68 + 0.9623
    cash = 10_000 - 4_000 + 2_100 - first
    worth = cash + 400 * 10.5 - 100 * 20.5
    assert seen[1].nav == pytest.approx(worth, abs=0.005)
    assert seen[1].cash == pytest.approx(cash, abs=0.005)
    assert seen[1].weights == pytest.approx(np.array([4_200, -2_050]) / worth, abs=1e-6)
    # 2,200 at 8 bp is 1.76; its impact 0.5 x 1 % x sqrt(0.0022) x 2,200 = 0.5159.
    second = 1.76 + 0.5159
    after = cash + 2_200 - second + 200 * 11.5 - 100 * 19.0
    assert made.net == pytest.approx([worth / 10_000 - 1, after / worth - 1], abs=1e-6)
    assert made.cost == pytest.approx([first / 10_000, second / worth], abs=1e-7)
    assert made.turnover == pytest.approx([6_100 / 2 / 10_000, 2_200 / 2 / worth], abs=1e-6)
    assert made.gross == pytest.approx(made.net + made.cost)


def test_impact_grows_with_the_root_of_the_share_of_the_volume() -> None:
    price, usual = np.array([10.0, 20.0]), np.array([1e6, 1e6])
    free = Tariff(0.0, 0.0, 1.0)
    once = charged(np.array([100.0, -50.0]), price, sigma=SIGMA, usual=usual, tariff=free)
    more = charged(np.array([400.0, -200.0]), price, sigma=SIGMA, usual=usual, tariff=free)
    assert more == pytest.approx(once * 8.0)  # 4 to the power of 3/2
    assert once[0] == pytest.approx(1_000 * 0.01 * math.sqrt(0.001))
    nothing = charged(np.zeros(2), price, sigma=SIGMA, usual=usual, tariff=free)
    assert nothing.tolist() == [0.0, 0.0]


def test_what_nobody_trades_with_us_is_not_filled() -> None:
    shut = market(
        buyable=np.array([[1, 1], [0, 1], [1, 1], [1, 1]], dtype=bool),
        sellable=np.array([[1, 1], [1, 0], [1, 1], [1, 1]], dtype=bool),
    )
    seen: list[Standing] = []

    def decide(standing: Standing) -> Floats:
        seen.append(standing)
        return np.array([100.0, -10.0])

    played_out(shut, [moment(0), moment(1)], decide, nav=10_000.0, tariff=TARIFF)
    assert seen[1].nav == 10_000.0
    assert seen[1].weights.tolist() == [0.0, 0.0]


def test_no_decision_sees_a_later_price_or_volume() -> None:
    """Whatever comes after a decision, it and those before stay as they are, bit for bit."""
    rng = np.random.default_rng(5)
    opens, closes = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, (2, 60, 3)), axis=1))
    volume = rng.uniform(1e6, 2e6, (60, 3))
    sigma = np.full(3, 0.01)
    moments = [Moment(at, np.diag(sigma**2), sigma) for at in range(25, 50, 5)]

    def orders(at: NDArray[np.intp]) -> list[list[float]]:
        made = Market(opens[at], closes[at], usual_volume(volume[at]))
        found: list[list[float]] = []

        def decide(standing: Standing) -> Floats:
            wished = np.array([0.2, -0.1, 0.1]) * standing.usual / standing.usual.mean()
            units: Floats = (wished - standing.weights) * standing.nav / standing.price
            found.append(units.tolist())
            return units

        played_out(made, moments, decide, nav=1e6, tariff=TARIFF)
        return found

    same = np.arange(60)
    later = np.concatenate((same[:36], rng.permutation(same[36:])))
    before, changed = orders(same), orders(later)
    assert before[:3] == changed[:3]  # decided at 25, 30 and 35
    assert before[3:] != changed[3:]  # it would have been seen


def test_a_usual_volume_is_the_mean_of_the_sessions_up_to_it() -> None:
    volume = np.random.default_rng(1).uniform(1.0, 2.0, (50, 2))
    usual = usual_volume(volume)
    assert usual[4] == pytest.approx(volume[:5].mean(axis=0))
    assert usual[40] == pytest.approx(volume[21:41].mean(axis=0))


def test_a_book_that_has_lost_everything_is_named() -> None:
    fallen = market(closes=np.array([[10.0, 20.0], [10.0, 20.0], [1.0, 20.0], [1.0, 20.0]]))

    def decide(standing: Standing) -> Floats:
        return np.array([2_000.0, 0.0])

    with pytest.raises(Ruined, match="after session 1"):
        played_out(fallen, [moment(0), moment(1)], decide, nav=10_000.0, tariff=TARIFF)
