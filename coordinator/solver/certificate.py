"""A proof of how far an answer is from the best one, and the prices that go with it.

Place in the flow: `solve` asks it whether a solver's answer is accepted; `readings` asks it for
shadow prices. It must never trust a solver's own residuals.

The bound. For any prices p >= 0 of the limits on sums, and any point z, concavity gives

    f(y) <= f_smooth(z) + a'(y - z) - costs(y),   a = mu - gamma Sigma (w0 + z)

and every feasible y uses no more than the room, so

    max f <= f_smooth(z) - a'z + p'room + sum_i max_y h_i(y)

with h_i the slope a_i y less costs and priced uses of instrument i. h_i is concave and piecewise
linear in one variable inside a box: its maximum is at an end or at a kink, exactly. A volatility
|R w| is at least -q'R w for any |q| <= 1, which is linear and takes its place.
Source: weak duality, Boyd and Vandenberghe 2004, section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import NOTHING, further_of
from coordinator.solver.limits import kink
from coordinator.solver.room import Room, weights_before

__all__ = ["Prices", "marginal_value", "objective", "one_sided_slopes", "upper_bound"]


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the limits on sums: gain of the objective per unit of room, all >= 0.

    linear, groups: (k,) of the further rows of `room.Room`; volatility: of its volatility, which
    pull, (n,) per unit of each weight, adds up to at the optimum and nowhere exceeds.
    """

    gross: float = 0.0
    cash: float = 0.0
    turnover: float = 0.0
    linear: Floats = field(default_factory=lambda: NOTHING)
    groups: Floats = field(default_factory=lambda: NOTHING)
    volatility: float = 0.0
    pull: Floats = field(default_factory=lambda: NOTHING)


def objective(problem: AllocationProblem, trades: Floats) -> float:
    """Worth of the trades: mu'w - gamma/2 w'Sigma w - linear costs, at w = w0 + trades.

    trades: (n,). Fraction of NAV over the horizon.
    """
    w = weights_before(problem) + trades
    variance = w @ (problem.covariance @ w)
    buys, sells = np.maximum(trades, 0.0), np.maximum(-trades, 0.0)
    cost = problem.cost_buy @ buys + problem.cost_sell @ sells
    return float(problem.mu @ w - problem.risk_aversion / 2 * variance - cost)


def marginal_value(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) a = mu - gamma Sigma w: worth of one more unit of each weight, before costs."""
    w = weights_before(problem) + trades
    value: Floats = problem.mu - problem.risk_aversion * (problem.covariance @ w)
    return value


def upper_bound(problem: AllocationProblem, room: Room, trades: Floats, prices: Prices) -> float:
    """A value that no trades inside the room can beat, fraction of NAV.

    Valid for any trades and any prices; tight when both are optimal. trades: (n,).
    """
    low, high = room.box
    slope = marginal_value(problem, trades)
    rooms = prices.gross * room.gross + prices.cash * room.cash + prices.turnover * room.turnover
    if problem.limits:
        rooms += _rows_worth(problem, room, prices)
    kinks = (0.0, kink(problem))
    inner = (np.minimum(np.maximum(one, low), high) for one in kinks)
    points = np.array([low, high, *inner])
    best = _lagrangian(problem, room, slope, points, prices).max(axis=0)
    buys, sells = np.maximum(trades, 0.0), np.maximum(-trades, 0.0)
    costs = problem.cost_buy @ buys + problem.cost_sell @ sells
    return float(objective(problem, trades) + costs - slope @ trades + rooms + np.sum(best))


def _lagrangian(
    problem: AllocationProblem, room: Room, slope: Floats, points: Floats, prices: Prices
) -> Floats:
    """(k, n) each instrument's part of the bound at k candidate trades."""
    buys, sells = np.maximum(points, 0.0), np.maximum(-points, 0.0)
    used_cash = (1.0 + problem.cost_buy) * buys - (1.0 - problem.cost_sell) * sells
    exposure = np.maximum(room.highest + points, -(room.lowest + points))
    pull, gross = _row_prices(problem, prices)
    value: Floats = (
        (slope - pull) * points
        - problem.cost_buy * buys
        - problem.cost_sell * sells
        - prices.turnover * (buys + sells) / 2
        - prices.cash * used_cash
        - gross * exposure
    )
    return value


def _row_prices(
    problem: AllocationProblem, prices: Prices
) -> tuple[Floats | float, Floats | float]:
    """What the rows ask for a unit of each name's weight, (n,), and of its exposure, (n,)."""
    pull: Floats | float = 0.0
    gross: Floats | float = prices.gross
    if len(prices.linear):
        pull = prices.linear @ further_of(problem).linear
    if len(prices.pull):
        pull = pull + prices.pull
    if len(prices.groups):
        gross = gross + prices.groups @ further_of(problem).gross
    return pull, gross


def _rows_worth(problem: AllocationProblem, room: Room, prices: Prices) -> float:
    """Worth of the rows' room, and of the volatility's less what is held and working pulls."""
    worth = 0.0
    if len(prices.linear):
        worth += float(prices.linear @ room.linear)
    if len(prices.groups):
        worth += float(prices.groups @ room.groups)
    if len(prices.pull):
        worth += prices.volatility * room.volatility - float(prices.pull @ problem.start)
    return worth


def one_sided_slopes(
    problem: AllocationProblem, trades: Floats, prices: Prices
) -> tuple[Floats, Floats]:
    """(n,) gain per unit of trading a little less, (n,) of a little more, net of all prices.

    At an optimum both are <= 0 except at a bound, where the positive one is that bound's shadow
    price.
    """
    pull, gross = _row_prices(problem, prices)
    slope = marginal_value(problem, trades) - pull
    turn = kink(problem)
    pays_more = trades > 0.0, trades >= 0.0
    rises = trades > turn, trades >= turn
    gains = []
    for bought, up in zip(pays_more, rises, strict=True):
        cost = np.where(bought, problem.cost_buy, -problem.cost_sell)
        traded = np.where(bought, 0.5, -0.5)
        exposed = np.where(up, 1.0, -1.0)
        # Buying costs 1 + cost_buy of cash, selling one unit less brings 1 - cost_sell less: both 1
        # + cost.
        cash = 1.0 + cost
        priced = prices.turnover * traded + prices.cash * cash + gross * exposed
        gains.append(slope - cost - priced)
    return -gains[0], gains[1]
