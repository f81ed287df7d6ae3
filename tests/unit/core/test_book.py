"""The book: valuation, breaches, growth, what open trades will do."""

from __future__ import annotations

import pytest

from coordinator.core.book import (
    growth_now,
    mark,
    money,
    reserved,
    value,
    working,
)
from coordinator.core.breaches import breaches_limit
from coordinator.core.state import OpenTrade
from schemas.portfolios import Mandate
from tests.unit.core.books import D, holding, market, portfolio


def test_what_is_held_without_a_price_is_named_and_worth_nothing() -> None:
    made = holding(A="10", X="1")
    worth = value(made, market(A=20.0, X=None))
    assert (worth.nav, worth.unpriced) == (1200.0, ("X",))
    assert worth.weights.round(6).tolist() == [round(200 / 1200, 6), 0.0]
    made.accounts["USD"].cash = D(-2000)
    assert value(made, market(A=20.0, X=None)).weights.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("mandate", "breached"),
    [
        (Mandate(position_max=0.5), False),
        (Mandate(position_max=0.49), True),
        (Mandate(position_max=1.0, gross_max=0.4), True),
        (Mandate(position_max=1.0, cash_floor=0.6), True),
        (Mandate(position_max=1.0, cash_floor=0.5), False),
    ],
)
def test_a_breach_is_seen_at_the_last_prices(mandate: Mandate, breached: bool) -> None:
    made = holding("1000", mandate, A="50")
    priced = market(A=20.0)
    assert breaches_limit(made, value(made, priced), priced) is breached


def test_a_short_below_its_limit_is_a_breach() -> None:
    made = holding("2000", Mandate(position_min=-0.5), A="-60")
    priced = market(A=20.0)
    assert breaches_limit(made, value(made, priced), priced)


def test_open_buys_and_sells_of_a_name_do_not_net() -> None:
    made = portfolio()
    for trade_id, quantity in (("1", "5"), ("2", "-3"), ("3", "2")):
        made.open_trades[trade_id] = OpenTrade(trade_id, "p:1", "A", D(quantity))
    assert working(made) == {"A": (7.0, -3.0)}


def test_money_of_floats_is_rounded_to_the_cent() -> None:
    assert money(1e17 / 3) == D("33333333333333332.00")
    assert money(0.005) in (D("0.00"), D("0.01"))


def test_other_currencies_are_valued_at_their_rates_and_named_without_one() -> None:
    made = holding("1000", A="10", E="3")
    made.account("EUR").cash = D(-20)
    seen = market(A=20.0, E=50.0)
    seen.instruments["E"].currency = "EUR"
    blind = value(made, seen)
    assert (blind.nav, blind.unpriced) == (1200.0, ("E", "EUR"))
    seen.observe_rate("EUR/USD", 1.25, 1)
    worth = value(made, seen)
    assert (worth.nav, worth.cash, worth.unpriced) == (1362.5, 975.0, ())
    assert worth.values.tolist() == [200.0, 187.5]


def test_growth_takes_money_in_and_out_out_and_remembers_the_deepest_fall() -> None:
    made = holding("1000")
    for cash, moved, grown in (("1100", 0, 1.1), ("2100", 1000, 1.1), ("1050", 0, 0.55)):
        made.accounts["USD"].cash = D(cash)
        made.growth.moved += moved
        worth = value(made, market())
        assert growth_now(made, worth) == pytest.approx(grown)
        mark(made, worth)
    assert [made.growth.best, made.growth.deepest] == pytest.approx([1.1, 0.5])


def test_money_that_dwarfs_what_was_there_makes_no_growth_of_its_own() -> None:
    made = holding("1000")
    made.accounts["USD"].cash = D(97_000)  # 99,000 came in, and all lost three percent
    made.growth.moved = 99_000.0
    mark(made, value(made, market()))
    assert made.growth.now == pytest.approx(0.97)
    assert made.growth.deepest == pytest.approx(0.03)


def test_what_cannot_be_valued_does_not_count_as_a_loss() -> None:
    made = holding("1000", X="5")
    worth = value(made, market(X=None))
    mark(made, worth)
    assert (made.growth.now, made.growth.nav) == (1.0, 1000.0)


def test_open_purchases_reserve_what_they_will_cost_and_sales_nothing() -> None:
    made = portfolio()
    for trade_id, quantity in (("1", "5"), ("2", "-3")):
        made.open_trades[trade_id] = OpenTrade(trade_id, "p:1", "A", D(quantity))
    assert reserved(made, market(A=20.0)) == pytest.approx(100.0 * 1.0003)
