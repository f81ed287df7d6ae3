"""Virtual books, to the last digit: crosses, fills, what expires, actions, checkpoints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.evolve import evolve_output
from coordinator.core.state import OpenTrade, State
from coordinator.core.virtual import (
    BOOKS_MAX,
    Book,
    VirtualBooks,
    amount_of,
    house_cash,
    house_units,
    to_come,
    worth_of,
    written,
)
from schemas.books import CorporateActionTaken
from schemas.market import ActionKind
from schemas.sleeves import SleeveLine, SleevesBooked
from tests.journals import T0, Inputs
from tests.unit.core.planted import feed, state_of

AT = T0 + 1


def line(strategy: str, *units: float, **fields: Any) -> SleeveLine:
    terms: dict[str, Any] = {
        "size": 0.01, "wished": 0.02, "gross": 0.1, "crossed": 0.0, "housed": 0.0, "sent": 0.1,
        "credit": 0.0, "weight_before": 0.0, "value_before": Decimal(0),
    }  # fmt: skip
    return SleeveLine(strategy=strategy, units=units, **(terms | fields))


def booked(*lines: SleeveLine, names: tuple[str, ...] = ("A",), number: int = 1) -> SleevesBooked:
    prices = {"A": 10.0, "B": 20.0}
    return SleevesBooked(
        decided_at=AT, portfolio="p", decision_id=f"p:{number}", nav=Decimal(1_000_000),
        sized_by="split", instruments=names, prices=tuple(prices[name] for name in names),
        strategies=lines, house_weight=0.0, saved=0.0,
    )  # fmt: skip


def decided(quantity: str = "3", *, number: int = 1) -> State:
    """Buys so much of A, of which s/s wants 6 more and u/u 4 less: 1 of s's is the house's."""
    state = state_of()
    trade_id = f"p:{number}:A"
    state.portfolios["p"].open_trades = {
        trade_id: OpenTrade(trade_id, f"p:{number}", "A", Decimal(quantity))
    }
    evolve_output(state, booked(line("s/s", 6.0, credit=2e-6), line("u/u", -4.0)))
    return state


def units(state: State) -> dict[str, Decimal]:
    """Of A, by strategy."""
    books = state.virtual["p"].books
    return {name: amount_of(book.units.get("A", 0)) for name, book in books.items()}


def cash(state: State) -> dict[str, Decimal]:
    books = state.virtual["p"].books
    return {name: amount_of(book.cash.get("USD", 0)) for name, book in books.items()}


def test_what_crosses_is_booked_at_once_at_the_price_that_the_decision_saw() -> None:
    state = decided("1")  # two are left to buy: the house sells one, one is sent
    assert units(state) == {"s/s": Decimal(5), "u/u": Decimal(-4)}
    assert cash(state) == {"s/s": Decimal(-50), "u/u": Decimal(40)}
    portfolio = state.portfolios["p"]
    assert house_units(state.virtual["p"], portfolio) == {"A": Decimal(-1)}
    assert house_cash(state.virtual["p"], portfolio) == {"USD": Decimal(1_000_010)}
    book = state.virtual["p"].books["s/s"]
    assert (book.credit, book.traded, book.size, book.booked_at) == (2.0, 100_000.0, 0.01, AT)


def test_what_is_sent_is_booked_as_it_fills_with_its_part_of_the_fee() -> None:
    state, make = decided("4"), Inputs()  # s/s wants two of the four, the house the others
    assert to_come(state.virtual["p"], state.portfolios["p"], ["s/s"], ["A"]).tolist() == [[6.0]]
    for quantity, price, fee in (("1", "11", "0.5"), ("1", "12", "0.5"), ("2", "13", "1")):
        partly = quantity == "1"
        terms = {"trade_id": "p:1:A", "fee": fee}
        feed(state, make.fill("p", "A", quantity, price, AT, partly=partly, **terms))
    assert units(state)["s/s"] == Decimal(6)
    paid = Decimal("5.5") + Decimal(6) + Decimal(13) + Decimal(1)
    assert cash(state)["s/s"] == -40 - paid
    assert house_units(state.virtual["p"], state.portfolios["p"]) == {"A": Decimal(2)}


def test_a_fill_beyond_the_trade_or_against_it_is_the_houses() -> None:
    state, make = decided("2"), Inputs()
    feed(state, make.fill("p", "A", "-7", "10", AT, trade_id="p:1:A", partly=True))
    assert units(state)["s/s"] == Decimal(4)
    state = decided("2")
    feed(state, make.fill("p", "A", "5", "10", AT, trade_id="p:1:A", fee="5"))
    assert (units(state)["s/s"], cash(state)["s/s"]) == (Decimal(6), Decimal(-62))
    assert house_units(state.virtual["p"], state.portfolios["p"]) == {"A": Decimal(3)}


@pytest.mark.parametrize("late", [False, True])
def test_what_never_fills_is_given_back_and_a_fill_that_comes_later_is_the_houses(
    late: bool,
) -> None:
    state, make = decided("2"), Inputs()
    about = {"portfolio": "p", "instrument": "A", "trade_id": "p:1:A"}
    feed(state, make.make("orders", "OrderCancelled", AT, **about))
    if late:
        feed(state, make.fill("p", "A", "2", "10", AT, trade_id="p:1:A"))
    assert to_come(state.virtual["p"], state.portfolios["p"], ["s/s"], ["A"]).tolist() == [[4.0]]
    assert units(state)["s/s"] == Decimal(4)
    evolve_output(state, booked(line("s/s", 0.0), number=2))
    assert state.virtual["p"].shares == {}


@pytest.mark.parametrize(
    ("kind", "terms", "held", "paid"),
    [
        ("split", {"ratio": "3", "per": "2"}, (Decimal("7.5"), Decimal(-6)), (-50, 40)),
        ("dividend", {"amount": "0.3"}, (Decimal(5), Decimal(-4)), (Decimal("-48.5"), "38.8")),
        ("redemption", {"amount": "9"}, (Decimal(0), Decimal(0)), (-5, 4)),
        ("spin_off", {"ratio": "1", "per": "3", "into": "B"}, (5, -4), (-50, 40)),
    ],
)
def test_corporate_actions_are_for_who_holds_though_the_portfolio_holds_nothing(
    kind: ActionKind, terms: dict[str, str], held: tuple[Any, Any], paid: tuple[Any, Any]
) -> None:
    state, make = decided("1"), Inputs()
    assert "A" not in state.portfolios["p"].positions
    feed(state, make.action("A", kind, AT, **terms))
    (action_id,) = state.actions
    evolve_output(
        state,
        CorporateActionTaken(decided_at=AT, action_id=action_id, instrument="A", kind=kind),
    )
    assert tuple(units(state).values()) == held
    assert tuple(cash(state).values()) == tuple(map(Decimal, paid))
    third = [book.units.get("B", 0) for book in state.virtual["p"].books.values()]
    assert third == ([1_666_666_666_666, -1_333_333_333_333] if kind == "spin_off" else [0, 0])


def test_a_book_is_worth_what_it_has_gained() -> None:
    state, make = decided("1"), Inputs()
    feed(state, make.prices({"A": 12.0}, AT))
    own, other = worth_of(state.virtual["p"], ["s/s", "u/u"], state.market, "USD")
    assert own == pytest.approx((10.0, 60.0, 60.0))
    assert other == pytest.approx((-8.0, 48.0, -48.0))
    (none,) = worth_of(state.virtual["p"], ["nobody/x"], state.market, "USD")
    assert none == (0.0, 0.0, 0.0)


def test_books_survive_a_checkpoint_whatever_order_they_were_filled_in() -> None:
    state = decided("2")
    virtual = state.virtual["p"]
    whole = encode_state(state)
    virtual.books = dict(sorted(virtual.books.items(), reverse=True))
    assert encode_state(state) == whole
    again = decode_state(whole)
    assert again.virtual == state.virtual
    assert encode_state(again) == whole


def test_switched_off_books_stay_and_go_on_when_they_are_switched_on_again() -> None:
    """Parameters come whole: who leaves sleeves out of them by mistake loses nobody's gain."""
    state, make = decided("2"), Inputs()
    before = written(state.virtual)
    for parameters in ({"sleeves": "books"}, {}):
        feed(state, make.make("control", "ParametersChanged", AT, parameters=parameters))
        assert written(state.virtual) == before
    feed(state, make.fill("p", "A", "2", "11", AT, trade_id="p:1:A"))  # sent for s/s before
    feed(state, make.fill("p", "A", "7", "11", AT))
    assert units(state) == {"s/s": Decimal(6), "u/u": Decimal(-4)}
    assert house_units(state.virtual["p"], state.portfolios["p"]) == {"A": Decimal(7)}
    assert decode_state(encode_state(state)).virtual == state.virtual
    feed(state, make.make("control", "ParametersChanged", AT, parameters={"sleeves": "books"}))
    evolve_output(state, booked(line("s/s", 0.0), number=2))
    assert units(state) == {"s/s": Decimal(6), "u/u": Decimal(-4)}
    assert state.virtual["p"].books["s/s"].credit == 2.0


def test_of_too_many_books_those_that_hold_nothing_the_longest_end() -> None:
    state = decided("2")
    virtual = state.virtual["p"]
    empty = {f"x/{n:04}": Book(booked_at=n + 1) for n in range(BOOKS_MAX)}
    virtual.books |= {"x/held": Book(units={"A": 1}), **empty}
    evolve_output(state, booked(line("s/s", 0.0), number=2))
    assert len(virtual.books) == BOOKS_MAX
    assert {"s/s", "u/u", "x/held"} <= virtual.books.keys()
    assert "x/0002" not in virtual.books
    assert "x/0003" in virtual.books


def test_nothing_is_to_come_of_a_strategy_that_was_never_heard_of() -> None:
    state = state_of()
    found = to_come(VirtualBooks(), state.portfolios["p"], ["s/s"], ["A", "B"])
    assert found.tolist() == [[0.0, 0.0]]
