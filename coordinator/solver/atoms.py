"""The few cvxpy atoms used, with types that cvxpy does not declare.

Place in the flow: read by terms, limits and model. It must never add meaning of its own.
"""

from __future__ import annotations

from typing import cast

import cvxpy as cp

__all__ = [
    "absolute",
    "negative_part",
    "power_three_halves",
    "quadratic_form",
    "squares",
    "sum_squares",
    "total",
]


def total(*parts: cp.Expression) -> cp.Expression:
    """Sum over all entries of all parts: scalar."""
    atom = vars(cp)["sum"]
    return cast("cp.Expression", sum((atom(part) for part in parts[1:]), atom(parts[0])))


def quadratic_form(x: cp.Expression, matrix: cp.Parameter) -> cp.Expression:
    """x'Mx: convex scalar. x: (n,), matrix: (n, n) positive semidefinite, judged by `validate`.

    cvxpy's own test is a search for an eigenvalue that can fail.
    """
    return cast("cp.Expression", vars(cp)["quad_form"](x, matrix, assume_PSD=True))


def sum_squares(*parts: cp.Expression) -> cp.Expression:
    """Sum of the squares of all entries of all parts: convex scalar."""
    atom = vars(cp)["sum_squares"]
    return cast("cp.Expression", sum((atom(part) for part in parts[1:]), atom(parts[0])))


def squares(x: cp.Expression) -> cp.Expression:
    """The square of each entry: convex, as x."""
    return cast("cp.Expression", vars(cp)["square"](x))


def absolute(x: cp.Expression) -> cp.Expression:
    """The size of each entry: convex, as x."""
    return cast("cp.Expression", vars(cp)["abs"](x))


def negative_part(x: cp.Expression) -> cp.Expression:
    """How far each entry is below 0: convex, as x."""
    return cast("cp.Expression", vars(cp)["neg"](x))


def power_three_halves(x: cp.Expression) -> cp.Expression:
    """Each entry to the power 3/2: convex, as x, which is >= 0.

    As a power cone: the default, second-order cones, mostly ends inaccurate. Source: MATH, stage B.
    """
    return cast("cp.Expression", vars(cp)["power"](x, 1.5, approx=False))
