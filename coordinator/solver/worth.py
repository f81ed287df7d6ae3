"""The objective as plain numbers: what trades are worth, term by term, and how each term pulls.

Place in the flow: `certificate`, `segments`, `forces` and the ladder read it; it knows no solver.
Terms are of three kinds. Smooth ones are quadratic in weights and sizes. Rates have a kink at no
trade or at no weight. Impact is a power of each trade alone. Paper symbols: w weights after the
trades, Sigma covariance, T targets, a sizes, d the house book w - T a.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import NOTHING
from coordinator.solver.terms import house_of, power_paid, square_paid, square_slope

__all__ = [
    "NO_SIZES",
    "KinkedCharge",
    "Point",
    "Rates",
    "SmoothTerm",
    "curvature_added",
    "has_impact",
    "kinked_charges",
    "marginal_value",
    "objective",
    "point_of",
    "rates_of",
    "size_slopes",
    "smooth_terms",
    "variance_weight",
]

NO_SIZES = NOTHING
"""Sizes of no sleeves."""


class Point(NamedTuple):
    """Where terms are measured: trades (n,), weights (n,) after them and sleeves' sizes (s,)."""

    problem: AllocationProblem
    trades: Floats
    weights: Floats
    sizes: Floats


@dataclass(frozen=True, slots=True)
class SmoothTerm:
    """A term that is quadratic in weights and sizes.

    used: whether a problem has it. worth: its value, fraction of NAV. pull: (n,) gain per unit of
    each weight.
    """

    name: str
    used: Callable[[AllocationProblem], bool]
    worth: Callable[[Point], float]
    pull: Callable[[Point], Floats]


class KinkedCharge(NamedTuple):
    """A charge per unit, (n,), that changes at no trade, or of_weight at no weight.

    more: of a unit above; less: of a unit below.
    """

    name: str
    more: Floats
    less: Floats
    of_weight: bool


class Rates(NamedTuple):
    """What is charged per unit, (n,): bought, sold; held long, held short (None: nothing)."""

    buy: Floats
    sell: Floats
    long: Floats | None
    short: Floats | None

    def paid(self, trades: Floats, weights: Floats) -> Floats:
        """(..., n) what these trades, and these weights after them, are charged."""
        paid: Floats = self.buy * np.maximum(trades, 0.0) + self.sell * np.maximum(-trades, 0.0)
        if self.long is not None and self.short is not None:
            paid = paid + self.long * np.maximum(weights, 0.0)
            paid = paid + self.short * np.maximum(-weights, 0.0)
        return paid


# -- smooth terms -----------------------------------------------------------------------------


def _risk(point: Point) -> float:
    problem, w = point.problem, point.weights
    return -(problem.risk_aversion / 2 * float(w @ (problem.covariance @ w)))


def _risk_pull(point: Point) -> Floats:
    problem = point.problem
    pull: Floats = -(problem.risk_aversion * (problem.covariance @ point.weights))
    return pull


def _apart(point: Point) -> Floats:
    """(n,) weights less the benchmark's."""
    benchmark = point.problem.charges.benchmark
    return point.weights if benchmark is None else point.weights - benchmark


def _tracking(point: Point) -> float:
    apart = _apart(point)
    variance = float(apart @ (point.problem.covariance @ apart))
    return -(point.problem.charges.tracking / 2 * variance)


def _tracking_pull(point: Point) -> Floats:
    pull: Floats = -(point.problem.charges.tracking * (point.problem.covariance @ _apart(point)))
    return pull


def _diversification(point: Point) -> float:
    alone = np.diag(point.problem.covariance) @ point.weights**2
    return -(point.problem.charges.diversification / 2 * float(alone))


def _diversification_pull(point: Point) -> Floats:
    nu = point.problem.charges.diversification
    pull: Floats = -(nu * np.diag(point.problem.covariance) * point.weights)
    return pull


def _carry(problem: AllocationProblem) -> Floats:
    return NOTHING if problem.charges.carry is None else problem.charges.carry


def _weight(point: Point) -> float:
    return point.problem.charges.impact_weight


def _wishes(point: Point) -> float:
    sleeves = point.problem.sleeves
    if sleeves is None:
        return 0.0
    return -float(sleeves.wish_weight @ (point.sizes - sleeves.wished) ** 2)


def _house(point: Point) -> Floats:
    sleeves = point.problem.sleeves
    return NOTHING if sleeves is None else house_of(sleeves, point.weights, point.sizes)


def _delta(problem: AllocationProblem) -> float:
    return 0.0 if problem.sleeves is None else problem.sleeves.house_weight


def _has_sleeves(problem: AllocationProblem) -> bool:
    return problem.sleeves is not None


_OPINION = SmoothTerm(
    "opinion",
    lambda _: True,
    lambda point: float(point.problem.mu @ point.weights),
    lambda point: point.problem.mu,
)
_RISK = SmoothTerm("risk", lambda _: True, _risk, _risk_pull)
_OTHERS = (
    SmoothTerm(
        "carry",
        lambda problem: problem.charges.carry is not None,
        lambda point: -float(_carry(point.problem) @ point.weights),
        lambda point: -_carry(point.problem),
    ),
    SmoothTerm(
        "tracking", lambda problem: problem.charges.tracking > 0.0, _tracking, _tracking_pull
    ),
    SmoothTerm(
        "diversification",
        lambda problem: problem.charges.diversification > 0.0,
        _diversification,
        _diversification_pull,
    ),
    SmoothTerm(
        "impact",
        lambda problem: problem.charges.impact_square is not None,
        lambda point: -_weight(point) * float(square_paid(point.problem, point.trades).sum()),
        lambda point: -_weight(point) * square_slope(point.problem, point.trades),
    ),
    SmoothTerm("wishes", _has_sleeves, _wishes, lambda point: np.zeros_like(point.weights)),
    SmoothTerm(
        "house",
        _has_sleeves,
        lambda point: -(_delta(point.problem) / 2 * float((_house(point) ** 2).sum())),
        lambda point: -_delta(point.problem) * _house(point),
    ),
)
_PLAIN = (_OPINION, _RISK)


def smooth_terms(problem: AllocationProblem) -> tuple[SmoothTerm, ...]:
    """Those that the problem has, in a fixed order."""
    if problem.charges.none and problem.sleeves is None:
        return _PLAIN
    return (*_PLAIN, *(term for term in _OTHERS if term.used(problem)))


def variance_weight(problem: AllocationProblem) -> float:
    """What multiplies Sigma in the curvature of the smooth terms."""
    return problem.risk_aversion + problem.charges.tracking


def curvature_added(problem: AllocationProblem) -> Floats | None:
    """(n,) what the diagonal of the curvature has besides, but for the house's; None: nothing."""
    charges = problem.charges
    if charges.impact_square is None and not charges.diversification:
        return None
    added = charges.diversification * np.diag(problem.covariance)
    if charges.impact_square is None:
        return added
    return added + 2.0 * charges.impact_weight * charges.impact_square


# -- charges with a kink ------------------------------------------------------------------------


def kinked_charges(problem: AllocationProblem) -> tuple[KinkedCharge, ...]:
    """Those that the problem has, in a fixed order."""
    charges, nothing = problem.charges, np.zeros_like(problem.cost_buy)
    buy, sell = problem.cost_buy, problem.cost_sell
    if charges.linear_buy is not None:
        buy = buy + charges.linear_buy
    if charges.linear_sell is not None:
        sell = sell + charges.linear_sell
    found = [KinkedCharge("cost", buy, sell, of_weight=False)]
    if charges.turnover:
        half = nothing + charges.turnover / 2
        found.append(KinkedCharge("turnover", half, half, of_weight=False))
    if charges.robustness is not None:
        doubt = charges.robustness
        found.append(KinkedCharge("robustness", doubt, doubt, of_weight=True))
    if charges.borrow is not None:
        found.append(KinkedCharge("borrow", nothing, charges.borrow, of_weight=True))
    return tuple(found)


def rates_of(problem: AllocationProblem) -> Rates:
    """All charges per unit, added up."""
    if problem.charges.none:
        return Rates(problem.cost_buy, problem.cost_sell, None, None)
    first, *others = kinked_charges(problem)
    buy, sell = first.more, first.less
    long: Floats | None = None
    short: Floats | None = None
    for one in others:
        if not one.of_weight:
            buy, sell = buy + one.more, sell + one.less
        elif long is None or short is None:
            long, short = one.more, one.less
        else:
            long, short = long + one.more, short + one.less
    return Rates(buy, sell, long, short)


def has_impact(problem: AllocationProblem) -> bool:
    """Whether any trade has an impact to the power 3/2."""
    return problem.charges.impact is not None and bool(problem.charges.impact.any())


# -- the whole ------------------------------------------------------------------------------------


def point_of(problem: AllocationProblem, trades: Floats, sizes: Floats = NO_SIZES) -> Point:
    """The point after these trades, (n,); sizes: (s,) of the sleeves."""
    return Point(problem, trades, problem.start + trades, sizes)


def objective(problem: AllocationProblem, trades: Floats, sizes: Floats = NO_SIZES) -> float:
    """Worth of the trades: mu'w - gamma/2 w'Sigma w - all charges, at w = w0 + trades.

    trades: (n,). sizes: (s,) of the sleeves. Fraction of NAV over the horizon.
    """
    point = point_of(problem, trades, sizes)
    worth = 0.0
    for term in smooth_terms(problem):
        worth += term.worth(point)
    worth -= float(rates_of(problem).paid(trades, point.weights).sum())
    if problem.charges.impact is None:
        return worth
    return worth - problem.charges.impact_weight * float(power_paid(problem, trades).sum())


def marginal_value(problem: AllocationProblem, trades: Floats, sizes: Floats = NO_SIZES) -> Floats:
    """(n,) worth of one more unit of each weight by the smooth terms."""
    point = point_of(problem, trades, sizes)
    first, *others = smooth_terms(problem)
    value = first.pull(point)
    for term in others:
        value = value + term.pull(point)
    return value


def size_slopes(problem: AllocationProblem, trades: Floats, sizes: Floats) -> Floats:
    """(s,) worth of one more unit of each size."""
    sleeves = problem.sleeves
    if sleeves is None:
        return NO_SIZES
    house = house_of(sleeves, problem.start + trades, sizes)
    wishes = 2.0 * sleeves.wish_weight * (sizes - sleeves.wished)
    slopes: Floats = sleeves.house_weight * (sleeves.targets.T @ house) - wishes
    return slopes
