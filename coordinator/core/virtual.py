"""Virtual books: what each strategy of a portfolio holds, and what became of it.

Place in the flow: part of `evolve`, as `accounts` is for the portfolio itself. A strategy's book
begins empty, with neither units nor money, and buys on account: so what it is worth is what it has
gained. What crosses inside is booked at once, at the price that the decision saw; what is sent is
booked as it fills, shared by what each strategy still wants of the trade, at the fill's price and
fee; what never fills is given back by not being there. The house is the portfolio less its
strategies, by definition, in every instrument and currency: so the books add up to the portfolio to
the last digit after any event, and whatever cannot be attributed (money in and out, reports,
fills of nobody's trade, what division leaves over) is the house's.

Amounts are whole numbers of 1e-12, the least that an event can spell: as exact as decimals, and ten
strategies of a hundred names are two thousand sums a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from coordinator.core.accounts import EXACT, ZERO
from coordinator.core.netting import net
from schemas.base import PLACES_MAX

if TYPE_CHECKING:
    from coordinator.core.market import Market
    from coordinator.core.ports import Floats
    from coordinator.core.state import Portfolio, State
    from schemas.market import CorporateActionAnnounced
    from schemas.orders import Fill
    from schemas.sleeves import SleevesBooked

__all__ = [
    "Book",
    "VirtualBooks",
    "Worth",
    "amount_of",
    "house_cash",
    "house_units",
    "read",
    "share_action",
    "share_fill",
    "take_sleeves",
    "to_come",
    "worth_of",
    "written",
]

ONE = 10**PLACES_MAX
"""Parts of one unit, or of one unit of money."""
GRID = 8
"""Decimals of the units that a decision gives a strategy."""
_PARTS = ONE // 10**GRID
BOOKS_MAX = 1_000
"""Strategies of a portfolio whose books are kept; of more, those long empty become the house's."""


@dataclass(slots=True)
class Book:
    """One strategy's. units: by instrument; cash: by currency, both in parts; none is 0.

    size, booked_at: as the last decision gave it, and when. credit, saved: what it was credited
    with, and credit is no money of the book: who crossed paid no cost already. traded: absolute
    value that it traded. Both are money of the portfolio's currency.
    """

    units: dict[str, int] = field(default_factory=dict)
    cash: dict[str, int] = field(default_factory=dict)
    size: float = 0.0
    credit: float = 0.0
    traded: float = 0.0
    booked_at: int = 0

    def hold(self, instrument: str, more: int) -> None:
        """Units come or go."""
        _add(self.units, instrument, more)

    def pay(self, currency: str, more: int) -> None:
        """Money comes or goes."""
        _add(self.cash, currency, more)


@dataclass(slots=True)
class VirtualBooks:
    """A portfolio's, by strategy. shares: of open trades by id, what each strategy still wants."""

    books: dict[str, Book] = field(default_factory=dict)
    shares: dict[str, dict[str, int]] = field(default_factory=dict)


class Worth(NamedTuple):
    """What a strategy's book is worth, money of the portfolio's currency.

    value: gained since it began. gross, net: of what it holds.
    """

    value: float
    gross: float
    net: float


def _add(amounts: dict[str, int], name: str, more: int) -> None:
    amount = amounts.get(name, 0) + more
    if amount:
        amounts[name] = amount
    else:
        amounts.pop(name, None)


def parts_of(number: Decimal) -> int:
    """A decimal in parts, cut towards zero."""
    return int(EXACT.scaleb(number, PLACES_MAX))


def amount_of(parts: int) -> Decimal:
    """Parts as the decimal they are."""
    return EXACT.scaleb(Decimal(parts), -PLACES_MAX)


def _over(product: int, by: int) -> int:
    """product / by, cut towards zero."""
    found = abs(product) // abs(by)
    return found if (product < 0) == (by < 0) else -found


# -- changes --------------------------------------------------------------------------------------


def take_sleeves(state: State, event: SleevesBooked) -> None:
    """What a decision gave each strategy: crosses are booked, what is sent waits for its fills.

    The decision itself was applied before, so that its trades are open.
    """
    portfolio = state.portfolios[event.portfolio]
    virtual = state.virtual.setdefault(portfolio.name, VirtualBooks())
    virtual.shares = {k: v for k, v in virtual.shares.items() if k in portfolio.open_trades}
    names = event.instruments
    ids = [f"{event.decision_id}:{name}" for name in names]
    opened = [portfolio.open_trades.get(one) for one in ids]
    sent = np.array([0.0 if one is None else float(one.quantity) for one in opened])
    shape = len(event.strategies), len(names)
    trades = np.array([line.units for line in event.strategies], dtype=np.float64).reshape(shape)
    netted = net(trades, sent)
    currencies = [state.market.instruments[name].currency for name in names]
    prices = [round(price * ONE) for price in event.prices]
    whole, outside = _grid(trades), _grid(netted.sent)
    for at, line in enumerate(event.strategies):
        book = virtual.books.setdefault(line.strategy, Book())
        book.size, book.booked_at = line.size, event.decided_at
        book.credit += line.credit * float(event.nav)
        book.traded += line.gross * float(event.nav)
        units, paid = book.units, dict.fromkeys(currencies, 0)
        for k, (all_of_it, out) in enumerate(zip(whole[at], outside[at], strict=True)):
            if out:
                virtual.shares.setdefault(ids[k], {})[line.strategy] = out
            inside = all_of_it - out
            if inside:
                _add(units, names[k], inside)
                paid[currencies[k]] += inside * prices[k] // ONE
        for currency, amount in paid.items():
            book.pay(currency, -amount)
    _forget(virtual)


def _grid(units: Floats) -> list[list[int]]:
    """Units in parts, to eight decimals."""
    return [[int(one) * _PARTS for one in row] for row in np.rint(units * 10.0**GRID).tolist()]


def _forget(virtual: VirtualBooks) -> None:
    """Of too many books, those that hold nothing and were decided on longest ago end."""
    over = len(virtual.books) - BOOKS_MAX
    if over <= 0:
        return
    waiting = {name for shares in virtual.shares.values() for name in shares}
    empty = [
        (book.booked_at, name)
        for name, book in virtual.books.items()
        if not book.units and name not in waiting
    ]
    for _, name in sorted(empty)[:over]:
        del virtual.books[name]


def share_fill(state: State, portfolio: Portfolio, fill: Fill, *, currency: str) -> None:
    """Give strategies their part of a fill; before the portfolio books it.

    Beyond what is left of the trade, or against it, it is the house's alone.
    """
    virtual = state.virtual.get(portfolio.name)
    trade = portfolio.open_trades.get(fill.trade_id) if fill.trade_id is not None else None
    if virtual is None or trade is None or trade.instrument != fill.instrument:
        return
    shares = virtual.shares.get(trade.trade_id, {})
    left, filled = parts_of(trade.quantity), parts_of(fill.quantity)
    if not left or not filled or (left < 0) != (filled < 0):
        return
    used = filled if abs(filled) <= abs(left) else left
    price, fee = parts_of(fill.price), parts_of(fill.fee)
    for strategy in sorted(shares):
        part = _over(shares[strategy] * used, left)
        book = virtual.books.get(strategy)
        if part and book is not None:
            book.hold(fill.instrument, part)
            paid = _over(part * price, ONE) + _over(abs(part) * fee, abs(filled))
            book.pay(currency, -paid)
            shares[strategy] -= part


def share_action(state: State, action: CorporateActionAnnounced) -> None:
    """What a corporate action makes of strategies' holdings, unit by unit, whoever holds them.

    A portfolio may hold nothing of what its strategies hold against each other. Units and money are
    cut towards zero.
    """
    instrument = state.market.instruments.get(action.instrument)
    if instrument is None:
        return
    for name in sorted(state.virtual):
        for book in state.virtual[name].books.values():
            if action.instrument in book.units:
                _take_action(book, action, currency=instrument.currency)


def _take_action(book: Book, action: CorporateActionAnnounced, *, currency: str) -> None:
    held = book.units[action.instrument]
    per = parts_of(Decimal(1) if action.per is None else action.per)
    each = _over(held * parts_of(action.ratio or ZERO), per)
    if action.kind == "split":
        book.hold(action.instrument, each - held)
    elif action.kind == "spin_off" and action.into is not None:
        book.hold(action.into, each)
    elif action.kind in ("dividend", "redemption"):
        book.pay(currency, _over(held * parts_of(action.amount or ZERO), ONE))
        if action.kind == "redemption":
            book.hold(action.instrument, -held)


# -- what may be asked ---------------------------------------------------------------------------


def to_come(
    virtual: VirtualBooks, portfolio: Portfolio, strategies: Sequence[str], names: Sequence[str]
) -> Floats:
    """(s, n) units of each strategy once every open trade has filled."""
    found = np.zeros((len(strategies), len(names)))
    for at, strategy in enumerate(strategies):
        book = virtual.books.get(strategy)
        if book is not None and book.units:
            found[at] = _each(book.units, names)
    column = {name: at for at, name in enumerate(names)}
    row = {strategy: at for at, strategy in enumerate(strategies)}
    for trade_id, shares in sorted(virtual.shares.items()):
        trade = portfolio.open_trades.get(trade_id)
        place = None if trade is None else column.get(trade.instrument)
        if place is None:
            continue
        for strategy, more in shares.items():
            if strategy in row:
                found[row[strategy], place] += more
    found /= ONE
    return found


def worth_of(
    virtual: VirtualBooks, strategies: Sequence[str], market: Market, currency: str
) -> list[Worth]:
    """What each book is worth at the last prices and rates; nothing where one is not known."""
    books = [virtual.books.get(strategy) or Book() for strategy in strategies]
    names = tuple(sorted({name for book in books for name in book.units}))
    used = {market.instruments[name].currency for name in names}
    used |= {one for book in books for one in book.cash}
    rate = {one: market.rate(one, currency) or 0.0 for one in sorted(used)}
    prices = np.nan_to_num(market.price[market.columns(names)])
    each = prices * np.array([rate[market.instruments[name].currency] for name in names]) / ONE
    found = []
    for book in books:
        values = _each(book.units, names) * each
        cash = sum(amount / ONE * rate[one] for one, amount in sorted(book.cash.items()))
        held = float(values.sum())
        found.append(Worth(held + cash, float(np.abs(values).sum()), held))
    return found


def _each(units: dict[str, int], names: Sequence[str]) -> Floats:
    """(n,) parts of each, 0 where nothing is held."""
    return np.array([units.get(name, 0) for name in names], dtype=np.float64)


def house_units(virtual: VirtualBooks, portfolio: Portfolio) -> dict[str, Decimal]:
    """What belongs to no strategy, sorted by instrument; it may be owed."""
    return _rest(portfolio.positions, [book.units for book in virtual.books.values()])


def house_cash(virtual: VirtualBooks, portfolio: Portfolio) -> dict[str, Decimal]:
    """Money that belongs to no strategy, sorted by currency."""
    cash = {currency: account.cash for currency, account in portfolio.accounts.items()}
    return _rest(cash, [book.cash for book in virtual.books.values()])


def _rest(whole: dict[str, Decimal], parts: Sequence[dict[str, int]]) -> dict[str, Decimal]:
    taken: dict[str, int] = {}
    for one in parts:
        for name, amount in one.items():
            _add(taken, name, amount)
    rest = {
        name: EXACT.subtract(whole.get(name, ZERO), amount_of(taken.get(name, 0)))
        for name in sorted(whole.keys() | taken.keys())
    }
    return {name: amount for name, amount in rest.items() if amount}


# -- checkpoints ----------------------------------------------------------------------------------

_WRITTEN = TypeAdapter(dict[str, VirtualBooks])


def written(virtual: dict[str, VirtualBooks]) -> bytes:
    """Every portfolio's, in the order of names, whatever order they were filled in."""
    return _WRITTEN.dump_json({name: _sorted(virtual[name]) for name in sorted(virtual)})


def _sorted(virtual: VirtualBooks) -> VirtualBooks:
    books = {
        name: Book(
            dict(sorted(book.units.items())),
            dict(sorted(book.cash.items())),
            book.size,
            book.credit,
            book.traded,
            book.booked_at,
        )
        for name, book in sorted(virtual.books.items())
    }
    shares = {one: dict(sorted(of.items())) for one, of in sorted(virtual.shares.items())}
    return VirtualBooks(books, shares)


def read(data: bytes) -> dict[str, VirtualBooks]:
    """What `written` wrote."""
    return _WRITTEN.validate_json(data)
