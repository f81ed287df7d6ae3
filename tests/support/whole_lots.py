"""The best whole lots there are, by SCIP, with its proven bound: for small problems only.

Needs pyscipopt, which `ops/setup --bench` installs and nothing else here asks for. Problems have
the bounds of every problem, hard linear limits and no open orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyscipopt import Model, quicksum

from coordinator.core.ports import AllocationProblem, Floats, WeightLimit

__all__ = ["Proven", "best_lots", "small"]

SECONDS_MAX = 60.0
PERCENT, SCALE = 100.0, 1e4
"""Weights in percent and the objective in basis points: SCIP's tolerances are absolute."""
NAMES = 10


@dataclass(frozen=True)
class Proven:
    """value: of the best trades found. bound: no whole lots are worth more. trades: (n,)."""

    value: float
    bound: float
    trades: Floats


def small(seed: int, *, finer: float = 1.0) -> AllocationProblem:
    """Ten names, lots of half a percent to four percent of NAV, some held, some to be sold short.

    finer: by how much smaller the lots are.
    """
    rng, n = np.random.default_rng(seed), NAMES
    factors = rng.normal(size=(n, 3)) * 0.02
    covariance = factors @ factors.T + np.diag(rng.uniform(5e-4, 2e-3, n))
    covariance = (covariance + covariance.T) / 2
    lots = np.round(rng.uniform(0.005, 0.04, n), 4) / finer
    short = seed % 2 == 1
    held = lots * finer * rng.integers(-2 if short else 0, 6, n) * (rng.random(n) < 0.6)
    held = np.rint(np.clip(held, -0.1, 0.25) / lots) * lots
    rows = np.zeros((2, n))
    rows[0, ::2], rows[1, 1::2] = 1.0, 1.0
    sectors = WeightLimit(
        "sector", "linear", ("even", "odd"), rows, np.full(2, -0.1), np.full(2, 0.6), 0
    )
    cost = rng.uniform(2e-4, 2e-3, n)
    return AllocationProblem(
        instruments=tuple(f"I{i:02d}" for i in range(n)), nav=1e5, mu=rng.normal(size=n) * 0.01,
        covariance=covariance, risk_aversion=4.0, filled=held, working_buys=np.zeros(n),
        working_sells=np.zeros(n), cash=1.0 - float(held.sum()), lot_weight=lots,
        exit_odd_lot=np.ones(n, dtype=bool), cost_buy=cost, cost_sell=cost,
        trade_max=np.full(n, 0.4), position_min=np.full(n, -0.15 if short else 0.0),
        position_max=np.full(n, 0.3), gross_max=1.5, cash_floor=0.02, turnover_max=0.5,
        trade_min=0.0, limits=(sectors,),
    )  # fmt: skip


def best_lots(problem: AllocationProblem) -> Proven:
    """Branch and bound over the counts of lots; bound infinite where no trades keep the limits.

    Raises ValueError for what it does not state: open orders, other limits, soft ones.
    """
    _check(problem)
    model, trades = _stated(problem)
    model.optimize()
    if model.getNSols() == 0:
        return Proven(-np.inf, np.inf, np.zeros(len(trades)))
    found = np.array([model.getVal(one) for one in trades])
    lots = problem.lot_weight
    return Proven(
        value=model.getPrimalbound() / SCALE,
        bound=model.getDualbound() / SCALE,
        trades=np.rint(found / PERCENT / lots) * lots,
    )


def _check(p: AllocationProblem) -> None:
    if p.working_buys.any() or p.working_sells.any() or (p.lot_weight <= 0.0).any():
        raise ValueError("open orders, or names without lots, are not stated here")
    if any(one.kind != "linear" or one.tier for one in p.limits) or not p.charges.none:
        raise ValueError("only hard linear limits are stated here, and no charges")


def _stated(p: AllocationProblem) -> tuple[Model, list[object]]:
    n = len(p.instruments)
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", SECONDS_MAX)
    model.setParam("limits/absgap", 1e-4)
    reach = np.floor(p.trade_max / p.lot_weight + 1e-9)
    counts = [model.addVar(vtype="I", lb=-float(most), ub=float(most)) for most in reach]
    buys = [model.addVar(lb=0.0) for _ in range(n)]
    sells = [model.addVar(lb=0.0) for _ in range(n)]
    sizes = [model.addVar(lb=0.0) for _ in range(n)]
    along = [model.addVar(lb=None) for _ in range(n)]
    trades = [PERCENT * float(p.lot_weight[i]) * counts[i] for i in range(n)]
    weights = [PERCENT * float(p.filled[i]) + trades[i] for i in range(n)]
    root = np.linalg.cholesky(p.covariance)
    for i in range(n):
        model.addCons(buys[i] - sells[i] == trades[i])
        model.addCons(weights[i] <= PERCENT * float(p.position_max[i]))
        model.addCons(weights[i] >= PERCENT * float(p.position_min[i]))
        model.addCons(sizes[i] >= weights[i])
        model.addCons(sizes[i] >= -weights[i])
        model.addCons(along[i] == quicksum(float(root[j, i]) * weights[j] for j in range(n)))
    fees = quicksum(
        float(p.cost_buy[i]) * buys[i] + float(p.cost_sell[i]) * sells[i] for i in range(n)
    )
    model.addCons(quicksum(sizes) <= PERCENT * p.gross_max)
    model.addCons(quicksum(buys) + quicksum(sells) <= 2.0 * PERCENT * p.turnover_max)
    model.addCons(quicksum(trades) + fees <= PERCENT * (p.cash - p.cash_floor))
    for limit in p.limits:
        for row, lower, upper in zip(limit.rows, limit.lower, limit.upper, strict=True):
            used = quicksum(float(row[i]) * weights[i] for i in range(n))
            model.addCons(used <= PERCENT * float(upper))
            model.addCons(used >= PERCENT * float(lower))
    # Percent squared are basis points, as SCALE makes of the rest.
    variance, goal = model.addVar(lb=0.0), model.addVar(lb=None)
    model.addCons(quicksum(one * one for one in along) <= variance)
    gained = quicksum(float(p.mu[i]) * weights[i] for i in range(n)) - fees
    model.addCons(goal <= SCALE / PERCENT * gained - p.risk_aversion / 2 * variance)
    model.setObjective(goal, "maximize")
    return model, trades
