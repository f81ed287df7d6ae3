from __future__ import annotations

import math
from decimal import Decimal

import pytest

from replay.baselines import AGENT, AGENT_LATE, Execution, Session, buy_and_hold, own_book
from replay.ledger import Ledger, performance, sharpe_error
from replay.pricing import InstrumentTerms
from schemas.portfolios import Costs

FREE = Costs(fee_bps=0, sell_tax_bps=0, half_spread_bps=0)
ANY, CENTS = InstrumentTerms(), InstrumentTerms(tick=Decimal("0.01"))
DEAR = Costs(fee_bps=10, sell_tax_bps=50, half_spread_bps=20)
SESSIONS = (
    Session(0, 1, {"A": 10.0, "B": 20.0}, {"A": 11.0, "B": 20.0}),
    Session(2, 3, {"A": 12.0, "B": 20.0}, {"A": 12.0, "B": 10.0}),
    Session(4, 5, {"A": 15.0, "B": 20.0}, {}),
)


def test_money_paid_in_is_no_return() -> None:
    ledger = Ledger("p", "portfolio", 100.0, 0)
    ledger.mark(1, {})
    ledger.move(900.0)
    ledger.mark(2, {})
    assert [mark.growth for mark in ledger.marks] == [1.0, 1.0]
    assert ledger.marks[-1].nav == 1000.0


def test_spread_is_told_from_the_mid_and_fees_from_the_fill() -> None:
    ledger = Ledger("p", "portfolio", 1000.0, 0)
    ledger.execute("A", 10, 10.1, fee=0.5, mid=10.0)
    ledger.execute("A", -10, 9.9, fee=0.5, mid=10.0)
    assert math.isclose(ledger.spread, 2.0)
    assert math.isclose(ledger.fees, 1.0)
    assert math.isclose(ledger.cash, 1000.0 - 2.0 - 1.0)
    assert not ledger.holdings


def test_holding_without_a_price_is_worth_what_was_paid() -> None:
    ledger = Ledger("p", "portfolio", 100.0, 0)
    ledger.execute("A", 1, 40.0, fee=0.0, mid=None)
    ledger.mark(1, {})
    assert ledger.marks[0].nav == 100.0
    assert math.isclose(ledger.marks[0].gross, 0.4)


def test_drawdown_is_measured_from_the_highest_point() -> None:
    ledger = Ledger("p", "portfolio", 100.0, 0)
    ledger.execute("A", 1, 100.0, fee=0.0, mid=100.0)
    for at, price in enumerate((110.0, 88.0, 99.0)):
        ledger.mark(at, {"A": price})
    result = performance(ledger.curve())
    assert math.isclose(result.drawdown, 0.2)
    assert math.isclose(result.total_return, -0.01)


def test_one_session_has_no_volatility() -> None:
    ledger = Ledger("p", "portfolio", 100.0, 0)
    ledger.mark(0, {})
    result = performance(ledger.curve())
    assert result.volatility is None
    assert result.sharpe is None


def test_sharpe_error_after_thirty_sessions_is_about_2_9() -> None:
    error = sharpe_error(30)
    assert error == pytest.approx(2.9, abs=0.01)
    assert sharpe_error(1) is None


def test_late_book_trades_at_the_next_open_and_drops_the_last_session() -> None:
    trades = (Execution(0, "A", 5.0), Execution(2, "B", 1.0))
    own = own_book("x", trades, SESSIONS, cash=100.0, late=False, costs=FREE, terms=ANY)
    late = own_book("x", trades, SESSIONS, cash=100.0, late=True, costs=FREE, terms=ANY)
    assert (own.group, late.group) == (AGENT, AGENT_LATE)
    assert own.traded == 5 * 10 + 20
    assert late.traded == 5 * 12


def test_session_that_has_not_closed_is_marked_at_its_open() -> None:
    own = own_book(
        "x", (Execution(0, "A", 5.0),), SESSIONS, cash=100.0, late=False, costs=FREE, terms=ANY
    )
    assert [mark.at for mark in own.marks] == [1, 3, 4]
    assert own.marks[-1].nav == 50 + 5 * 15


def test_buyer_pays_the_spread_rounded_up_to_the_tick() -> None:
    sessions = (Session(0, 1, {"A": 1.0}, {"A": 1.0}),)
    book = own_book(
        "x", (Execution(0, "A", 1.0),), sessions, cash=9.0, late=False, costs=DEAR, terms=CENTS
    )
    assert math.isclose(book.spread, 0.01)


def test_buy_and_hold_spends_its_cash_whole_costs_included() -> None:
    held = buy_and_hold(
        "m", {"A": 1.0, "B": 3.0}, SESSIONS, bought=0, cash=1000.0, costs=DEAR, terms=CENTS
    )
    assert abs(held.marks[0].cash) < 1e-3
    result = performance(held)
    assert result.costs > 0
    assert math.isclose(result.turnover, 0.5, rel_tol=0.1)


def test_buy_and_hold_is_worth_its_cash_until_the_session_it_buys_at() -> None:
    held = buy_and_hold("m", {"A": 1.0}, SESSIONS, bought=1, cash=1200.0, costs=FREE, terms=ANY)
    assert held.opened_at == SESSIONS[0].opened_at
    assert [mark.nav for mark in held.marks] == [1200.0, 1200.0, 1500.0]
    assert [mark.gross for mark in held.marks] == pytest.approx([0.0, 1.0, 1.0])
