"""Booked: a decision is split over the strategies it came from, and told.

Place in the flow: called by `decide` once the decision stands; `virtual` then does what is said.
Reads the state, changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coordinator.core.allocate import Situation
from coordinator.core.book import money
from coordinator.core.conflicts import Conflict
from coordinator.core.netting import credits_of, net, saved_cost
from coordinator.core.ports import Allocation, Floats
from coordinator.core.sleeves import split
from coordinator.core.state import Portfolio, State
from coordinator.core.virtual import GRID, VirtualBooks, Worth, to_come, worth_of
from schemas.decisions import AllocationDecided, ConflictKind
from schemas.sleeves import SleeveLine, SleevesBooked

__all__ = ["Sized", "budgets_kept", "sized", "sleeves_booked"]

UNITS_MAX = 1e17
"""More than this of an instrument no event can spell: it is the house's."""


@dataclass(frozen=True, slots=True)
class Sized:
    """How large each strategy of a decision is. sizes: (s,), in the order of the sleeves' names."""

    sizes: Floats
    by: Literal["solver", "split"]

    @property
    def enforced(self) -> bool:
        """Whether budgets were part of what was solved."""
        return self.by == "solver"


def sized(found: Situation, answer: Allocation) -> Sized:
    """The answer's sizes where it has them, else those fitted to its weights."""
    sleeves, problem = found.sleeves, found.problem
    if sleeves is None:
        return Sized(np.zeros(0), "split")
    if problem.sleeves is not None and len(answer.sizes) == len(sleeves.names):
        return Sized(np.clip(answer.sizes, 0.0, sleeves.size_max), "solver")
    weights = problem.start + answer.trades
    return Sized(split(sleeves, weights, problem.covariance), "split")


def budgets_kept(found: Situation, sizes: Sized, conflict: Conflict) -> list[str]:
    """How much of its budget each strategy of a conflict was given, in words, where it is kept."""
    sleeves = found.sleeves
    if conflict.kind is not ConflictKind.BUDGET or sleeves is None or not sizes.enforced:
        return []
    views = [found.rows.views[row] for row in conflict.rows]
    about = {f"{view.source}/{view.strategy}" for view in views}
    said = []
    for at, name in enumerate(sleeves.names):
        most = float(sleeves.size_max[at])
        if name in about and math.isfinite(most):
            size, each = float(sizes.sizes[at]), float(np.abs(sleeves.targets[:, at]).sum())
            said.append(
                f"budget of {name} kept: volatility {size:.3%} of at most {most:.3%} a session, "
                f"holding {size * each:.2%} of at most {most * each:.2%} of NAV"
            )
    return said


def sleeves_booked(
    state: State,
    portfolio: Portfolio,
    found: Situation,
    sizes: Sized,
    decided: AllocationDecided,
) -> SleevesBooked | None:
    """What the decision means to its strategies, and to those that had a book; None without any."""
    if state.parameters.sleeves == "off":
        return None
    virtual = state.virtual.get(portfolio.name) or VirtualBooks()
    names, wanted = _wanted(found, sizes, virtual)
    if not names:
        return None
    instruments, unit = found.problem.instruments, found.unit
    before = to_come(virtual, portfolio, names, instruments)
    trades = np.round(wanted / unit - before, GRID)
    trades = np.clip(trades, -UNITS_MAX, UNITS_MAX) + 0.0
    traded = {trade.instrument: float(trade.quantity) for trade in decided.trades}
    sent = np.array([traded.get(name, 0.0) for name in instruments])
    weights, netted = trades * unit, net(trades * unit, sent * unit)
    saved = saved_cost(
        weights,
        linear=(found.problem.cost_buy + found.problem.cost_sell) / 2.0,
        impact=found.aims.expenses.impact,
    )
    moved = np.flatnonzero((trades != 0.0).any(axis=0))
    columns = (
        *(np.abs(one).sum(axis=1) for one in (weights, *netted)),
        credits_of(netted.crossed, saved),
    )
    after = found.problem.start + sent * unit
    return SleevesBooked(
        decided_at=state.clock,
        portfolio=portfolio.name,
        decision_id=decided.decision_id,
        nav=decided.nav,
        sized_by=sizes.by,
        instruments=tuple(instruments[at] for at in moved.tolist()),
        prices=tuple(found.prices[moved].tolist()),
        strategies=_lines(
            found,
            names,
            sizes,
            columns,
            worths=worth_of(virtual, names, state.market, portfolio.currency),
            units=trades[:, moved].tolist(),
        ),
        house_weight=float(np.abs(after - (before + trades).sum(axis=0) * unit).sum()),
        saved=float(saved.sum()),
    )


def _wanted(
    found: Situation, sizes: Sized, virtual: VirtualBooks
) -> tuple[tuple[str, ...], Floats]:
    """Names of the strategies, sorted, and (s, n) the weights that each is to hold.

    One that has a book and no view is to hold nothing.
    """
    sleeves, n = found.sleeves, len(found.problem.instruments)
    own = {} if sleeves is None else {name: at for at, name in enumerate(sleeves.names)}
    waiting = {name for shares in virtual.shares.values() for name in shares}
    held = {name for name, book in virtual.books.items() if book.units or name in waiting}
    names = tuple(sorted(own.keys() | held))
    wanted = np.zeros((len(names), n))
    if sleeves is not None:
        at = [names.index(name) for name in sleeves.names]
        wanted[at] = (sleeves.targets * sizes.sizes).T
    return names, wanted


def _lines(
    found: Situation,
    names: tuple[str, ...],
    sizes: Sized,
    columns: tuple[Floats, ...],
    *,
    worths: list[Worth],
    units: list[list[float]],
) -> tuple[SleeveLine, ...]:
    """One of each strategy. columns: gross, crossed, housed, sent and credit."""
    sleeves = found.sleeves
    own = {} if sleeves is None else {name: at for at, name in enumerate(sleeves.names)}
    told = zip(*((column + 0.0).tolist() for column in columns), strict=True)
    lines = []
    for name, worth, traded, parts in zip(names, worths, units, told, strict=True):
        at = own.get(name)
        gross, crossed, housed, sent, credit = parts
        lines.append(
            SleeveLine(
                strategy=name,
                size=0.0 if at is None else float(sizes.sizes[at]),
                wished=0.0 if at is None or sleeves is None else float(sleeves.wished[at]),
                size_max=None if at is None or sleeves is None else _bound(sleeves.size_max[at]),
                gross=gross,
                crossed=crossed,
                housed=housed,
                sent=sent,
                credit=credit,
                weight_before=worth.gross / found.worth.nav,
                value_before=money(worth.value),
                units=tuple(traded),
            )
        )
    return tuple(lines)


def _bound(size: float) -> float | None:
    """None where no budget is stated."""
    return float(size) if math.isfinite(size) else None
