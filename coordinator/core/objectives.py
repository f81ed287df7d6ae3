"""Objectives: what the objective counts beside expected return, risk and linear costs.

Place in the flow: part of `allocate`, when a portfolio's problem is put together; `decide` and
whoever solves a recorded problem again ask here what trades and holdings are expected to cost.
Reads the state, changes nothing. What is expected to be paid (`Expenses`) and what the objective
is charged with (`Charges`) are two things: a mode weighs the former. Sources: Boyd et al. 2017,
section 2 (costs of trading and holding); Almgren et al. 2005 and Toth et al. 2011 (the square-root
law).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.ports import NO_CHARGES, AllocationProblem, Charges, Floats
from coordinator.core.state import Portfolio, State
from coordinator.core.words import listed
from schemas.control import ModePreset, Parameters
from schemas.portfolios import RateOf

__all__ = [
    "Aims",
    "Expenses",
    "aims_of",
    "charged",
    "charges_of",
    "linear_cost",
    "traded_charge",
]

BPS = 1e-4
IMPACT_MOST = 1e3
"""No impact coefficient is larger: a millionth of NAV would cost all that it is worth."""
VOLUME_LEAST = 1e-18


@dataclass(frozen=True, slots=True)
class Expenses:
    """What trading and holding are expected to cost beside linear costs; None: nothing.

    impact: (n,) kappa2: a trade z costs kappa2 |z|^1.5, fraction of NAV. borrow, carry: (n,) per
    unit of weight held short, or held with its sign, over the horizon. unknown: instruments without
    a volume, sorted, on which no impact is reckoned.
    """

    impact: Floats | None = None
    borrow: Floats | None = None
    carry: Floats | None = None
    unknown: tuple[str, ...] = ()

    def of_trades(self, trades: Floats) -> Floats:
        """(n,) impact of each trade, fraction of NAV."""
        if self.impact is None:
            return np.zeros(len(trades))
        size = np.abs(trades)
        found: Floats = self.impact * size * np.sqrt(size)
        return found

    def of_holding(self, weights: Floats) -> float:
        """What holding that over the horizon costs; below 0 where more is received."""
        paid = 0.0
        if self.borrow is not None:
            paid += float(self.borrow @ np.maximum(-weights, 0.0))
        if self.carry is not None:
            paid += float(self.carry @ weights)
        return paid


@dataclass(frozen=True, slots=True)
class Aims:
    """What a decision weighs: its mode, what is expected to be paid, and what it is held against.

    benchmark: (n,) weights; None: cash. absent: instruments of the benchmark that the problem does
    not have, sorted. unrated: budgets of capital that no rate leads to, in words, sorted.
    """

    preset: ModePreset
    expenses: Expenses
    benchmark: Floats | None = None
    absent: tuple[str, ...] = ()
    unrated: tuple[str, ...] = ()

    def remarks(self) -> Iterator[str]:
        """What could not be reckoned with, in words."""
        if self.expenses.unknown:
            yield f"no impact is charged where no volume is known: {listed(self.expenses.unknown)}"
        if self.absent:
            yield f"of the benchmark, without a price and taken as cash: {listed(self.absent)}"
        if self.unrated:
            yield f"no exchange rate leads from capital of {listed(self.unrated)}: no bound"


def aims_of(
    state: State,
    portfolio: Portfolio,
    names: tuple[str, ...],
    covariance: Floats,
    *,
    horizon: float,
    unit: Floats,
    nav: float,
) -> Aims:
    """What the portfolio's decisions weigh now.

    covariance: (n, n) over the horizon. unit: (n,) weight of one unit. nav: money.
    """
    at = {name: i for i, name in enumerate(names)}
    impact, unknown = _impact_on(
        state, portfolio, names, covariance, horizon=horizon, unit=unit, nav=nav
    )
    costs, told = portfolio.costs, portfolio.mandate.benchmark
    borrow = _rates(costs.borrow, at, usual=costs.borrow_bps_year, horizon=horizon)
    carry = _rates(costs.carry, at, usual=0.0, horizon=horizon)
    benchmark = np.zeros(len(names)) if told else None
    absent = []
    for one in told:
        if benchmark is not None and one.instrument in at:
            benchmark[at[one.instrument]] = one.weight
        else:
            absent.append(one.instrument)
    expenses = Expenses(impact, borrow, carry, unknown)
    return Aims(portfolio.preset, expenses, benchmark, tuple(absent))


def _impact_on(
    state: State,
    portfolio: Portfolio,
    names: tuple[str, ...],
    covariance: Floats,
    *,
    horizon: float,
    unit: Floats,
    nav: float,
) -> tuple[Floats | None, tuple[str, ...]]:
    """(n,) kappa2, None where no impact is expected; and the names without a volume."""
    factor, prior = portfolio.costs.impact, state.parameters.volume_prior
    if factor == 0.0:
        return None, ()
    volume = state.market.average_volume(names) * unit
    if prior is not None:
        volume = np.where(np.isnan(volume), prior / nav, volume)
    missing = np.isnan(volume).tolist()
    unknown = tuple(name for name, no in zip(names, missing, strict=True) if no)
    daily = np.sqrt(np.diag(covariance) / horizon)
    return _impact(factor, daily, volume), unknown


def _impact(factor: float, daily: Floats, volume: Floats) -> Floats:
    """(n,) kappa2 = Y sigma_1 sqrt(NAV / ADV); 0 where no volume is known.

    daily: (n,) volatility of one session. volume: (n,) of a session, fractions of NAV.
    """
    found = factor * daily / np.sqrt(np.maximum(np.nan_to_num(volume), VOLUME_LEAST))
    kappa: Floats = np.where(np.isnan(volume), 0.0, np.minimum(found, IMPACT_MOST))
    return kappa


def _rates(
    own: Sequence[RateOf], at: dict[str, int], *, usual: float, horizon: float
) -> Floats | None:
    """(n,) over the horizon from basis points a year; None where nothing is paid."""
    found = np.full(len(at), usual)
    for one in own:
        if one.instrument in at:
            found[at[one.instrument]] = one.bps_year
    if not found.any():
        return None
    rates: Floats = found * (BPS * horizon / SESSIONS_A_YEAR)
    return rates


# -- what the objective is charged with ----------------------------------------------------------


def charged(problem: AllocationProblem, aims: Aims, parameters: Parameters) -> AllocationProblem:
    """The problem with all that its aims charge, whatever it was charged with before."""
    charges = charges_of(problem, aims, parameters)
    return problem if charges.none and problem.charges.none else replace(problem, charges=charges)


def charges_of(problem: AllocationProblem, aims: Aims, parameters: Parameters) -> Charges:
    """The charges of a problem; `NO_CHARGES` where there are none."""
    preset, expenses = aims.preset, aims.expenses
    exact, square = _impact_charges(expenses.impact, parameters)
    more = preset.cost_weight - 1.0
    found = Charges(
        robustness=_scaled(np.sqrt(np.diag(problem.covariance)), preset.robustness),
        impact=exact,
        impact_square=square,
        impact_weight=preset.cost_weight,
        borrow=_scaled(expenses.borrow, preset.holding_weight),
        carry=_scaled(expenses.carry, preset.holding_weight),
        turnover=preset.turnover_price_bps * BPS,
        diversification=preset.diversification,
        tracking=preset.tracking,
        benchmark=aims.benchmark if preset.tracking > 0.0 else None,
        linear_buy=_scaled(problem.cost_buy, more),
        linear_sell=_scaled(problem.cost_sell, more),
    )
    return NO_CHARGES if found.none else found


def _impact_charges(
    impact: Floats | None, parameters: Parameters
) -> tuple[Floats | None, Floats | None]:
    """By the 3/2 power, or of many instruments by a square that is as dear at a stated weight."""
    if impact is None or not impact.any():
        return None, None
    if len(impact) <= parameters.impact_exact_max:
        return impact, None
    return None, impact / math.sqrt(parameters.impact_reference)


def _scaled(rates: Floats | None, factor: float) -> Floats | None:
    """None where nothing is left of it."""
    if rates is None or factor == 0.0 or not rates.any():
        return None
    return rates * factor


# -- what an answer is charged with --------------------------------------------------------------


def linear_cost(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) expected linear cost of each trade, fraction of NAV."""
    cost: Floats = np.where(trades > 0, problem.cost_buy, problem.cost_sell) * np.abs(trades)
    return cost


def traded_charge(charges: Charges, trades: Floats) -> float:
    """What the objective is charged for these trades beside their linear costs."""
    if charges.none:
        return 0.0
    size = np.abs(trades)
    total = charges.turnover * float(size.sum()) / 2.0
    if charges.impact is not None:
        total += charges.impact_weight * float(charges.impact @ (size * np.sqrt(size)))
    if charges.impact_square is not None:
        total += charges.impact_weight * float(charges.impact_square @ size**2)
    if charges.linear_buy is not None:
        total += float(charges.linear_buy @ np.maximum(trades, 0.0))
    if charges.linear_sell is not None:
        total += float(charges.linear_sell @ np.maximum(-trades, 0.0))
    return total
