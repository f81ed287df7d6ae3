"""The convex model: terms and limits put together, compiled once for each size.

Place in the flow: `solve` loads numbers into a model and solves it. A model holds structure and
parameters only; every parameter is overwritten before each solve and each solve is cold, so an
answer never depends on earlier ones. All functions here are in paper symbols: z trades, w0 present
weights, Sigma covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem
from coordinator.solver.atoms import sum_squares, total
from coordinator.solver.further import Counts
from coordinator.solver.limits import (
    cash_limit,
    exposure_of,
    gross_limit,
    position_limit,
    trade_limit,
    turnover_limit,
)
from coordinator.solver.model_rows import Rows, build_rows
from coordinator.solver.model_terms import (
    Shape,
    TermParameters,
    Terms,
    build_terms,
    impact_in_cash,
)
from coordinator.solver.room import Room
from coordinator.solver.terms import expected_return, linear_cost
from coordinator.solver.violations import Violations
from coordinator.solver.worth import NO_SIZES, marginal_value, rates_of, variance_weight

__all__ = [
    "EVENNESS",
    "Model",
    "Parameters",
    "Restoration",
    "base_of",
    "build_model",
    "build_restoration",
    "scale_of",
]

# Splits the least total violation evenly where several splits are equally small, so that it is
# unique. What it may cost is at most this times the square of the least total: below the ease of
# 5e-7 that MATH allows (stage B) wherever the total is below 0.7 of NAV.
EVENNESS = 1e-6
_NO_ROWS = Counts()
_PLAIN = Shape()


@dataclass(frozen=True, slots=True)
class Parameters:
    """The numbers of a model; vectors are (n,). Names as in `Room` and in the terms' docstrings."""

    mu: cp.Parameter
    cost_buy: cp.Parameter
    cost_sell: cp.Parameter
    price_buy: cp.Parameter
    price_sell: cp.Parameter
    up: cp.Parameter
    down: cp.Parameter
    trade: cp.Parameter
    highest: cp.Parameter
    lowest: cp.Parameter
    gross: cp.Parameter
    cash: cp.Parameter
    turnover: cp.Parameter

    def load_room(self, problem: AllocationProblem, room: Room) -> None:
        """Set all that the limits read."""
        self.price_buy.value = 1.0 + problem.cost_buy
        self.price_sell.value = 1.0 - problem.cost_sell
        self.up.value, self.down.value, self.trade.value = room.up, room.down, room.trade
        self.highest.value, self.lowest.value = room.highest, room.lowest
        self.gross.value, self.cash.value = room.gross, room.cash
        self.turnover.value = room.turnover

    def load_objective(self, problem: AllocationProblem, scale: float) -> None:
        """Set all that the linear terms read, times scale."""
        rates = rates_of(problem)
        self.mu.value = scale * problem.mu
        self.cost_buy.value = scale * rates.buy
        self.cost_sell.value = scale * rates.sell


@dataclass(frozen=True, slots=True)
class Model:
    """The allocation of one size: maximise the terms inside the limits.

    gross, cash, turnover: the constraints whose duals are the prices of those sums. rows: the
    further limits, None where there are none. terms: what is charged.
    """

    problem: cp.Problem
    parameters: Parameters
    terms: Terms
    trades: cp.Variable
    gross: cp.Constraint
    cash: cp.Constraint
    turnover: cp.Constraint
    rows: Rows | None


@dataclass(frozen=True, slots=True)
class Restoration:
    """The least violation of one size (phase 1). caps and slacks: over, under, gross, cash.

    terms: of what impact takes of cash.
    """

    problem: cp.Problem
    parameters: Parameters
    terms: TermParameters
    caps: tuple[cp.Parameter, ...]
    slacks: tuple[cp.Variable, ...]
    trades: cp.Variable

    def load(self, problem: AllocationProblem, room: Room, before: Violations) -> None:
        """Set every number. No slack may exceed that of not trading: no breach is made worse."""
        self.parameters.load_room(problem, room)
        self.terms.load(problem, room, 1.0)
        values = (before.over, before.under, before.gross, before.cash)
        for cap, value in zip(self.caps, values, strict=True):
            cap.value = value


def scale_of(problem: AllocationProblem) -> float:
    """Power of two that brings the objective's largest coefficient to about 1.

    A power of two, so that scaling and unscaling are exact. 1.0 for an objective of zeros.
    """
    sleeves, rates = problem.sleeves, rates_of(problem)
    nothing = NO_SIZES if sleeves is None else np.zeros(len(sleeves.names))
    slope = marginal_value(problem, np.zeros_like(problem.mu), nothing)
    sizes = (
        np.max(np.abs(slope), initial=0.0),
        variance_weight(problem) * np.max(np.diag(problem.covariance), initial=0.0),
        np.max(rates.buy, initial=0.0),
        np.max(rates.sell, initial=0.0),
    )
    largest = float(max(sizes))
    if not np.isfinite(largest) or largest <= 0.0:
        return 1.0
    return float(2.0 ** -np.clip(np.floor(np.log2(largest)), -60, 60))


def build_model(n: int, counts: Counts = _NO_ROWS, shape: Shape = _PLAIN) -> Model:
    """The model for n instruments, 1 or more, with its terms and so many rows of each kind."""
    given, z, buys, sells, splits = base_of(n)
    terms = build_terms(shape, z, buys, sells)
    exposure, exposures = exposure_of(z, given.highest, given.lowest)
    gross = gross_limit(exposure, given.gross)
    cash = cash_limit(
        buys, sells, given.price_buy, given.price_sell, given.cash, impact=terms.impact
    )
    turnover = turnover_limit(buys, sells, given.turnover)
    objective = (
        expected_return(z, given.mu)
        - terms.charge
        - linear_cost(buys, sells, given.cost_buy, given.cost_sell)
    )
    if shape.least_house:
        objective = -terms.charge
    rows = [
        *splits,
        *position_limit(z, given.up, given.down),
        *trade_limit(z, given.trade),
        *exposures,
        gross,
        cash,
        turnover,
        *terms.constraints,
    ]
    further = build_rows(counts, z, exposure) if any(counts) else None
    if further is not None:
        rows += further.constraints
    goal = cp.Problem(cp.Maximize(objective), rows)
    return Model(goal, given, terms, z, gross, cash, turnover, further)


def build_restoration(n: int, shape: Shape = _PLAIN) -> Restoration:
    """The phase-1 model for n instruments: the same limits with slacks, the least sum of them.

    shape: what takes cash besides linear costs. Where there are further limits, `least` takes its
    place.
    """
    given, z, buys, sells, splits = base_of(n)
    terms = TermParameters(shape)
    impact = impact_in_cash(terms, z, buys, sells)
    slacks = (cp.Variable(n), cp.Variable(n), cp.Variable(), cp.Variable())
    over, under, gross_slack, cash_slack = slacks
    caps = tuple(cp.Parameter(slack.shape, nonneg=True) for slack in slacks)
    exposure, exposures = exposure_of(z, given.highest, given.lowest)
    gross = gross_limit(exposure, given.gross, gross_slack)
    rows = [
        *splits,
        *position_limit(z, given.up, given.down, over, under),
        *trade_limit(z, given.trade),
        *exposures,
        gross,
        cash_limit(buys, sells, given.price_buy, given.price_sell, given.cash, cash_slack, impact),
        turnover_limit(buys, sells, given.turnover),
        *(slack >= 0 for slack in slacks),
        *(slack <= cap for slack, cap in zip(slacks, caps, strict=True)),
    ]
    goal = cp.Minimize(total(*slacks) + EVENNESS * sum_squares(*slacks))
    return Restoration(cp.Problem(goal, rows), given, terms, caps, slacks, z)


def base_of(
    n: int,
) -> tuple[Parameters, cp.Variable, cp.Expression, cp.Expression, list[cp.Constraint]]:
    """Parameters, trades, buys, sells and the rows that split trades into buys and sells.

    buys is at least the positive part of z and sells is buys - z: with a price on either, both are
    exact.
    """
    z = cp.Variable(n, name="trades")
    buys = cp.Variable(n, name="buys")
    return _parameters(n), z, buys, buys - z, [buys >= 0, buys >= z]


def _parameters(n: int) -> Parameters:
    def vector() -> cp.Parameter:
        return cp.Parameter(n)

    return Parameters(
        mu=vector(),
        cost_buy=vector(),
        cost_sell=vector(),
        price_buy=vector(),
        price_sell=vector(),
        up=vector(),
        down=vector(),
        trade=vector(),
        highest=vector(),
        lowest=vector(),
        gross=cp.Parameter(),
        cash=cp.Parameter(),
        turnover=cp.Parameter(),
    )
