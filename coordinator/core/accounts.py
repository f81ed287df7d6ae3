"""Accounts: exact books, and what fills, money, corporate actions and corrections make of them.

Place in the flow: part of `evolve`, and the only place where money and holdings change. In every
currency, after any sequence of events,

    cash + cost of what is held = paid in + realised + income - charges + exchanged + corrected

to the last of all digits: nothing is ever rounded but a sale's share of the cost, and what that
leaves stays in the cost. Cost is by the average of all purchases; fees are charges, no cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal
from typing import TYPE_CHECKING

from schemas.base import PLACES_MAX
from schemas.portfolios import CashKind

if TYPE_CHECKING:
    from coordinator.core.state import Portfolio
    from schemas.books import HoldingChanged, ReconciliationDiffered
    from schemas.orders import Fill
    from schemas.portfolios import CashMoved

__all__ = [
    "EXACT",
    "PLACES",
    "ZERO",
    "Account",
    "book_cash",
    "book_change",
    "book_correction",
    "book_fill",
    "book_redenomination",
    "cut",
    "exact",
]

EXACT = Context(prec=60)
"""Wide enough that no product or sum of money and quantities is ever rounded."""
ZERO = Decimal(0)
PLACES = Decimal(1).scaleb(-PLACES_MAX)
_INCOME: tuple[CashKind, ...] = ("dividend", "interest")
_CHARGES: tuple[CashKind, ...] = ("fee", "borrow", "tax")


@dataclass(slots=True)
class Account:
    """One currency of a portfolio, exact; see schemas.books.CurrencyLine.

    pending: (when it settles, ns; amount) of money that is booked and has not changed hands, one
    for each time, in order.
    """

    cash: Decimal = ZERO
    paid_in: Decimal = ZERO
    realised: Decimal = ZERO
    income: Decimal = ZERO
    charges: Decimal = ZERO
    exchanged: Decimal = ZERO
    corrected: Decimal = ZERO
    pending: list[tuple[int, Decimal]] = field(default_factory=list)

    def settled(self, at: int) -> Decimal:
        """The cash that has changed hands by then."""
        return EXACT.subtract(self.cash, _sum(amount for when, amount in self.pending if when > at))

    def pay(self, amount: Decimal, *, at: int, settles_at: int | None = None) -> None:
        """Book money, in positive, out negative; what has settled by now is not kept apart."""
        self.cash = EXACT.add(self.cash, amount)
        if self.pending and self.pending[0][0] <= at:
            self.pending = [one for one in self.pending if one[0] > at]
        if settles_at is not None and settles_at > at and amount:
            place = bisect_left(self.pending, settles_at, key=lambda one: one[0])
            if place < len(self.pending) and self.pending[place][0] == settles_at:
                more = EXACT.add(self.pending[place][1], amount)
                self.pending[place] = (settles_at, more)
            else:
                self.pending.insert(place, (settles_at, amount))


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def cut(amount: Decimal) -> Decimal:
    """To as many decimals as an event can spell, towards zero."""
    return amount.quantize(PLACES, rounding=ROUND_DOWN, context=EXACT)


def exact(number: float) -> Decimal:
    """The decimal that a float's shortest spelling says."""
    return Decimal(repr(number))


def _in_own(amount: Decimal, rate: float | None) -> Decimal:
    """Money in the portfolio's own currency; nothing where no rate is known."""
    if rate == 1.0:
        return amount
    return ZERO if rate is None else cut(EXACT.multiply(amount, exact(rate)))


def book_fill(
    portfolio: Portfolio, fill: Fill, *, currency: str, rate: float | None, at: int, done: bool
) -> None:
    """Move cash and position by one execution. Shorts are negative quantities.

    currency: the instrument's; rate: one of it in the portfolio's own. at: the engine's clock.
    done: the trade it serves is finished.
    """
    worth = EXACT.multiply(fill.quantity, fill.price)
    account = portfolio.account(currency)
    account.pay(EXACT.minus(EXACT.add(worth, fill.fee)), at=at, settles_at=fill.settles_at)
    account.charges = EXACT.add(account.charges, fill.fee)
    gained = _change(portfolio, fill.instrument, fill.quantity, fill.price)
    account.realised = EXACT.add(account.realised, gained)
    portfolio.traded = EXACT.add(portfolio.traded, _in_own(worth.copy_abs(), rate))
    portfolio.fees = EXACT.add(portfolio.fees, _in_own(fill.fee, rate))
    portfolio.fills += 1
    _use_trade(portfolio, fill, done=done)


def _change(portfolio: Portfolio, instrument: str, quantity: Decimal, price: Decimal) -> Decimal:
    """Units come or go at a price; returns what that realised against their average cost."""
    held = portfolio.positions.get(instrument, ZERO)
    cost = portfolio.cost.get(instrument, ZERO)
    closed, taken = ZERO, ZERO
    if held and held.is_signed() != quantity.is_signed():
        closed = quantity if quantity.copy_abs() <= held.copy_abs() else EXACT.minus(held)
        taken = _share(cost, EXACT.minus(closed), held)
    opened = EXACT.multiply(EXACT.subtract(quantity, closed), price)
    cost = EXACT.add(EXACT.subtract(cost, taken), opened)
    _hold(portfolio, instrument, EXACT.add(held, quantity), cost)
    return EXACT.subtract(EXACT.minus(EXACT.multiply(closed, price)), taken) if closed else ZERO


def _share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The cost of a part of what is held; of all of it, all."""
    return cost if part == whole else cut(EXACT.divide(EXACT.multiply(cost, part), whole))


def _hold(portfolio: Portfolio, instrument: str, quantity: Decimal, cost: Decimal) -> Decimal:
    """Hold so much at that cost from now on; returns the cost of nothing, which is a loss."""
    if quantity:
        portfolio.positions[instrument] = quantity
        portfolio.cost[instrument] = cost
        return ZERO
    portfolio.positions.pop(instrument, None)
    portfolio.cost.pop(instrument, None)
    return cost


def _use_trade(portfolio: Portfolio, fill: Fill, *, done: bool) -> None:
    """What the fill leaves of the trade it serves, if that is open.

    A fill beyond what was decided, or against it, leaves nothing.
    """
    trade = portfolio.open_trades.get(fill.trade_id) if fill.trade_id is not None else None
    if trade is None or trade.instrument != fill.instrument:
        return
    left = EXACT.subtract(trade.quantity, fill.quantity)
    same_side = left.is_signed() == trade.quantity.is_signed()
    if done or not left or not same_side or left.copy_abs() > trade.quantity.copy_abs():
        del portfolio.open_trades[trade.trade_id]
    else:
        trade.quantity = left


def book_cash(portfolio: Portfolio, event: CashMoved, *, rate: float | None, at: int) -> None:
    """Money in or out, by its kind. rate: one of its currency in the portfolio's own."""
    account = portfolio.account(event.currency)
    account.pay(event.amount, at=at)
    if event.kind in _INCOME:
        account.income = EXACT.add(account.income, event.amount)
    elif event.kind in _CHARGES:
        account.charges = EXACT.subtract(account.charges, event.amount)
    elif event.kind == "exchange":
        account.exchanged = EXACT.add(account.exchanged, event.amount)
    else:
        account.paid_in = EXACT.add(account.paid_in, event.amount)
        portfolio.put_in(_in_own(event.amount, rate))


def book_redenomination(
    portfolio: Portfolio, instrument: str, *, before: str, currency: str, rate: float | None
) -> None:
    """An instrument is in another currency from now on: its cost moves, as if it were exchanged.

    rate: units of the new currency for one of the one before; without one it cost nothing there.
    """
    cost = portfolio.cost.get(instrument)
    if cost is None:
        return
    moved = ZERO if rate is None else cut(EXACT.multiply(cost, exact(rate)))
    left, entered = portfolio.account(before), portfolio.account(currency)
    left.exchanged = EXACT.subtract(left.exchanged, cost)
    entered.exchanged = EXACT.add(entered.exchanged, moved)
    portfolio.cost[instrument] = moved


def book_change(
    portfolio: Portfolio, event: HoldingChanged, *, into_currency: str, at: int
) -> None:
    """What a corporate action makes of a holding; money of a redemption is its proceeds.

    into_currency: of what is received beside it.
    """
    account = portfolio.account(event.currency)
    if event.cash:
        account.pay(event.cash, at=at, settles_at=event.pays_at)
    cost = portfolio.cost.get(event.instrument, ZERO)
    if event.kind == "dividend":
        account.income = EXACT.add(account.income, event.cash)
        return
    if event.kind == "redemption":
        account.realised = EXACT.add(account.realised, event.cash)
    lost = _hold(
        portfolio, event.instrument, event.quantity, EXACT.subtract(cost, event.basis_moved)
    )
    account.realised = EXACT.subtract(account.realised, lost)
    if event.into is not None and event.into_quantity:
        gained = _receive(portfolio, event.into, event.into_quantity, event.basis_moved)
        other = portfolio.account(into_currency)
        other.realised = EXACT.add(other.realised, gained)


def _receive(portfolio: Portfolio, instrument: str, units: Decimal, cost: Decimal) -> Decimal:
    """Units come, or go where they are owed, that cost so much together; returns what it realised.

    What was held the other way is closed with its part of that cost.
    """
    held = portfolio.positions.get(instrument, ZERO)
    known = portfolio.cost.get(instrument, ZERO)
    closed, part, taken = ZERO, ZERO, ZERO
    if held and held.is_signed() != units.is_signed():
        closed = units if units.copy_abs() <= held.copy_abs() else EXACT.minus(held)
        part, taken = _share(cost, closed, units), _share(known, EXACT.minus(closed), held)
    left = EXACT.add(EXACT.subtract(known, taken), EXACT.subtract(cost, part))
    lost = _hold(portfolio, instrument, EXACT.add(held, units), left)
    return EXACT.minus(EXACT.add(EXACT.add(part, taken), lost))


def book_correction(
    portfolio: Portfolio, event: ReconciliationDiffered, *, currency: str, at: int
) -> None:
    """Believe the custodian: the difference is booked, units at the price that was said."""
    more = EXACT.subtract(event.reported, event.folded)
    account = portfolio.account(currency)
    if event.instrument is None:
        account.pay(more, at=at)
        account.corrected = EXACT.add(account.corrected, more)
        return
    price = event.price or ZERO
    gained = _change(portfolio, event.instrument, more, price)
    account.realised = EXACT.add(account.realised, gained)
    account.corrected = EXACT.add(account.corrected, EXACT.multiply(more, price))
