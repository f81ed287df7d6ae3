"""Bounding: a problem as the book and the market give it is put under its mandate's limits.

Place in the flow: the last step of `allocate` before a problem is solved. Reads the state, changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coordinator.core.accounts import EXACT, ZERO
from coordinator.core.book import Valuation, drawdown_now
from coordinator.core.boxes import Ground, Tiers
from coordinator.core.breaches import foreign_cash
from coordinator.core.firm import session_left
from coordinator.core.limits import Limits, limits_of
from coordinator.core.ports import AllocationProblem, Floats
from coordinator.core.state import Portfolio, State
from schemas.mandates import Mandate
from schemas.market import MARKET_FACTOR

__all__ = ["bounded", "multiples_of", "wanted"]


def wanted(mandate: Mandate) -> set[str]:
    """Instruments that the mandate wants held, or short, whatever anybody says of them."""
    bound = {
        one.instrument
        for one in mandate.positions
        if (one.min is not None and one.min > 0) or (one.max is not None and one.max < 0)
    }
    return bound | {one.instrument for one in mandate.must_hold}


def multiples_of(mandate: Mandate, names: Sequence[str]) -> list[int]:
    """(n,) how many lots of each instrument a trade is a multiple of."""
    own = {one.instrument: one.multiple for one in mandate.lots}
    return [own.get(name, mandate.lot_multiple) for name in names]


def bounded(
    state: State,
    portfolio: Portfolio,
    worth: Valuation,
    problem: AllocationProblem,
    *,
    unit: Floats,
    horizon: float,
    turnover: float = 1.0,
) -> tuple[AllocationProblem, Limits]:
    """The problem under its limits, and how the mandate states them.

    problem: its trade_max says what can be traded at all. unit: (n,) weight of one unit. turnover:
    the part of the mandate's turnover_max that is in force, at most 1.
    """
    problem = _in_lots(state, portfolio, problem)
    ground = _ground(
        state, portfolio, worth, problem, unit=unit, horizon=horizon, turnover=turnover
    )
    limits = limits_of(ground)
    found = replace(
        problem,
        trade_max=limits.boxes.trade,
        position_min=limits.boxes.lower,
        position_max=limits.boxes.upper,
        gross_max=limits.gross_max,
        cash_floor=limits.cash_floor,
        turnover_max=limits.turnover_max,
        limits=limits.rows,
    )
    return found, limits


def _ground(
    state: State,
    portfolio: Portfolio,
    worth: Valuation,
    problem: AllocationProblem,
    *,
    unit: Floats,
    horizon: float,
    turnover: float,
) -> Ground:
    mandate, names, market = portfolio.mandate, problem.instruments, state.market
    if turnover < 1.0:
        cut = turnover * mandate.turnover_max
        mandate = mandate.model_copy(update={"turnover_max": cut})
    low, high = problem.filled + problem.working_sells, problem.filled + problem.working_buys
    volume = betas = np.full(len(names), np.nan)
    own = mandate.days_to_liquidate_max is not None or mandate.volume_share_max is not None
    if own or state.parameters.firm_volume_share is not None:
        volume = market.average_volume(names) * unit
    if any(one.factor == MARKET_FACTOR for one in mandate.factors):
        betas = market.betas(state.parameters)[market.columns(names)]
    return Ground(
        mandate=mandate,
        tiers=Tiers(mandate),
        names=names,
        instruments=tuple(market.instruments[name] for name in names),
        filled=problem.filled,
        low=low,
        high=high,
        room=2.0 * (mandate.gross_max + float((np.abs(low) + np.abs(high)).sum())) + 1.0,
        trade_max=problem.trade_max,
        volume=volume,
        betas=betas,
        horizon=horizon,
        foreign=foreign_cash(portfolio, worth, market),
        drawdown=drawdown_now(portfolio, worth),
        lot=problem.lot_weight,
        session_left=session_left(state, portfolio, names, volume=volume, unit=unit),
    )


def _in_lots(state: State, portfolio: Portfolio, problem: AllocationProblem) -> AllocationProblem:
    """With lots that are multiples of the instruments' own.

    A holding of whole lots that is no whole multiple may be sold whole: the exchange takes it.
    """
    mandate = portfolio.mandate
    if mandate.lot_multiple == 1 and not mandate.lots:
        return problem
    multiples = multiples_of(mandate, problem.instruments)
    whole = []
    for name in problem.instruments:
        lot, held = state.market.instruments[name].lot, portfolio.positions.get(name, ZERO)
        whole.append(not lot or EXACT.remainder(held, lot) == 0)
    more = np.array(multiples) > 1
    return replace(
        problem,
        lot_weight=problem.lot_weight * np.array(multiples, dtype=np.float64),
        exit_odd_lot=problem.exit_odd_lot | (more & np.array(whole, dtype=np.bool_)),
    )
