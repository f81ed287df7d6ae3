"""Shown: a portfolio as an event, with its accounts, exposures and what cannot be valued."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from coordinator.core.accounts import book_fill
from coordinator.core.shown import cents, portfolio_view
from coordinator.core.state import OpenTrade
from schemas.books import Holding
from schemas.canonical import canonical_bytes
from tests.journals import T0
from tests.unit.core.books import D, fill, holding, market, portfolio


def test_money_of_more_places_than_an_event_can_spell_is_still_shown() -> None:
    made = portfolio()
    one = fill("0.12345678", "10.12345678", fee="0.000000000001")
    book_fill(made, one, currency="USD", rate=1.0, at=T0, done=True)
    view = portfolio_view(made, market(A=10.0), at=T0)
    paid = Fraction("0.12345678") * Fraction("10.12345678") + Fraction("0.000000000001")
    assert abs(Fraction(view.cash) - (1000 - paid)) <= Fraction(1, 2 * 10**12)
    assert -made.cash.as_tuple().exponent == 16  # type: ignore[operator] # a finite number


def test_a_view_shows_holdings_and_open_trades() -> None:
    made = holding(A="10", X="2")
    made.open_trades["t"] = OpenTrade("t", "p:1", "A", D(10))
    view = portfolio_view(made, market(A=20.0, X=None), at=T0)
    assert [(h.instrument, h.price) for h in view.holdings] == [("A", 20.0), ("X", None)]
    assert (view.nav, view.open_trades) == (D(1200), 1)
    assert view.gross == pytest.approx(1 / 6)


def test_a_view_tells_gains_apart_and_they_add_up() -> None:
    made = portfolio()
    for one in (fill("10", "10", fee="1"), fill("-4", "15", fee="1")):
        book_fill(made, one, currency="USD", rate=1.0, at=T0, done=True)
    view = portfolio_view(made, market(A=20.0), at=T0)
    account = view.accounts[0]
    assert (view.nav, view.gain, view.unrealised) == (D(1078), D(78), D(60))
    assert (account.realised, account.charges, account.cost) == (D(20), D(2), D(60))
    kept = account.realised + account.income - account.charges
    assert view.gain == D(60) + kept
    assert (view.holdings[0].cost, view.holdings[0].unrealised) == (D(60), D(60))


def test_a_view_shows_exposure_by_sector_with_longs_and_shorts_apart() -> None:
    made = holding("1000", A="10", B="-5", C="5")
    seen = market(A=20.0, B=20.0, C=20.0)
    for name in ("A", "B"):
        seen.instruments[name] = replace(seen.instruments[name], sector="Tech")
    view = portfolio_view(made, seen, at=T0)
    told = [(one.sector, round(one.long, 6), round(one.short, 6)) for one in view.sectors]
    assert told == [("Tech", round(200 / 1200, 6), round(-100 / 1200, 6)), (None, 0.083333, 0.0)]
    assert view.concentration == pytest.approx((4 + 1 + 1) / 16)


def test_cash_of_all_currencies_is_shown_at_its_rate_and_each_in_its_account() -> None:
    made = holding("1000")
    made.account("EUR").cash = D(100)
    seen = market(A=1.0)
    seen.observe_rate("EUR/USD", 1.2, 1)
    view = portfolio_view(made, seen, at=T0)
    assert (view.cash, view.nav, view.available) == (D(1120), D(1120), D(1120))
    assert [(one.currency, one.cash) for one in view.accounts] == [
        ("USD", D(1000)), ("EUR", D(100)),
    ]  # fmt: skip


def test_what_cannot_be_valued_is_named() -> None:
    made = holding("1000", X="5")
    view = portfolio_view(made, market(X=None), at=T0)
    assert (view.unpriced, view.nav) == (("X",), D(1000))
    assert view.holdings[0].unrealised is None


def test_holdings_are_what_validation_would_have_made_of_them() -> None:
    made = portfolio()
    for one in (fill("10.50", "0.1", fee="1"), fill("-3", "1000", name="B")):
        book_fill(made, one, currency="USD", rate=1.0, at=T0, done=True)
    view = portfolio_view(made, market(A=20.129, B=7.0), at=T0)
    for line in view.holdings:
        checked = Holding.model_validate(line.model_dump())
        assert checked == line
        assert canonical_bytes(checked) == canonical_bytes(line)


def test_what_is_too_large_for_columns_is_validated_line_by_line() -> None:
    made = holding("1", A="1" + "0" * 14)
    view = portfolio_view(made, market(A=1e9), at=T0)
    assert float(view.holdings[0].unrealised or 0) == pytest.approx(1e23)


@pytest.mark.parametrize("amount", [0.0, -0.0, 1.005, -2.675, 1e15 / 3, 0.004])
def test_cents_are_the_nearest(amount: float) -> None:
    assert abs(float(cents(amount)) - amount) <= 0.005 * (1 + 1e-9)


def test_what_was_bought_and_is_not_paid_yet_is_not_available() -> None:
    made = portfolio()
    bought = fill("10", "50").model_copy(update={"settles_at": T0 + 5})
    book_fill(made, bought, currency="USD", rate=1.0, at=T0, done=True)
    view = portfolio_view(made, market(A=50.0), at=T0)
    assert (view.settled, view.cash, view.available) == (D(1000), D(500), D(500))
    sold = fill("-10", "50").model_copy(update={"settles_at": T0 + 5})
    book_fill(made, sold, currency="USD", rate=1.0, at=T0, done=True)
    view = portfolio_view(made, market(A=50.0), at=T0)
    assert (view.settled, view.cash, view.available) == (D(1000), D(1000), D(1000))
