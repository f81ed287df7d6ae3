"""The lines of a decision: what it says of each instrument, signal, limit and conflict.

Place in the flow: called by `decide` with the situation and the answer, column by column, as a
decision has hundreds of lines. Reads, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.core.accounts import EXACT, ZERO
from coordinator.core.allocate import Situation
from coordinator.core.assemble import is_sound, lines_of
from coordinator.core.balance import balances
from coordinator.core.board import sums
from coordinator.core.book import units_to_come
from coordinator.core.booked import Sized, budgets_kept
from coordinator.core.bounding import multiples_of
from coordinator.core.conflicts import Conflict
from coordinator.core.ports import Allocation, Floats
from coordinator.core.state import Portfolio, State
from schemas.decisions import (
    ConflictLine,
    ConflictsDetected,
    SignalUse,
    Target,
    Trade,
    Verdict,
)

__all__ = [
    "BREACH_MIN",
    "WEIGHT_ZERO",
    "Lines",
    "conflicts_said",
    "followed",
    "instrument_lines",
    "signal_uses",
]

_UNITS = Decimal("0.00000001")
WEIGHT_ZERO = 1e-9
"""Weights closer to 0 than this hold nothing."""
BREACH_MIN = 1e-7
"""A limit broken by less is drift, fraction of NAV."""
_VERDICTS: tuple[Verdict, ...] = ("followed", "outvoted", "limited")
_DIGITS = 30
"""As `schemas.base.Holdings`."""
_RESOLUTION_MAX = 2000


@dataclass(frozen=True, slots=True)
class Lines:
    """What a decision says of its instruments."""

    targets: tuple[Target, ...]
    trades: tuple[Trade, ...]


def _exact(quantity: Decimal) -> Decimal:
    """As the schemas spell it: no trailing zeros, no negative zero."""
    return quantity.normalize(EXACT) if quantity else ZERO


def instrument_lines(
    state: State,
    portfolio: Portfolio,
    found: Situation,
    answer: Allocation,
    *,
    cost: Floats,
    decision_id: str,
) -> Lines:
    """Where the portfolio goes in each instrument, and the orders that take it there.

    cost: (n,) of each trade, fraction of NAV.
    """
    problem, start = found.problem, found.problem.start
    names, held = problem.instruments, units_to_come(portfolio)
    quantities = _quantities(state, portfolio, found, answer, held)
    goals = [
        _exact(EXACT.add(held[name], quantity) if name in held else quantity)
        for name, quantity in zip(names, quantities, strict=True)
    ]
    columns = (
        start,
        start + answer.continuous,
        start + answer.trades,
        found.combination.mu,
        found.prices,
        answer.trades,
        cost,
        np.minimum(_urgency(found, answer), 1.0),
    )
    before, wanted, after, mu, prices, trades, costs, urgency = (
        (column + 0.0).tolist() for column in columns
    )
    balanced = balances(problem, answer, spoken=_spoken(found))
    sound = (
        is_sound(*columns)
        and bool((found.prices > 0.0).all())
        and all(goal.adjusted() < _DIGITS for goal in (*goals, *quantities))
    )
    targets = _targets(zip(names, before, wanted, after, goals, mu, prices, balanced, strict=True))
    ids = (f"{decision_id}:{name}" for name in names)
    orders = _orders(zip(ids, names, quantities, prices, trades, costs, urgency, strict=True))
    return Lines(lines_of(Target, targets, sound=sound), lines_of(Trade, orders, sound=sound))


def _targets(rows: Iterable[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for name, before, wanted, after, goal, expected, price, balance in rows:
        yield {
            "instrument": name,
            "weight_before": before,
            "weight_wanted": wanted,
            "weight": after,
            "quantity": goal,
            "expected_return": expected,
            "price": price,
            "forces": balance.forces,
            "residual": balance.residual,
        }


def _spoken(found: Situation) -> Floats:
    """(n,) not 0 where somebody speaks of it."""
    rows, n = found.rows, len(found.problem.instruments)
    if rows.exposure is None:
        return np.bincount(rows.picks, minlength=n).astype(np.float64)
    spoken: Floats = np.abs(rows.exposure).sum(axis=0)
    return spoken


def _orders(rows: Iterable[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Those that trade anything."""
    for trade_id, name, quantity, price, weight, cost, urgency in rows:
        if quantity:
            yield {
                "trade_id": trade_id,
                "instrument": name,
                "quantity": quantity,
                "price": price,
                "weight": weight,
                "cost": cost,
                "urgency": urgency,
            }


def _quantities(
    state: State,
    portfolio: Portfolio,
    found: Situation,
    answer: Allocation,
    held: dict[str, Decimal],
) -> list[Decimal]:
    """(n,) signed units to trade: whole lots, exact full exits, or eight decimals.

    held: units once every open trade has filled.
    """
    multiples = multiples_of(portfolio.mandate, found.problem.instruments)
    after = np.abs(found.problem.start + answer.trades)
    gone = (after < WEIGHT_ZERO * 1e-3).tolist()
    unit = found.unit.tolist()
    units = []
    for i, (name, lots) in enumerate(
        zip(found.problem.instruments, answer.lots.tolist(), strict=True)
    ):
        if not lots:
            units.append(ZERO)
            continue
        lot = state.market.instruments[name].lot
        if gone[i]:
            amount = EXACT.minus(held.get(name, ZERO))
        elif lot:
            amount = EXACT.multiply(Decimal(round(lots) * multiples[i]), lot)
        else:
            amount = EXACT.quantize(Decimal(repr(lots / unit[i])), _UNITS)
        units.append(_exact(amount))
    return units


def _urgency(found: Situation, answer: Allocation) -> Floats:
    """(n,) share of each instrument's opinions that arrives within a session; see schemas."""
    n, rows = len(found.problem.instruments), found.rows
    if answer.violation_before > BREACH_MIN:
        return np.ones(n)
    if rows.exposure is None:
        own = np.abs(found.combination.own)
        urgency = sums(rows.pick, own * rows.soon, count=n)
        weight = sums(rows.pick, own, count=n)
    else:  # the legs of a pair move with it
        moved = np.abs(found.combination.influence) * (rows.exposure[rows.slot] != 0.0).T
        urgency, weight = moved @ rows.soon, moved.sum(axis=1)
    return np.divide(urgency, weight, out=np.zeros_like(urgency), where=weight > 0)


def signal_uses(found: Situation, answer: Allocation, after: Floats) -> tuple[SignalUse, ...]:
    """What each signal did: its utility is its part of every mu times the weights.

    after: (n,) weights once everything has filled.
    """
    combination, rows = found.combination, found.rows
    columns = (
        rows.score,
        rows.skill,
        combination.q * rows.skill**2,
        combination.own,
        combination.utility(after),
        found.priorities.whole,
    )
    lines = zip(
        rows.references,
        rows.views,
        _verdicts(found, answer, after),
        *((column + 0.0).tolist() for column in columns),
        strict=True,
    )
    made = (
        {
            "signal": reference,
            "strategy": view.strategy,
            "instrument": view.instrument,
            "verdict": verdict,
            "score": score,
            "skill": skill,
            "view": expected,
            "own": own,
            "utility": utility,
            "priority": min(max(priority, 0.0), 1.0),
        }
        for reference, view, verdict, score, skill, expected, own, utility, priority in lines
    )
    return lines_of(SignalUse, made, sound=is_sound(*columns))


def followed(found: Situation, answer: Allocation, after: Floats) -> NDArray[np.bool_]:
    """(rows,) whose wishes are: see schemas.decisions.SignalUse. after: (n,) weights then."""
    rows, wish = found.rows, found.combination.wish
    pick, held = rows.pick, after - _prior_weights(found)
    trades, weights = rows.along(answer.trades)[rows.slot], rows.along(held)[rows.slot]
    moved = np.where(np.abs(trades) > WEIGHT_ZERO, trades, weights)
    still = np.abs(moved) <= WEIGHT_ZERO
    # Where nothing may be short, a sale of what is not held is met; of a pair it is not all.
    alone = np.ones(len(pick), dtype=bool)
    if rows.exposure is not None:
        alone = ((rows.exposure != 0.0).sum(axis=1) == 1)[rows.slot]
    moved = np.where(still & alone & (found.problem.position_min[pick] >= 0), -1.0, moved)
    found_so: NDArray[np.bool_] = (wish * moved > 0) & (np.abs(moved) > WEIGHT_ZERO)
    return found_so


def _verdicts(found: Situation, answer: Allocation, after: Floats) -> list[Verdict]:
    """(rows,) followed, outvoted or limited: see schemas.decisions.SignalUse."""
    rows, combination = found.rows, found.combination
    outvoted = combination.wish * rows.along(combination.mu - combination.prior)[rows.slot] <= 0
    which = np.where(followed(found, answer, after), 0, np.where(outvoted, 1, 2))
    return [_VERDICTS[i] for i in which.tolist()]


def _prior_weights(found: Situation) -> Floats:
    """(n,) what is held where nobody says anything: the benchmark where it is believed in."""
    benchmark = found.aims.benchmark
    if benchmark is None or not found.combination.prior.any():
        return np.zeros(len(found.problem.instruments))
    return benchmark


def conflicts_said(
    found: Situation,
    answer: Allocation,
    conflicts: Sequence[Conflict],
    *,
    sizes: Sized,
    at: int,
    portfolio: str,
    decision_id: str,
) -> ConflictsDetected:
    """The conflicts of a round as one event, with what the decision made of each."""
    names, start = found.problem.instruments, found.problem.start
    mu, before = found.combination.mu.tolist(), start.tolist()
    after = (start + answer.trades).tolist()
    told = {
        pick: f"{names[pick]}: together {mu[pick]:+.3%}, "
        f"held {before[pick]:.2%} -> {after[pick]:.2%}"
        for pick in sorted({pick for conflict in conflicts for pick in conflict.picks})
    }
    rows = (
        {
            "kind": conflict.kind,
            "instruments": tuple([names[pick] for pick in conflict.picks]),
            "signals": conflict.signals,
            "severity": min(max(conflict.severity, 0.0), 1.0),
            "resolution": "; ".join(
                [*budgets_kept(found, sizes, conflict), *(told[pick] for pick in conflict.picks)]
            )[:_RESOLUTION_MAX],
        }
        for conflict in conflicts
    )
    sound = is_sound(np.array([conflict.severity for conflict in conflicts]))
    event = {
        "decided_at": at,
        "portfolio": portfolio,
        "decision_id": decision_id,
        "conflicts": lines_of(ConflictLine, rows, sound=sound),
    }
    return lines_of(ConflictsDetected, (event,), sound=sound)[0]
