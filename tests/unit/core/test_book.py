"""The book: exact money, open trades that fills use up, valuation, breaches."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.book import (
    apply_fill,
    breaches_limit,
    money,
    move_cash,
    portfolio_view,
    value,
    working,
)
from coordinator.core.market import Market
from coordinator.core.state import OpenTrade, Portfolio
from schemas.orders import Fill, OrderFilled
from schemas.portfolios import Costs, Mandate, Schedule
from tests.journals import T0
from tests.unit.core.test_market import listed, seen

D = Decimal


def portfolio(cash: str = "1000", mandate: Mandate | None = None) -> Portfolio:
    mandate = mandate or Mandate(position_max=1.0)
    return Portfolio("p", "USD", "balanced", mandate, Schedule(), Costs(), D(cash), 8.0)


def fill(
    quantity: str, price: str = "10", *, trade: str | None = "t", fee: str = "0", name: str = "A"
) -> Fill:
    return OrderFilled(
        event_id="1",
        event_time=T0,
        portfolio="p",
        instrument=name,
        trade_id=trade,
        quantity=D(quantity),
        price=D(price),
        fee=D(fee),
    )


def market(**prices: float) -> Market:
    made = Market(window=4)
    for name in prices:
        made.list(listed(name))
    made.observe(seen(dict(prices)))
    return made


def with_trade(quantity: str) -> Portfolio:
    made = portfolio()
    made.open_trades["t"] = OpenTrade("t", "p:1", "A", D(quantity))
    return made


def test_a_buy_pays_price_and_fee_and_a_full_sale_leaves_nothing_held() -> None:
    made = portfolio()
    apply_fill(made, fill("5", fee="1.25", trade=None), done=True)
    assert (made.cash, made.positions) == (D("948.75"), {"A": D(5)})
    apply_fill(made, fill("-5", "11", fee="-0.5", trade=None), done=True)
    assert (made.cash, made.positions) == (D("1004.25"), {})
    assert (made.traded, made.fees, made.fills) == (D(105), D("0.75"), 2)


@pytest.mark.parametrize(
    ("trade", "filled", "left"),
    [
        ("10", "4", "6"),
        ("-10", "-4", "-6"),
        ("10", "10", None),
        ("10", "11", None),
        ("10", "-1", None),
        ("10", "0", "10"),
    ],
)
def test_a_part_uses_up_its_trade_and_nothing_leaves_it_as_it_was(
    trade: str, filled: str, left: str | None
) -> None:
    made = with_trade(trade)
    apply_fill(made, fill(filled), done=False)
    found = made.open_trades.get("t")
    assert (None if found is None else found.quantity) == (None if left is None else D(left))


def test_a_fill_of_another_name_does_not_use_up_the_trade_it_claims() -> None:
    made = with_trade("10")
    apply_fill(made, fill("10", name="B"), done=True)
    assert made.open_trades["t"].quantity == D(10)
    assert made.positions == {"B": D(10)}


def test_the_last_fill_ends_its_trade_whatever_is_left() -> None:
    made = with_trade("10")
    apply_fill(made, fill("1"), done=True)
    assert made.open_trades == {}
    apply_fill(made, fill("1"), done=True)
    assert made.positions == {"A": D(2)}


small = st.decimals(-(10**6), 10**6, places=12)


@given(st.lists(st.tuples(small, st.decimals("0.01", 10**6, places=12), small), max_size=8))
def test_no_digit_of_money_is_ever_lost(fills: list[tuple[D, D, D]]) -> None:
    made, exact = portfolio(), Fraction(1000)
    for quantity, price, fee in fills:
        apply_fill(made, fill(str(quantity), str(price), fee=str(fee)), done=True)
        exact -= Fraction(quantity) * Fraction(price) + Fraction(fee)
    assert Fraction(made.cash) == exact


def test_cash_is_moved_exactly_beyond_28_digits() -> None:
    made = portfolio("0.000000000001")
    move_cash(made, D(10) ** 18)
    assert made.cash == D("1000000000000000000.000000000001")


def test_money_of_more_places_than_an_event_can_spell_is_still_shown() -> None:
    made = portfolio()
    apply_fill(made, fill("0.12345678", "10.12345678", fee="0.000000000001"), done=True)
    view = portfolio_view(made, market(A=10.0), at=T0)
    paid = Fraction("0.12345678") * Fraction("10.12345678") + Fraction("0.000000000001")
    assert abs(Fraction(view.cash) - (1000 - paid)) <= Fraction(1, 2 * 10**12)
    assert -made.cash.as_tuple().exponent == 16  # type: ignore[operator] # a finite number


def test_what_is_held_without_a_price_is_named_and_worth_nothing() -> None:
    made = portfolio()
    made.positions = {"A": D(10), "X": D(1)}
    worth = value(made, market(A=20.0))
    assert (worth.nav, worth.unpriced) == (1200.0, ("X",))
    assert worth.weights.round(6).tolist() == [round(200 / 1200, 6), 0.0]
    made.cash = D(-2000)
    assert value(made, market(A=20.0)).weights.tolist() == [0.0, 0.0]


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
    made = portfolio("1000", mandate)
    made.positions = {"A": D(50)}
    assert breaches_limit(made, market(A=20.0)) is breached


def test_a_short_below_its_limit_is_a_breach() -> None:
    made = portfolio("2000", Mandate(position_min=-0.5))
    made.positions = {"A": D(-60)}
    assert breaches_limit(made, market(A=20.0))


def test_open_buys_and_sells_of_a_name_do_not_net() -> None:
    made = portfolio()
    for trade_id, quantity in (("1", "5"), ("2", "-3"), ("3", "2")):
        made.open_trades[trade_id] = OpenTrade(trade_id, "p:1", "A", D(quantity))
    assert working(made) == {"A": (7.0, -3.0)}


def test_a_view_shows_holdings_and_open_trades() -> None:
    made = with_trade("10")
    made.positions = {"A": D(10), "X": D(2)}
    view = portfolio_view(made, market(A=20.0), at=T0)
    assert [(h.instrument, h.price) for h in view.holdings] == [("A", 20.0), ("X", None)]
    assert (view.nav, view.open_trades) == (D(1200), 1)
    assert view.gross == pytest.approx(1 / 6)


def test_money_of_floats_is_rounded_to_the_cent() -> None:
    assert money(1e17 / 3) == D("33333333333333332.00")
    assert money(0.005) in (D("0.00"), D("0.01"))
