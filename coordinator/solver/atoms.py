"""The few cvxpy atoms used, with types that cvxpy does not declare.

Place in the flow: read by terms, limits and model. It must never add meaning of its own.
"""

from __future__ import annotations

from typing import cast

import cvxpy as cp

__all__ = ["quadratic_form", "sum_squares", "total"]


def total(*parts: cp.Expression) -> cp.Expression:
    """Sum over all entries of all parts: scalar."""
    atom = vars(cp)["sum"]
    return cast("cp.Expression", sum((atom(part) for part in parts[1:]), atom(parts[0])))


def quadratic_form(x: cp.Expression, matrix: cp.Parameter) -> cp.Expression:
    """x'Mx: convex scalar. x: (n,), matrix: (n, n) positive semidefinite."""
    return cast("cp.Expression", vars(cp)["quad_form"](x, matrix))


def sum_squares(*parts: cp.Expression) -> cp.Expression:
    """Sum of the squares of all entries of all parts: convex scalar."""
    atom = vars(cp)["sum_squares"]
    return cast("cp.Expression", sum((atom(part) for part in parts[1:]), atom(parts[0])))
