"""Accounting identities, after any sequence of what can happen to a book.

An independent book of fractions is kept beside the engine's: units and money must be the same after
every event, and in every currency cash and cost together what came in, was gained and was paid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.accounts import ZERO
from coordinator.core.shown import cost_by_currency
from coordinator.core.state import Portfolio, State
from tests.journals import SECOND, T0, Input, Inputs, law, state_after

NAMES = {"A": "USD", "B": "USD", "E": "EUR"}
KINDS = ("deposit", "withdrawal", "dividend", "fee", "interest", "borrow", "tax", "exchange")
name = st.sampled_from(sorted(NAMES))
units = st.one_of(
    st.decimals("-1000", "1000", places=3), st.decimals("-0.001", "0.001", places=12)
).filter(bool)
price = st.decimals("0.01", "500", places=4)
money = st.decimals("-5000", "5000", places=2)
whole = st.integers(1, 9)
steps = st.one_of(
    st.tuples(st.just("fill"), name, units, price, money),
    st.tuples(st.just("cash"), st.sampled_from(KINDS), st.sampled_from(("USD", "EUR")), money),
    st.tuples(st.just("split"), name, whole, whole),
    st.tuples(st.just("dividend"), name, st.decimals("0", "9", places=3)),
    st.tuples(st.just("spin_off"), name, name, whole, whole, st.floats(0, 1)),
    st.tuples(st.just("redemption"), name, st.decimals("0", "99", places=2)),
    st.tuples(st.just("relist"), name, st.sampled_from(("USD", "EUR"))),
    st.tuples(st.just("report"), name, units, st.one_of(st.none(), money)),
)


@dataclass
class Fractions:
    """The book as anybody would keep it, in fractions; only a split's rest is cut as ours is."""

    units: dict[str, Fraction] = field(default_factory=lambda: {"A": Fraction(1)})
    cash: dict[str, Fraction] = field(default_factory=lambda: {"USD": Fraction(10_000)})
    currencies: dict[str, str] = field(default_factory=lambda: dict(NAMES))

    def move(self, currency: str, amount: Decimal | Fraction) -> None:
        self.cash[currency] = self.cash.get(currency, Fraction(0)) + Fraction(amount)

    def hold(self, instrument: str, more: Fraction) -> None:
        self.units[instrument] = self.units.get(instrument, Fraction(0)) + more

    def apply(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("fill", one, quantity, at, fee):
                self.hold(one, Fraction(quantity))
                self.move(
                    self.currencies[one], -(Fraction(quantity) * Fraction(at) + Fraction(fee))
                )
            case ("cash", _, currency, amount):
                self.move(currency, amount)
            case ("split", one, ratio, per):
                self.units[one] = cut(self.units.get(one, Fraction(0)) * ratio / per)
            case ("dividend", one, amount):
                paid = cut(self.units.get(one, Fraction(0)) * Fraction(amount))
                self.move(self.currencies[one], paid)
            case ("spin_off", one, into, ratio, per, _) if one != into:
                self.hold(into, cut(self.units.get(one, Fraction(0)) * ratio / per))
            case ("redemption", one, amount):
                paid = cut(self.units.pop(one, Fraction(0)) * Fraction(amount))
                self.move(self.currencies[one], paid)
            case ("relist", one, currency):
                self.currencies[one] = currency
            case ("report", one, quantity, cash):
                self.units = {one: Fraction(quantity)}
                if cash is not None and abs(self.cash["USD"] - Fraction(cash)) > 0.005:
                    self.move("USD", Fraction(cash) - cut(self.cash["USD"]))


def cut(number: Fraction) -> Fraction:
    """To twelve decimals towards zero."""
    scaled = abs(number) * 10**12
    return (1 if number >= 0 else -1) * Fraction(scaled.numerator // scaled.denominator, 10**12)


def told(make: Inputs, step: tuple[Any, ...], at: int) -> Input:
    match step:
        case ("fill", one, quantity, cost, fee):
            return make.fill("p", one, f"{quantity:f}", f"{cost:f}", at, fee=f"{fee:f}")
        case ("cash", kind, currency, amount):
            return make.moved("p", f"{amount:f}", at, currency=currency, kind=kind)
        case ("split", one, ratio, per):
            return make.action(one, "split", at, ratio=str(ratio), per=str(per))
        case ("spin_off", one, into, ratio, per, share):
            terms = {"ratio": str(ratio), "per": str(per), "into": into, "basis_share": share}
            return make.action(one, "spin_off", at, **terms)
        case ("relist", one, currency):
            return make.listed(one, at, currency=currency)
        case ("report", one, quantity, cash):
            given = None if cash is None else f"{cash:f}"
            return make.report("p", {one: f"{quantity:f}"}, at, cash=given)
        case (kind, one, amount):
            return make.action(one, kind, at, amount=f"{amount:f}")
    raise AssertionError(step)


def played(taken: list[tuple[Any, ...]]) -> State:
    make = Inputs()
    inputs = [make.listed(one, currency=currency) for one, currency in NAMES.items()]
    inputs += [make.rate("EUR/USD", 1.1, T0), make.prices({"A": 10.0, "E": 20.0}, T0)]
    inputs.append(make.opened("p", cash="10010", reports="trust_report"))
    inputs.append(make.fill("p", "A", "1", "10", T0))  # no report opens this book
    inputs += [told(make, step, T0 + (n + 1) * SECOND) for n, step in enumerate(taken)]
    end = T0 + (len(taken) + 2) * SECOND
    return state_after(inputs, end=end)


def assert_adds_up(portfolio: Portfolio, state: State) -> None:
    cost = cost_by_currency(portfolio, state.market)
    for currency, account in portfolio.accounts.items():
        there = Fraction(account.cash) + Fraction(cost.get(currency, ZERO))
        came = sum(
            map(
                Fraction,
                (account.paid_in, account.realised, account.income, account.exchanged,
                 account.corrected),
            )
        )  # fmt: skip
        assert there == came - Fraction(account.charges), currency
    assert portfolio.positions.keys() == portfolio.cost.keys()
    assert cost.keys() <= portfolio.accounts.keys()


@law(60)
@given(st.lists(steps, max_size=12))
def test_books_add_up_to_the_last_digit_after_any_sequence(taken: list[tuple[Any, ...]]) -> None:
    beside = Fractions()
    for step in taken:
        beside.apply(step)
    state = played(taken)
    portfolio = state.portfolios["p"]
    assert {k: Fraction(v) for k, v in portfolio.positions.items()} == {
        k: v for k, v in beside.units.items() if v
    }
    ours = {k: Fraction(v.cash) for k, v in portfolio.accounts.items()}
    assert {k: v for k, v in ours.items() if v} == {k: v for k, v in beside.cash.items() if v}
    assert_adds_up(portfolio, state)
