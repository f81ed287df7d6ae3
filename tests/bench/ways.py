"""From a rule's opinion to trades: through the allocator, or set directly as Lean does.

Place in the flow: between an opinion and a `Book`'s trades, the same for every rule, so that only
the conflict rule differs. An opinion counts less its mean over the names: nobody bets on the
market.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from coordinator.core.ports import AllocationProblem, Allocator, Charges, Floats
from tests.bench.tradebooks import Decide, Standing, Tariff

__all__ = ["Desk", "allocating", "problem_of", "setting_directly"]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every rule's portfolio has alike. lots: (n,) units of a whole lot.

    rungs: how often the allocator answered from which.
    """

    allocator: Allocator
    names: tuple[str, ...]
    lots: Floats
    tariff: Tariff
    risk_aversion: float
    position_min: float
    position_max: float
    gross_max: float
    cash_floor: float = 0.0
    turnover_max: float = 4.0
    trade_min: float = 1e-4
    cost_weight: float = 1.0
    neutral: bool = True
    rungs: Counter[str] = field(default_factory=Counter)

    def wished(self, opinion: Floats) -> Floats:
        """(n,) what is thought of each name."""
        found: Floats = opinion - opinion.mean() if self.neutral else opinion
        return found


def problem_of(standing: Standing, mu: Floats, desk: Desk) -> AllocationProblem:
    """The portfolio's allocation: the mandate, the costs and the risk model that all have."""
    n = len(mu)
    zeros = np.zeros(n)
    tariff = desk.tariff
    more = desk.cost_weight - 1.0  # as a mode weighs costs
    impact = tariff.impact * standing.moment.sigma * np.sqrt(standing.nav / standing.usual)
    return AllocationProblem(
        instruments=desk.names,
        nav=standing.nav,
        mu=mu,
        covariance=standing.moment.covariance,
        risk_aversion=desk.risk_aversion,
        filled=standing.weights,
        working_buys=zeros,
        working_sells=zeros,
        cash=standing.cash / standing.nav,
        lot_weight=desk.lots * standing.price / standing.nav,
        exit_odd_lot=np.ones(n, dtype=bool),
        cost_buy=np.full(n, tariff.buy),
        cost_sell=np.full(n, tariff.sell),
        trade_max=np.full(n, 2.0 * desk.gross_max),
        position_min=np.full(n, desk.position_min),
        position_max=np.full(n, desk.position_max),
        gross_max=desk.gross_max,
        cash_floor=desk.cash_floor,
        turnover_max=desk.turnover_max,
        trade_min=desk.trade_min,
        charges=Charges(
            impact=impact,
            impact_weight=desk.cost_weight,
            linear_buy=more * np.full(n, tariff.buy) if more else None,
            linear_sell=more * np.full(n, tariff.sell) if more else None,
        ),
    )


def allocating(opinions: Mapping[int, Floats], *, scale: float, desk: Desk) -> Decide:
    """Whole lots by the allocator. opinions: (n,) by session, in units of volatility."""

    def decide(standing: Standing) -> Floats:
        opinion = opinions[standing.moment.session]
        wide = np.sqrt(np.diag(standing.moment.covariance))
        mu = scale * desk.wished(opinion) * wide
        answer = desk.allocator.allocate(problem_of(standing, mu, desk))
        desk.rungs[answer.rung] += 1
        found: Floats = answer.lots * desk.lots
        return found

    return decide


def setting_directly(opinions: Mapping[int, Floats], *, gross: float, desk: Desk) -> Decide:
    """Weights in proportion to the opinion, whatever they cost: whole lots, rounded down.

    gross: sum of the absolute weights. Weights are within the positions that all may hold.
    """

    def decide(standing: Standing) -> Floats:
        opinion = opinions[standing.moment.session]
        apart = desk.wished(opinion)
        total = float(np.abs(apart).sum()) or 1.0  # who thinks of all alike holds nothing
        weights = np.clip(gross * apart / total, desk.position_min, desk.position_max)
        lot = desk.lots * standing.price / standing.nav
        held = np.rint(standing.weights / lot)
        found: Floats = (np.trunc(weights / lot) - held) * desk.lots
        return found

    return decide
