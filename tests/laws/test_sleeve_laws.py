"""Virtual books, after any sequence of what can happen to a portfolio of several strategies.

A second book-keeper, who keeps the house's book too, is told the same. After every record the books
of strategies and house are those that it keeps, and together the portfolio's to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.netting import credits_of, net, saved_cost
from coordinator.core.ports import Floats
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.core.state import State
from coordinator.core.virtual import VirtualBooks, amount_of, house_cash, house_units
from coordinator.log.memory import MemoryLog
from schemas.entries import JournalEntry, decode_journal
from schemas.sleeves import SleevesBooked
from schemas.verdicts import InputRejected
from tests.journals import (
    SECOND,
    T0,
    Input,
    Inputs,
    engine,
    law,
    outputs,
    started,
    tick_all,
    zero_clock,
)
from tests.support.sleeve_reference import HOUSE, Reference

NAMES = {"A": "USD", "B": "USD", "E": "EUR"}
PARAMETERS = {"sleeves": "books", "skill_prior": 0.2}
name = st.sampled_from(sorted(NAMES))
source = st.sampled_from(("s", "u", "w"))
whole = st.integers(1, 5)
signal = st.tuples(st.just("signal"), source, name, st.sampled_from((-1, 1, 0)), st.booleans())
steps = st.one_of(
    signal,
    signal,
    signal,
    st.tuples(st.just("fill"), st.integers(0, 2), st.sampled_from((0.3, 0.5, 1.0, 1.5, -0.5)),
              st.floats(0.9, 1.1), st.sampled_from(("0", "1.25")), st.booleans()),
    st.tuples(st.just("fill"), st.integers(0, 2), st.just(1.0), st.just(1.0), st.just("0"),
              st.just(value=False)),
    st.tuples(st.just("over"), st.integers(0, 5)),
    st.tuples(st.just("close"), st.floats(0.8, 1.25), st.floats(0.8, 1.25)),
    st.tuples(st.just("split"), name, whole, whole),
    st.tuples(st.just("dividend"), name, st.decimals("0", "2", places=3)),
    st.tuples(st.just("spin_off"), name, name, whole, whole),
    st.tuples(st.just("redemption"), name, st.decimals("0", "30", places=2)),
    st.tuples(st.just("cash"), st.sampled_from(("USD", "EUR")), st.decimals("0", "900", places=2)),
    st.tuples(st.just("report"), name, st.decimals("-500", "500", places=3)),
    st.tuples(st.just("sleeves"), st.sampled_from(("off", "books", "budgets"))),
)  # fmt: skip
OPENING = (
    ("signal", "s", "A", 1, True),
    ("signal", "u", "A", -1, False),
    ("signal", "w", "B", 1, False),
)
"""Strategies for and against each other, with trades that are open: what is drawn comes after."""


@dataclass
class Played:
    """An engine that is told one thing after the other, and the second book-keeper."""

    make: Inputs = field(default_factory=Inputs)
    log: MemoryLog = field(default_factory=lambda: MemoryLog(clock=zero_clock))
    at: int = T0
    kept: Reference = field(default_factory=Reference)
    booked: list[SleevesBooked] = field(default_factory=list)
    prices: dict[str, float] = field(default_factory=lambda: {"A": 10.0, "B": 20.0, "E": 5.0})
    read: int = 0
    told: int = 0

    def __post_init__(self) -> None:
        self.router = Router(self.log, shards=1)
        self.router.write(started(), shards=[0], journal_time=T0)
        self.owner = Shard(self.log, engine(0, 1))
        self.owner.recover()
        make = self.make
        mandate = {"position_min": -0.5, "position_max": 0.5, "gross_max": 1.5}
        self.take(make.make("control", "ParametersChanged", T0, parameters=PARAMETERS))
        for one, currency in NAMES.items():
            lot = "0" if one == "B" else "1"
            self.take(make.listed(one, currency=currency, lot=lot))
        self.take(make.rate("EUR/USD", 1.1, T0))
        self.take(make.close(self.prices, T0))
        for one in ("s", "u", "w"):
            self.take(make.registered(one, risk_budget=0.4))
        terms: dict[str, Any] = {
            "mandate": mandate,
            "mode": "aggressive",
            "reports": "trust_report",
        }
        self.take(make.opened("p", cash="100000", **terms))
        self.take(make.fill("p", "A", "100", "10", T0))  # no report opens this book

    @property
    def state(self) -> State:
        made = self.owner.engine.state
        assert isinstance(made, State)
        return made

    def step(self, step: tuple[Any, ...]) -> None:
        """One thing happens, and the second after it passes."""
        self.at += SECOND
        for made in self._inputs(step):
            self.take(made)
        tick_all(self.log, shards=1, at=self.at + SECOND // 2)
        self.owner.pump()
        self._tell()

    def take(self, made: Input) -> None:
        self.router.accept([made.raw], journal_times=[made.at])
        self.owner.pump()
        self._tell()

    def _inputs(self, step: tuple[Any, ...]) -> Iterator[Input]:
        make, at = self.make, self.at
        match step:
            case ("signal", who, one, direction, stated):
                form = {"target_weight": 0.2 * direction} if stated else {"direction": direction}
                yield make.signal(who, one, at, confidence=0.9, **form)
            case ("fill", nth, share, move, fee, partly):
                yield from self._fill(nth, share, move, fee, partly=partly)
            case ("over", nth):
                for trade_id, trade in self._open(nth):
                    about = {"portfolio": "p", "instrument": trade, "trade_id": trade_id}
                    yield make.make("orders", "OrderCancelled", at, **about)
            case ("close", up, other):
                moves = {"A": up, "B": other, "E": up * other}
                self.prices = {one: p * moves[one] for one, p in self.prices.items()}
                yield make.close(self.prices, at)
            case ("split", one, ratio, per):
                yield make.action(one, "split", at, ratio=str(ratio), per=str(per))
            case ("spin_off", one, into, ratio, per):
                terms = {"ratio": str(ratio), "per": str(per), "into": into}
                yield make.action(one, "spin_off", at, **terms)
            case ("cash", currency, amount):
                yield make.moved("p", f"{amount:f}", at, currency=currency)
            case ("report", one, quantity):
                yield make.report("p", {one: f"{quantity:f}"}, at)
            case ("sleeves", how):
                changed = PARAMETERS | {"sleeves": how}
                yield make.make("control", "ParametersChanged", at, parameters=changed)
            case (kind, one, amount):
                yield make.action(one, kind, at, amount=f"{amount:f}")

    def _open(self, nth: int) -> list[tuple[str, str]]:
        trades = sorted(self.state.portfolios["p"].open_trades.items())
        return [(trades[nth][0], trades[nth][1].instrument)] if nth < len(trades) else []

    def _fill(
        self, nth: int, share: float, move: float, fee: str, *, partly: bool
    ) -> Iterator[Input]:
        for trade_id, one in self._open(nth):
            left = self.state.portfolios["p"].open_trades[trade_id].quantity
            quantity = (left * Decimal(repr(share))).quantize(Decimal("0.0001"))
            if quantity:
                yield self.make.fill(
                    "p", one, f"{quantity:f}", f"{self.prices[one] * move:.4f}", self.at,
                    fee=fee, trade_id=trade_id, partly=partly,
                )  # fmt: skip

    def _tell(self) -> None:
        """What was said before a record, then the record, unless it was refused."""
        said = outputs(self.log)[self.told :]
        self.told += len(said)
        for record in self.log.read("journal", 0, self.read):
            self.read = record.position + 1
            here = [one.event for one in said if one.position == record.position]
            for event in here:
                self.kept.said(event)
                self.booked += [event] if isinstance(event, SleevesBooked) else []
            entry = decode_journal(record.payload)
            if not any(isinstance(event, InputRejected) for event in here):
                assert isinstance(entry, JournalEntry)
                self.kept.read(entry.event)


def assert_books_agree(played: Played) -> None:
    portfolio = played.state.portfolios["p"]
    virtual = played.state.virtual.get("p", VirtualBooks())
    units, cash = house_units(virtual, portfolio), house_cash(virtual, portfolio)
    found = {(HOUSE, one): Fraction(amount) for one, amount in (units | cash).items()}
    for strategy, book in virtual.books.items():
        for one, parts in (book.units | book.cash).items():
            assert parts
            found[strategy, one] = Fraction(amount_of(parts))
    kept = played.kept.units | played.kept.cash
    for key in found.keys() | kept.keys():
        gap = found.get(key, Fraction(0)) - kept.get(key, Fraction(0))
        assert abs(gap) < Fraction(1, 10_000), key
    accounts = {one: account.cash for one, account in portfolio.accounts.items()}
    for one, whole_of_it in {**portfolio.positions, **accounts}.items():
        together = [amount for (_, what), amount in found.items() if what == one]
        assert sum(together, Fraction(0)) == Fraction(whole_of_it), one
    held = {one for _, one in found}
    assert held <= portfolio.positions.keys() | accounts.keys() | _netted(found)


def _netted(found: dict[tuple[str, str], Fraction]) -> set[str]:
    """What is held against each other inside, and together by nobody."""
    names = {one for _, one in found}
    return {one for one in names if not sum(v for (_, what), v in found.items() if what == one)}


@law(60)
@given(st.lists(steps, max_size=14))
def test_books_of_strategies_and_house_add_up_at_all_times(taken: list[tuple[Any, ...]]) -> None:
    played = Played()
    for step in (*OPENING, *taken):
        played.step(step)
        assert_books_agree(played)
    for event in played.booked:
        assert_lines_add_up(event)


def assert_lines_add_up(event: SleevesBooked) -> None:
    assert abs(sum(line.credit for line in event.strategies) - event.saved) <= 1e-12
    for line in event.strategies:
        assert abs(line.crossed + line.housed + line.sent - line.gross) <= 1e-9 * (1 + line.gross)
        assert line.size <= (line.size_max if line.size_max is not None else np.inf)
        assert (line.credit > 0.0) <= (line.crossed > 0.0)


def test_all_that_is_drawn_does_happen() -> None:
    """Strategies cross, fills are shared, holdings against each other are split."""
    played = Played()
    for step in (
        ("signal", "s", "A", 1, True),
        ("signal", "u", "A", -1, True),
        ("signal", "w", "A", 1, False),
        ("fill", 0, 0.5, 1.01, "1.25", True),
        ("split", "A", 2, 1),
        ("dividend", "A", Decimal("0.5")),
    ):
        played.step(step)
        assert_books_agree(played)
    virtual = played.state.virtual["p"]
    assert virtual.books["s/s"].units["A"] > 0 > virtual.books["u/u"].units["A"]
    assert sum(event.saved for event in played.booked) > 0.0
    assert any(line.sent > 0.0 for event in played.booked for line in event.strategies)


amounts = st.floats(-10.0, 10.0).map(lambda x: round(x, 3))
columns = st.integers(1, 4).flatmap(
    lambda s: st.lists(st.lists(amounts, min_size=s, max_size=s), min_size=1, max_size=4)
)


@law(200)
@given(columns, st.data())
def test_netting_loses_nothing_and_sends_nothing_against_the_decision(
    drawn: list[list[float]], data: st.DataObject
) -> None:
    trades: Floats = np.array(drawn).T
    sent: Floats = np.array([data.draw(amounts) for _ in drawn])
    netted = net(trades, sent)
    assert np.allclose(sum(netted), trades, rtol=0.0, atol=1e-12)
    assert np.allclose(netted.crossed.sum(axis=0), 0.0, rtol=0.0, atol=1e-12)
    for part in netted:
        assert (part * trades >= 0.0).all()
        assert (np.abs(part) <= np.abs(trades) + 1e-12).all()
    assert (netted.sent * sent >= -1e-12).all()
    assert (np.abs(netted.sent.sum(axis=0)) <= np.abs(sent) + 1e-12).all()


@law(200)
@given(columns, st.booleans())
def test_what_crossing_saves_is_credited_whole_and_only_to_who_crossed(
    drawn: list[list[float]], with_impact: bool
) -> None:
    trades: Floats = np.array(drawn).T / 100.0
    n = trades.shape[1]
    impact: Floats | None = np.linspace(0.01, 0.1, n) if with_impact else None
    linear = np.linspace(0.0003, 0.001, n)
    saved = saved_cost(trades, linear=linear, impact=impact)
    crossed = net(trades, trades.sum(axis=0)).crossed
    credit = credits_of(crossed, saved)
    assert (saved >= 0.0).all()
    assert np.isclose(credit.sum(), saved.sum(), rtol=1e-12, atol=1e-15)
    assert (credit[np.abs(crossed).sum(axis=1) == 0.0] == 0.0).all()
    both = (trades > 0.0).any(axis=0) & (trades < 0.0).any(axis=0)
    assert ((saved > 0.0) == both).all()
