"""Impact: what trades would make of a portfolio at a moment of its log, or a decision did.

Place in the flow: asked by `coordinator impact` with a state that was folded, never by a decision.
Nothing is recorded: what the engine would decide is solved, shown and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

import numpy as np

from coordinator.bootstrap import allocator, risk_model
from coordinator.core.accounts import EXACT, ZERO
from coordinator.core.allocate import Situation, situation
from coordinator.core.book import units_to_come, value
from coordinator.core.bounding import multiples_of
from coordinator.core.lines import instrument_lines
from coordinator.core.ports import LogReader
from coordinator.core.state import Portfolio, State
from coordinator.quality.explain import Explanation
from coordinator.quality.impact import Analysis, Trades, analyse
from replay.broken import broken_limits
from replay.errors import CannotMeasure
from replay.problems import situation_at

__all__ = ["Order", "asked", "of_decision", "would_decide"]

_UNITS = Decimal("0.00000001")
_NEAR = 5
NAMES_SHOWN = 10
_CLOSE = 1e-9
"""Weights that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class Order:
    """A trade that somebody asks about. amount: units, or a fraction of NAV where `is_weight`.

    is_target: it is what shall be held once everything has filled, not what is traded.
    """

    instrument: str
    amount: Decimal
    is_weight: bool
    is_target: bool


def asked(state: State, portfolio: Portfolio, orders: Sequence[Order]) -> Analysis:
    """What the orders would make of the portfolio. Raises CannotMeasure."""
    _refuse_unknown(state, portfolio, orders)
    names = [order.instrument for order in orders]
    found = _situation(state, portfolio, also=names)
    held = units_to_come(portfolio)
    quantities = [ZERO] * len(found.problem.instruments)
    remarks: list[str] = []
    for order in orders:
        i = found.problem.instruments.index(order.instrument)
        has = held.get(order.instrument, ZERO)
        lot = _lot(state, portfolio, order.instrument)
        quantity = _quantity(order, found, i, has=has, lot=lot)
        quantities[i] = quantity.normalize(EXACT) if quantity else ZERO
        remarks += _said_of(order, found, i, quantities[i], has=has, lot=lot)
    units = np.array([float(one) for one in quantities])
    trades = Trades(found.problem.start, units * found.unit, quantities)
    return analyse(
        state,
        portfolio,
        found,
        trades,
        question="trades",
        limits=broken_limits(found, trades.trades),
        remarks=(*remarks, *_stands(state, portfolio)),
    )


def would_decide(state: State, portfolio: Portfolio) -> Analysis:
    """What a round that closed now would decide. Raises CannotMeasure."""
    found = _situation(state, portfolio)
    problem = found.problem
    if not problem.instruments:
        message = (
            f"{portfolio.name!r} hears no signal and holds nothing: there is nothing to decide"
        )
        raise CannotMeasure(message)
    answer = allocator().allocate(problem)
    lines = instrument_lines(
        state,
        portfolio,
        found,
        answer,
        cost=np.zeros(len(problem.instruments)),
        decision_id=f"{portfolio.name}:{portfolio.rounds + 1}",
    )
    quantity = {one.instrument: one.quantity for one in lines.trades}
    quantities = [quantity.get(name, ZERO) for name in problem.instruments]
    return analyse(
        state,
        portfolio,
        found,
        Trades(problem.start, answer.trades, quantities),
        question="engine",
        limits=broken_limits(found, answer.trades),
        remarks=(f"rung {answer.rung}", *answer.remarks, *_stands(state, portfolio)),
    )


def of_decision(reader: LogReader, explained: Explanation) -> Analysis:
    """What a recorded decision made of its portfolio, from the state that it was made from.

    Raises what `situation_at` raises.
    """
    state, portfolio, found = situation_at(reader, explained.decision_id)
    trades = _decided(found, explained)
    return analyse(
        state,
        portfolio,
        found,
        trades,
        question="decision",
        limits=broken_limits(found, trades.trades),
        decision_id=explained.decision_id,
        remarks=(f"rung {explained.solver.rung.value}", *explained.solver.remarks),
    )


def _decided(found: Situation, explained: Explanation) -> Trades:
    """Weights and units as they were recorded; what is not told of is not held."""
    changes = {one.instrument: one for one in explained.changes}
    told = [changes.get(name) for name in found.problem.instruments]
    start = np.array([0.0 if one is None else one.before for one in told])
    after = np.array([0.0 if one is None or one.trade is None else one.after for one in told])
    quantities = [ZERO if one is None or one.trade is None else one.trade for one in told]
    traded = np.array([bool(one) for one in quantities])
    return Trades(start, np.where(traded, after - start, 0.0), quantities)


def _situation(state: State, portfolio: Portfolio, *, also: Iterable[str] = ()) -> Situation:
    found = situation(state, portfolio, risk_model(), also=also)
    if found is not None:
        return found
    unpriced = value(portfolio, state.market).unpriced
    if unpriced:
        more = f" and {len(unpriced) - NAMES_SHOWN} more" if len(unpriced) > NAMES_SHOWN else ""
        named = ", ".join(unpriced[:NAMES_SHOWN]) + more
        message = f"{portfolio.name!r} holds what has no price or no exchange rate: {named}"
    else:
        message = f"{portfolio.name!r} is worth nothing: no share of it can be measured"
    raise CannotMeasure(message)


def _refuse_unknown(state: State, portfolio: Portfolio, orders: Sequence[Order]) -> None:
    """Every instrument is listed, has a price and a rate, and is asked about once."""
    market, seen = state.market, []
    for order in orders:
        name = order.instrument
        known = market.listed(name)
        if known is None:
            listed = [one for one in market.instruments if market.listed(one) is not None]
            near = get_close_matches(name, listed, n=_NEAR, cutoff=0.6)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            message = f"no instrument {name!r} is listed at that moment{hint}"
        elif name in seen:
            message = f"{name!r} is asked about twice: give one --trade or --target of it"
        elif market.price_of(name) is None:
            message = f"{name!r} has no price at that moment"
        elif market.rate(known.currency, portfolio.currency) is None:
            message = f"no exchange rate leads from {known.currency} to {portfolio.currency}"
        else:
            seen.append(name)
            continue
        raise CannotMeasure(message)


def _lot(state: State, portfolio: Portfolio, name: str) -> Decimal:
    """What a trade is a whole multiple of, units; 0: any fraction."""
    (multiple,) = multiples_of(portfolio.mandate, [name])
    return EXACT.multiply(state.market.instruments[name].lot, Decimal(multiple))


def _quantity(order: Order, found: Situation, i: int, *, has: Decimal, lot: Decimal) -> Decimal:
    """Units to trade; of a weight the whole lots that lie within it, of one of zero all."""
    if order.is_target and not order.amount:
        return EXACT.minus(has)
    if not order.is_weight:
        return EXACT.subtract(order.amount, has) if order.is_target else order.amount
    wanted = float(order.amount) - (float(found.problem.start[i]) if order.is_target else 0.0)
    step = lot or _UNITS
    count = round(wanted / float(found.unit[i]) / float(step), 6)
    return EXACT.multiply(Decimal(int(count)), step)


def _said_of(
    order: Order, found: Situation, i: int, quantity: Decimal, *, has: Decimal, lot: Decimal
) -> Iterator[str]:
    """Why no such trade would be decided, or not all of it."""
    name, exits = order.instrument, bool(quantity) and quantity == EXACT.minus(has)
    if not quantity:
        yield f"{name}: nothing is traded: {_why_nothing(order, has=has, lot=lot)}"
        return
    weight = float(quantity) * float(found.unit[i])
    if order.is_weight and not exits:
        start = float(found.problem.start[i])
        reached = weight + start if order.is_target else weight
        if abs(reached - float(order.amount)) > _CLOSE:
            yield f"{name}: {order.amount:.4%} is {reached:.4%} in whole lots"
    elif lot and not exits and EXACT.remainder(quantity, lot):
        yield f"{name}: {quantity:+,f} is no whole multiple of {lot:f}, which it is traded in"
    if not exits and abs(weight) < found.problem.trade_min:
        yield f"{name}: {weight:+.4%} is less than trade_min, {found.problem.trade_min:.4%}"


def _why_nothing(order: Order, *, has: Decimal, lot: Decimal) -> str:
    if order.is_target and not order.amount:
        return "nothing of it is held"
    if not order.is_weight:
        return f"{has:f} are held already, open trades included"
    amount = f"{order.amount:.4%}"
    return (
        f"{amount} is less than a lot of {lot or _UNITS:f} away"
        if order.is_target
        else (f"{amount} is less than a lot of {lot or _UNITS:f}")
    )


def _stands(state: State, portfolio: Portfolio) -> Iterator[str]:
    if portfolio.closed:
        yield "the portfolio is closed: it decides nothing any more"
    elif portfolio.paused or state.paused:
        yield "the portfolio is paused: it decides nothing until it is resumed"
