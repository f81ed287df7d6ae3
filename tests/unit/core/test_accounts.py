"""Accounts: exact money, average cost, open trades that fills use up, corporate actions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.accounts import Account, book_cash, book_change, book_correction, book_fill
from coordinator.core.state import OpenTrade, Portfolio
from schemas.books import HoldingChanged, ReconciliationDiffered
from schemas.market import ActionKind
from schemas.orders import Fill
from schemas.portfolios import CashKind, CashMoved
from tests.journals import T0
from tests.unit.core.books import D, fill, portfolio


def booked(made: Portfolio, one: Fill, *, done: bool = True, rate: float | None = 1.0) -> None:
    book_fill(made, one, currency="USD", rate=rate, at=T0, done=done)


def changes(made: Portfolio, event: HoldingChanged, *, at: int) -> None:
    book_change(made, event, into_currency="USD", at=at)


def with_trade(quantity: str) -> Portfolio:
    made = portfolio()
    made.open_trades["t"] = OpenTrade("t", "p:1", "A", D(quantity))
    return made


def moved(amount: str, kind: CashKind, currency: str = "USD") -> CashMoved:
    return CashMoved(
        event_id="c", event_time=T0, portfolio="p", amount=D(amount), currency=currency, kind=kind
    )


def changed(
    kind: ActionKind,
    before: str,
    after: str,
    *,
    cash: str = "0",
    into: str | None = None,
    got: str = "0",
    basis: str = "0",
    pays_at: int | None = None,
) -> HoldingChanged:
    return HoldingChanged(
        decided_at=T0, portfolio="p", action_id="a", instrument="A", kind=kind,
        quantity_before=D(before), quantity=D(after), cash=D(cash), currency="USD", into=into,
        into_quantity=D(got), basis_moved=D(basis), pays_at=pays_at,
    )  # fmt: skip


def test_a_buy_pays_price_and_fee_and_a_full_sale_leaves_nothing_held() -> None:
    made = portfolio()
    booked(made, fill("5", fee="1.25", trade=None), done=True)
    assert (made.cash, made.positions) == (D("948.75"), {"A": D(5)})
    booked(made, fill("-5", "11", fee="-0.5", trade=None), done=True)
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
    booked(made, fill(filled), done=False)
    found = made.open_trades.get("t")
    assert (None if found is None else found.quantity) == (None if left is None else D(left))


def test_a_fill_of_another_name_does_not_use_up_the_trade_it_claims() -> None:
    made = with_trade("10")
    booked(made, fill("10", name="B"), done=True)
    assert made.open_trades["t"].quantity == D(10)
    assert made.positions == {"B": D(10)}


def test_the_last_fill_ends_its_trade_whatever_is_left() -> None:
    made = with_trade("10")
    booked(made, fill("1"), done=True)
    assert made.open_trades == {}
    booked(made, fill("1"), done=True)
    assert made.positions == {"A": D(2)}


small = st.decimals(-(10**6), 10**6, places=12)


@given(st.lists(st.tuples(small, st.decimals("0.01", 10**6, places=12), small), max_size=8))
def test_no_digit_of_money_is_ever_lost(fills: list[tuple[D, D, D]]) -> None:
    made, exact = portfolio(), Fraction(1000)
    for quantity, price, fee in fills:
        booked(made, fill(str(quantity), str(price), fee=str(fee)), done=True)
        exact -= Fraction(quantity) * Fraction(price) + Fraction(fee)
    assert Fraction(made.cash) == exact


def test_cash_is_moved_exactly_beyond_28_digits() -> None:
    made = portfolio("0.000000000001")
    paid = CashMoved(event_id="c", event_time=T0, portfolio="p", amount=D(10) ** 18, currency="USD")
    book_cash(made, paid, rate=1.0, at=T0)
    assert made.cash == D("1000000000000000000.000000000001")


def test_a_sale_realises_its_price_less_the_average_cost_and_fees_are_charges() -> None:
    made = portfolio()
    booked(made, fill("10", "10", fee="1"))
    booked(made, fill("10", "20", fee="1"))
    booked(made, fill("-5", "30", fee="2"))
    account = made.accounts["USD"]
    assert (account.realised, account.charges) == (D(75), D(4))
    assert (made.positions["A"], made.cost["A"]) == (D(15), D(225))


def test_a_short_realises_what_it_was_sold_for_less_what_it_is_bought_back_for() -> None:
    made = portfolio()
    booked(made, fill("-10", "20"))
    assert (made.positions["A"], made.cost["A"]) == (D(-10), D(-200))
    booked(made, fill("4", "15"))
    assert made.accounts["USD"].realised == D(20)
    booked(made, fill("10", "15"))  # six close the short, four are a new holding
    assert made.accounts["USD"].realised == D(50)
    assert (made.positions["A"], made.cost["A"]) == (D(4), D(60))


def test_cost_of_thirds_is_never_lost_when_all_is_sold() -> None:
    made = portfolio()
    booked(made, fill("3", "10.01"))
    for _ in range(3):
        booked(made, fill("-1", "10"))
    assert made.accounts["USD"].realised == D("-0.03")
    assert made.cost == {}


@pytest.mark.parametrize(
    ("kind", "field", "amount"),
    [
        ("deposit", "paid_in", "5"), ("withdrawal", "paid_in", "-5"), ("other", "paid_in", "5"),
        ("dividend", "income", "5"), ("interest", "income", "-5"), ("fee", "charges", "-5"),
        ("borrow", "charges", "-5"), ("tax", "charges", "-5"), ("exchange", "exchanged", "5"),
    ],
)  # fmt: skip
def test_money_is_booked_by_its_kind(kind: CashKind, field: str, amount: str) -> None:
    made = portfolio("0")
    book_cash(made, moved(amount, kind), rate=1.0, at=T0)
    account = made.accounts["USD"]
    assert account.cash == D(amount)
    assert getattr(account, field) == (D(5) if field == "charges" else D(amount))
    assert made.invested == (D(amount) if field == "paid_in" else D(0))


def test_money_of_another_currency_has_its_own_account_and_counts_at_its_days_rate() -> None:
    made = portfolio("100")
    book_cash(made, moved("10", "deposit", "EUR"), rate=1.25, at=T0)
    assert made.accounts["EUR"] == Account(cash=D(10), paid_in=D(10))
    assert (made.cash, made.invested, made.growth.moved) == (D(100), D("112.5"), 12.5)


def test_what_has_not_settled_is_told_apart_until_its_time() -> None:
    made = portfolio("100")
    later = fill("-1", "10").model_copy(update={"settles_at": T0 + 5})
    booked(made, later)
    account = made.accounts["USD"]
    assert account.cash == account.settled(T0 + 5) == D(110)
    assert account.settled(T0 + 4) == D(100)
    account.pay(D(1), at=T0 + 5)
    assert account.pending == []


def test_a_split_keeps_the_cost_and_a_dividend_is_income_and_shorts_pay_it() -> None:
    made = portfolio()
    booked(made, fill("10", "30"))
    changes(made, changed("split", "10", "30"), at=T0)
    assert (made.positions["A"], made.cost["A"]) == (D(30), D(300))
    changes(made, changed("dividend", "30", "30", cash="15", pays_at=T0 + 9), at=T0)
    account = made.accounts["USD"]
    assert (account.income, account.cash, account.settled(T0)) == (D(15), D(715), D(700))
    short = portfolio()
    booked(short, fill("-10", "30"))
    changes(short, changed("dividend", "-10", "-10", cash="-5"), at=T0)
    assert (short.accounts["USD"].income, short.cash) == (D(-5), D(1295))


def test_a_spin_off_moves_its_share_of_the_cost_and_a_redemption_realises_the_rest() -> None:
    made = portfolio()
    booked(made, fill("10", "30"))
    spun = changed("spin_off", "10", "10", into="B", got="2.5", basis="60")
    changes(made, spun, at=T0)
    assert made.cost == {"A": D(240), "B": D(60)}
    assert made.positions == {"A": D(10), "B": D("2.5")}
    changes(made, changed("redemption", "10", "0", cash="250"), at=T0)
    assert (made.accounts["USD"].realised, made.positions) == (D(10), {"B": D("2.5")})


def test_a_split_that_leaves_nothing_makes_its_cost_a_loss() -> None:
    made = portfolio()
    booked(made, fill("0.000000000001", "30"))
    changes(made, changed("split", "0.000000000001", "0"), at=T0)
    assert (made.cost, made.accounts["USD"].realised) == ({}, D("-0.00000000003"))


def test_a_correction_books_units_at_its_price_and_money_as_it_is() -> None:
    made = portfolio()
    booked(made, fill("10", "10"))
    units = ReconciliationDiffered(
        decided_at=T0, portfolio="p", instrument="A", folded=D(10), reported=D(6),
        policy="trust_report", price=D(12),
    )  # fmt: skip
    book_correction(made, units, currency="USD", at=T0)
    account = made.accounts["USD"]
    assert (made.positions["A"], made.cost["A"], made.cash) == (D(6), D(60), D(900))
    assert (account.realised, account.corrected) == (D(8), D(-48))
    money = ReconciliationDiffered(
        decided_at=T0, portfolio="p", currency="USD", folded=D(900), reported=D(890),
        policy="trust_report",
    )  # fmt: skip
    book_correction(made, money, currency="USD", at=T0)
    assert (made.cash, account.corrected) == (D(890), D(-58))


def test_what_is_received_while_it_is_owed_closes_the_short_and_realises() -> None:
    made = portfolio()
    booked(made, fill("10", "100"))
    booked(made, fill("-5", "50", name="B"))
    changes(made, changed("spin_off", "10", "10", into="B", got="8", basis="400"), at=T0)
    # Five of the eight close the short at 50 each, for which 250 had come: nothing is gained.
    assert made.accounts["USD"].realised == D(0)
    assert (made.positions["B"], made.cost["B"]) == (D(3), D(150))


def test_what_nets_to_nothing_in_another_currency_is_realised_there() -> None:
    made = portfolio()
    booked(made, fill("10", "100"))
    book_fill(made, fill("-5", "50", name="E"), currency="EUR", rate=1.1, at=T0, done=True)
    event = changed("spin_off", "10", "10", into="E", got="5")
    book_change(made, event, into_currency="EUR", at=T0)
    assert (made.accounts["USD"].realised, made.accounts["EUR"].realised) == (D(0), D(250))
    assert made.positions == {"A": D(10)}


def test_money_that_settles_together_is_kept_together_and_in_order() -> None:
    account = Account()
    for when in (9, 5, 9, 7, 5):
        account.pay(D(1), at=1, settles_at=when)
    assert account.pending == [(5, D(2)), (7, D(1)), (9, D(2))]
    account.pay(D(1), at=5)
    assert account.pending == [(7, D(1)), (9, D(2))]
