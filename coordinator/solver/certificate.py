"""A proof of how far an answer is from the best one, and the prices that go with it.

Place in the flow: `solve` asks it whether a solver's answer is accepted; `readings` asks it for
shadow prices. It must never trust a solver's own residuals.

The bound. For any prices p >= 0 of the limits on sums, and any point x = (trades, sizes), concavity
of the smooth terms gives

    f(y) <= f_smooth(x) + a'(y - x) - charges(y),   a = the slope of the smooth terms at x

and every feasible y uses no more than the room, so

    max f <= f_smooth(x) - a'x + p'room + sum_i max_y h_i(y)

with h_i the slope a_i y less charges and priced uses of instrument i, or of strategy i's size. h_i
is concave in one variable inside a box, linear but for impact between its kinks: its maximum is at
an end, at a kink, or where impact meets one of the slopes that there are, exactly. A volatility
|R w| is at least -q'R w for any |q| <= 1, which is linear and takes its place; so is the house's
sum |d| at least v'd for any |v_i| <= 1. Source: weak duality, Boyd and Vandenberghe 2004, section
5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import NOTHING, further_of
from coordinator.solver.limits import kink
from coordinator.solver.room import Room
from coordinator.solver.sizes import sizes_most
from coordinator.solver.terms import power_paid, power_slope, square_paid, square_slope
from coordinator.solver.worth import (
    NO_SIZES,
    Rates,
    has_impact,
    marginal_value,
    objective,
    rates_of,
    size_slopes,
)

__all__ = ["Prices", "one_sided_slopes", "row_prices", "upper_bound"]


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the limits on sums: gain of the objective per unit of room, all >= 0.

    linear, groups: (k,) of the further rows of `room.Room`; volatility: of its volatility, which
    pull, (n,) per unit of each weight, adds up to at the optimum and nowhere exceeds. house: of the
    house book's bound; house_pull: (n,) per unit of its weights, each of them within it.
    """

    gross: float = 0.0
    cash: float = 0.0
    turnover: float = 0.0
    linear: Floats = field(default_factory=lambda: NOTHING)
    groups: Floats = field(default_factory=lambda: NOTHING)
    volatility: float = 0.0
    pull: Floats = field(default_factory=lambda: NOTHING)
    house: float = 0.0
    house_pull: Floats = field(default_factory=lambda: NOTHING)


def upper_bound(
    problem: AllocationProblem,
    room: Room,
    trades: Floats,
    prices: Prices,
    sizes: Floats = NO_SIZES,
    worth: float | None = None,
) -> float:
    """A value that no trades and sizes inside the room can beat, fraction of NAV.

    Valid for any trades, sizes and prices; tight when all are optimal. trades: (n,). sizes: (s,).
    worth: of these trades and sizes, where it is known.
    """
    slope, rates = marginal_value(problem, trades, sizes), rates_of(problem)
    rooms = prices.gross * room.gross + prices.cash * room.cash + prices.turnover * room.turnover
    if problem.limits:
        rooms += _rows_worth(problem, room, prices)
    points = _candidates(problem, room, slope, rates, prices)
    best = _lagrangian(problem, room, slope, points, rates, prices).max(axis=0)
    charged = rates.paid(trades, problem.start + trades).sum()
    if problem.charges.impact is not None:
        charged += problem.charges.impact_weight * power_paid(problem, trades).sum()
    if worth is None:
        worth = objective(problem, trades, sizes)
    bound = worth + charged - slope @ trades + rooms + best.sum()
    if problem.sleeves is not None:
        bound += _sizes_worth(problem, room, trades, sizes, prices)
    return float(bound)


def _sizes_worth(
    problem: AllocationProblem, room: Room, trades: Floats, sizes: Floats, prices: Prices
) -> float:
    """The strategies' part of the bound, and the worth of the house book's room."""
    sleeves = problem.sleeves
    if sleeves is None:
        return 0.0
    slopes = size_slopes(problem, trades, sizes)
    reach, worth = slopes, 0.0
    if len(prices.house_pull):
        # What the house is priced at pulls the trades, see `row_prices`, and pushes the sizes.
        reach = slopes + sleeves.targets.T @ prices.house_pull
        worth = prices.house * room.house - float(prices.house_pull @ problem.start)
    most = np.maximum(reach, 0.0) @ sizes_most(sleeves)
    return float(worth + most - slopes @ sizes)


def _candidates(
    problem: AllocationProblem, room: Room, slope: Floats, rates: Rates, prices: Prices
) -> Floats:
    """(k, n) trades among which each instrument's part of the bound is largest."""
    low, high = room.box
    kinks = [np.zeros_like(low), kink(problem)]
    if rates.long is not None:
        kinks.append(-problem.start)
    inner = [np.minimum(np.maximum(one, low), high) for one in kinks]
    points = np.array([low, high, *inner])
    charges = problem.charges
    square = charges.impact_square is not None and prices.cash > 0.0
    if not (has_impact(problem) or square):
        return points
    met = _impact_meets(problem, _slopes(problem, slope, rates, prices), prices)
    return np.concatenate([points, np.minimum(np.maximum(met, low), high)])


def _slopes(
    problem: AllocationProblem, slope: Floats, rates: Rates, prices: Prices
) -> tuple[Floats, Floats]:
    """(4, n) slopes of h that there are for buys, without impact, and (4, n) for sales."""
    pull, gross = row_prices(problem, prices)
    held: tuple[Floats | float, Floats | float] = (0.0, 0.0)
    if rates.long is not None and rates.short is not None:
        held = -rates.long, rates.short
    found = []
    sides = ((0.5, rates.buy, problem.cost_buy), (-0.5, -rates.sell, -problem.cost_sell))
    for traded, charged, paid in sides:
        base = slope - pull - charged - prices.turnover * traded - prices.cash * (1.0 + paid)
        found.append(np.stack([base + sign * gross + own for sign in (-1.0, 1.0) for own in held]))
    return found[0], found[1]


def _impact_meets(
    problem: AllocationProblem, slopes: tuple[Floats, Floats], prices: Prices
) -> Floats:
    """(8, n) trades at which impact takes all of a slope: of buys, then of sales.

    With t the root of the trade's size: 1.5 kappa (m + p) t + 2 p q t^2 = slope, m the weight
    of impact and p the price of cash, which it is paid from.
    """
    charges, p = problem.charges, prices.cash
    nothing = np.zeros_like(problem.mu)
    kappa = nothing if charges.impact is None else charges.impact
    rate = nothing if charges.impact_square is None else charges.impact_square
    linear, square = 1.5 * (charges.impact_weight + p) * kappa, 2.0 * p * rate
    met = []
    for side, one in zip((1.0, -1.0), slopes, strict=True):
        gain = np.maximum(side * one, 0.0)
        below = linear + np.sqrt(linear**2 + 4.0 * square * gain)
        root = np.divide(2.0 * gain, below, out=np.full_like(gain, 1e3), where=below > 0.0)
        met.append(side * np.minimum(root, 1e3) ** 2)
    return np.concatenate(met)


def _lagrangian(
    problem: AllocationProblem,
    room: Room,
    slope: Floats,
    points: Floats,
    rates: Rates,
    prices: Prices,
) -> Floats:
    """(k, n) each instrument's part of the bound at k candidate trades."""
    buys, sells = np.maximum(points, 0.0), np.maximum(-points, 0.0)
    used_cash = (1.0 + problem.cost_buy) * buys - (1.0 - problem.cost_sell) * sells
    exposure = np.maximum(room.highest + points, -(room.lowest + points))
    pull, gross = row_prices(problem, prices)
    value: Floats = (
        (slope - pull) * points
        - rates.paid(points, problem.start + points)
        - prices.turnover * (buys + sells) / 2
        - prices.cash * used_cash
        - gross * exposure
    )
    if problem.charges.impact is not None:
        value = value - (problem.charges.impact_weight + prices.cash) * power_paid(problem, points)
    if problem.charges.impact_square is not None:
        value = value - prices.cash * square_paid(problem, points)
    return value


def row_prices(problem: AllocationProblem, prices: Prices) -> tuple[Floats | float, Floats | float]:
    """What the rows ask for a unit of each name's weight, (n,), and of its exposure, (n,)."""
    pull: Floats | float = 0.0
    gross: Floats | float = prices.gross
    if len(prices.linear):
        pull = prices.linear @ further_of(problem).linear
    if len(prices.pull):
        pull = pull + prices.pull
    if len(prices.house_pull):
        pull = pull + prices.house_pull
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
    problem: AllocationProblem, trades: Floats, prices: Prices, sizes: Floats = NO_SIZES
) -> tuple[Floats, Floats]:
    """(n,) gain per unit of trading a little less, (n,) of a little more, net of all prices.

    At an optimum both are <= 0 except at a bound, where the positive one is that bound's shadow
    price.
    """
    pull, gross = row_prices(problem, prices)
    slope, rates = marginal_value(problem, trades, sizes) - pull, rates_of(problem)
    slope = slope - _impact_pull(problem, trades, prices)
    turn, weights = kink(problem), problem.start + trades
    # Two rows each, of a little less and of a little more: less of no trade is a sale.
    bought = np.array((trades > 0.0, trades >= 0.0))
    gains = slope - np.where(bought, rates.buy, -rates.sell)
    if rates.long is not None and rates.short is not None:
        long = np.array((weights > 0.0, weights >= 0.0))
        gains -= np.where(long, rates.long, -rates.short)
    if prices.turnover:
        gains -= prices.turnover * np.where(bought, 0.5, -0.5)
    if prices.cash:
        # Buying costs 1 + cost_buy of cash, selling one unit less brings 1 - cost_sell less: both 1
        # + cost.
        gains -= prices.cash * (1.0 + np.where(bought, problem.cost_buy, -problem.cost_sell))
    if prices.gross or len(prices.groups):
        gains -= gross * np.where(np.array((trades > turn, trades >= turn)), 1.0, -1.0)
    return -gains[0], gains[1]


def _impact_pull(problem: AllocationProblem, trades: Floats, prices: Prices) -> Floats | float:
    """(n,) what impact takes of one more unit, as a charge and of priced cash; square's charge not.

    That one is among the smooth terms.
    """
    if problem.charges.none:
        return 0.0
    power, square = power_slope(problem, trades), square_slope(problem, trades)
    pull: Floats = (problem.charges.impact_weight + prices.cash) * power + prices.cash * square
    return pull
