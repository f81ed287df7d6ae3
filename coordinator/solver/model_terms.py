"""The charges and sleeves of the convex model: their parameters and their terms.

Place in the flow: `model` adds them to the objective of the problems that have them; numbers are
loaded before each solve. Paper symbols as in `model`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.atoms import absolute, total
from coordinator.solver.room import Room
from coordinator.solver.sizes import sizes_most
from coordinator.solver.terms import (
    borrow_cost,
    carry_cost,
    diversification,
    factor_risk,
    house_risk,
    impact_cost,
    impact_taken,
    risk,
    robustness,
    square_cost,
    square_taken,
    tracking,
    wish_gap,
)
from coordinator.solver.worth import has_impact

__all__ = [
    "Shape",
    "TermParameters",
    "Terms",
    "build_terms",
    "has_cone",
    "impact_in_cash",
    "impact_shape_of",
    "shape_of",
]


class Shape(NamedTuple):
    """Which terms a model has. factors, sleeves: how many; 0: none, the covariance is whole.

    house: its bound. least_house: nothing counts but that the house book is as small as can be.
    """

    factors: int = 0
    carry: bool = False
    tracking: bool = False
    diversification: bool = False
    square: bool = False
    impact: bool = False
    robustness: bool = False
    borrow: bool = False
    sleeves: int = 0
    house: bool = False
    least_house: bool = False


def shape_of(problem: AllocationProblem, room: Room) -> Shape:
    """The terms that a problem has."""
    factors = 0 if problem.factors is None else len(problem.factors.rows)
    sleeves = 0 if problem.sleeves is None else len(problem.sleeves.names)
    charges = problem.charges
    if charges.none and not sleeves:
        return Shape(factors=factors)
    return Shape(
        factors=factors,
        carry=charges.carry is not None,
        tracking=charges.tracking > 0.0,
        diversification=charges.diversification > 0.0,
        square=charges.impact_square is not None,
        impact=has_impact(problem),
        robustness=charges.robustness is not None,
        borrow=charges.borrow is not None,
        sleeves=sleeves,
        house=bool(sleeves) and bool(np.isfinite(room.house)),
    )


def impact_shape_of(problem: AllocationProblem) -> Shape:
    """Of these the ones that take cash: all that a model which charges nothing has to know."""
    return Shape(square=problem.charges.impact_square is not None, impact=has_impact(problem))


def has_cone(shape: Shape) -> bool:
    """Whether a model of that shape is no quadratic program."""
    return shape.impact or shape.factors > 0


@dataclass(frozen=True, slots=True)
class TermParameters:
    """Numbers of the terms by name, as their docstrings say; only of those that there are."""

    shape: Shape
    of: dict[str, cp.Parameter] = field(default_factory=dict)

    def vector(self, name: str, size: int, *, nonneg: bool = False) -> cp.Parameter:
        """A new parameter of that name."""
        return self._keep(name, cp.Parameter(size, nonneg=nonneg))

    def scalar(self, name: str) -> cp.Parameter:
        """A new parameter >= 0 of that name."""
        return self._keep(name, cp.Parameter(nonneg=True))

    def matrix(self, name: str, rows: int, columns: int, *, psd: bool = False) -> cp.Parameter:
        """A new parameter of that name; psd: symmetric and positive semidefinite."""
        return self._keep(name, cp.Parameter((rows, columns), PSD=psd))

    def _keep(self, name: str, made: cp.Parameter) -> cp.Parameter:
        self.of[name] = made
        return made

    def load(self, problem: AllocationProblem, room: Room, scale: float) -> None:
        """Set every number; what stands in the objective times scale."""
        numbers = {**_risk_numbers(problem, scale), **_charge_numbers(problem, scale)}
        numbers |= _sleeve_numbers(problem, room, scale)
        for name, parameter in self.of.items():
            # save_value: what is positive semidefinite was judged once, by validate.
            parameter.save_value(numbers[name])


def _risk_numbers(problem: AllocationProblem, scale: float) -> dict[str, Floats | float]:
    gamma, Sigma, w0 = problem.risk_aversion, problem.covariance, problem.start
    numbers: dict[str, Floats | float] = {
        "drift": scale * gamma * (Sigma @ w0),
        "half_curvature": scale * gamma / 2 * Sigma,
    }
    if problem.factors is not None:
        numbers["factor_rows"] = np.sqrt(scale * gamma / 2) * problem.factors.rows
        numbers["factor_rest"] = scale * gamma / 2 * problem.factors.rest
    return numbers


def _charge_numbers(problem: AllocationProblem, scale: float) -> dict[str, Floats | float]:
    charges, Sigma, w0 = problem.charges, problem.covariance, problem.start
    numbers: dict[str, Floats | float] = {"start": w0}
    plain = {
        "carry": charges.carry,
        "robustness": charges.robustness,
        "borrow": charges.borrow,
    }
    numbers |= {name: scale * rate for name, rate in plain.items() if rate is not None}
    for name, rate, power in (
        ("impact", charges.impact, 1.5), ("square", charges.impact_square, 2.0),
    ):  # fmt: skip
        if rate is not None:
            numbers[name] = scale * charges.impact_weight * rate
            numbers[f"{name}_cash"] = rate ** (1.0 / power)
    if charges.tracking:
        apart = w0 if charges.benchmark is None else w0 - charges.benchmark
        numbers["tracking_drift"] = scale * charges.tracking * (Sigma @ apart)
        numbers["tracking_curvature"] = scale * charges.tracking / 2 * Sigma
    if charges.diversification:
        alone = scale * charges.diversification * np.diag(Sigma)
        numbers["diversification_drift"] = alone * w0
        numbers["diversification_weight"] = alone / 2
    return numbers


def _sleeve_numbers(
    problem: AllocationProblem, room: Room, scale: float
) -> dict[str, Floats | float]:
    sleeves = problem.sleeves
    if sleeves is None:
        return {}
    return {
        "targets": sleeves.targets,
        "sizes_most": sizes_most(sleeves),
        "wish_weight": scale * sleeves.wish_weight,
        "wished": scale * sleeves.wish_weight * sleeves.wished,
        "house_weight": scale * sleeves.house_weight / 2,
        "house_max": room.house,
    }


@dataclass(frozen=True, slots=True)
class Terms:
    """All that the objective is charged besides linear costs, and what comes with it.

    charge: convex scalar, the risk included. impact: what trades take of cash besides. sizes: (s,)
    of the sleeves; constraints: on them; house: the one whose dual prices the house book, which the
    first of the constraints ties to the trades.
    """

    parameters: TermParameters
    charge: cp.Expression
    impact: cp.Expression | float
    sizes: cp.Variable | None
    constraints: list[cp.Constraint]
    house: cp.Constraint | None


def build_terms(shape: Shape, z: cp.Variable, buys: cp.Expression, sells: cp.Expression) -> Terms:
    """The terms of one shape. z: (n,) trades; buys, sells: (n,) their parts, both >= 0."""
    given, n = TermParameters(shape), z.shape[0]
    charge = _risk_of(given, z, n)
    if shape.carry:
        charge += carry_cost(z, given.vector("carry", n))
    if shape.tracking:
        drift = given.vector("tracking_drift", n)
        charge += tracking(z, drift, given.matrix("tracking_curvature", n, n, psd=True))
    if shape.diversification:
        drift = given.vector("diversification_drift", n)
        charge += diversification(z, drift, given.vector("diversification_weight", n, nonneg=True))
    if shape.square:
        charge += square_cost(z, given.vector("square", n, nonneg=True))
    if shape.impact:
        charge += impact_cost(buys + sells, given.vector("impact", n, nonneg=True))
    impact = impact_in_cash(given, z, buys, sells)
    weights = z
    if shape.robustness or shape.borrow or shape.sleeves:
        weights = z + given.vector("start", n)
    if shape.robustness:
        charge += robustness(weights, given.vector("robustness", n, nonneg=True))
    if shape.borrow:
        charge += borrow_cost(weights, given.vector("borrow", n, nonneg=True))
    if not shape.sleeves:
        return Terms(given, charge, impact, None, [], None)
    return _with_sleeves(given, charge, impact, weights, n)


def impact_in_cash(
    given: TermParameters, z: cp.Variable, buys: cp.Expression, sells: cp.Expression
) -> cp.Expression | float:
    """What trades take of cash besides their linear costs: convex scalar, fraction of NAV."""
    paid: cp.Expression | float = 0.0
    if given.shape.square:
        paid = paid + square_taken(z, given.vector("square_cash", z.shape[0], nonneg=True))
    if given.shape.impact:
        scale = given.vector("impact_cash", z.shape[0], nonneg=True)
        paid = paid + impact_taken(buys + sells, scale)
    return paid


def _risk_of(given: TermParameters, z: cp.Variable, n: int) -> cp.Expression:
    drift, factors = given.vector("drift", n), given.shape.factors
    if not factors:
        return risk(z, drift, given.matrix("half_curvature", n, n, psd=True))
    rows = given.matrix("factor_rows", factors, n)
    return factor_risk(z, drift, rows, given.vector("factor_rest", n, nonneg=True))


def _with_sleeves(
    given: TermParameters,
    charge: cp.Expression,
    impact: cp.Expression | float,
    weights: cp.Expression,
    n: int,
) -> Terms:
    """The same with the strategies' sizes and the house book, w = T a + d."""
    s = given.shape.sleeves
    sizes, book = cp.Variable(s, name="sizes"), cp.Variable(n, name="house")
    split = weights == given.matrix("targets", n, s) @ sizes + book
    rows = [split, sizes >= 0, sizes <= given.vector("sizes_most", s, nonneg=True)]
    charge += wish_gap(
        sizes, given.vector("wish_weight", s, nonneg=True), given.vector("wished", s)
    )
    charge += house_risk(book, given.scalar("house_weight"))
    house = None
    if given.shape.house:
        house = total(absolute(book)) <= given.scalar("house_max")
        rows.append(house)
    if given.shape.least_house:
        charge = total(absolute(book))
    return Terms(given, charge, impact, sizes, rows, house)
