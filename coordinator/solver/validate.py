"""Refuses what is no allocation problem, before it reaches a solver.

Place in the flow: after `plain`, in `CvxAllocator.allocate`. It must never judge whether a problem
has a good answer: infeasible, breached or contradictory limits are normal input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.errors import ProblemError
from coordinator.solver.plain import SCALARS, VECTORS
from coordinator.solver.validate_limits import check_limits
from coordinator.solver.validate_terms import all_finite, check_terms

__all__ = ["check_problem", "positive_semidefinite"]

_NONNEGATIVE = (
    "working_buys",
    "lot_weight",
    "cost_buy",
    "cost_sell",
    "trade_max",
    "turnover_max",
    "trade_min",
)
_BOUNDS = ("trade_max", "position_min", "position_max", "gross_max", "cash_floor", "turnover_max")
_POSITIVE = ("nav", "risk_aversion")
_SIZED = ("mu", "filled", "working_buys", "working_sells", "lot_weight", "cost_buy", "cost_sell")
_LARGEST = 1e100
"""What is larger has no square; bounds may be any finite number."""
_SIZED_ROWS = [VECTORS.index(name) for name in _SIZED]
_NONNEGATIVE_ROWS = [i for i, name in enumerate(VECTORS) if name in _NONNEGATIVE]
_NONNEGATIVE_SCALARS = [i for i, name in enumerate(SCALARS) if name in _NONNEGATIVE]


def check_problem(problem: AllocationProblem) -> None:
    """Raise ProblemError, naming the field, unless shapes, signs and finiteness are right."""
    n = len(problem.instruments)
    check_limits(problem.limits, n)
    if not _passes(problem, n):
        _find_fault(problem, n)
    check_terms(problem)


def _find_fault(problem: AllocationProblem, n: int) -> None:
    """Go through the fields and raise for the first that is wrong."""
    for name in VECTORS:
        _check_shape(name, getattr(problem, name), (n,))
    _check_shape("covariance", problem.covariance, (n, n))
    _check_shape("exit_odd_lot", problem.exit_odd_lot, (n,))
    for name in (*VECTORS, "covariance", *SCALARS):
        if not np.all(np.isfinite(getattr(problem, name))):
            remedy = "use a large finite bound" if name in _BOUNDS else "give finite numbers"
            raise ProblemError(name, "holds NaN or infinity", remedy=remedy)
    _check_sizes(problem)
    for name in _NONNEGATIVE:
        if np.any(np.asarray(getattr(problem, name)) < 0):
            raise ProblemError(name, "is negative", remedy="give zero or more")
    for name in _POSITIVE:
        if getattr(problem, name) <= 0:
            raise ProblemError(name, "is not positive", remedy="give more than zero")
    if np.any(problem.working_sells > 0):
        raise ProblemError("working_sells", "is positive", remedy="give open sells as negatives")


def _check_sizes(problem: AllocationProblem) -> None:
    for name in (*_SIZED, "covariance", "cash"):
        if np.any(np.abs(getattr(problem, name)) > _LARGEST):
            raise ProblemError(name, f"is beyond {_LARGEST:g}", remedy="mind its unit: of NAV")


def _passes(problem: AllocationProblem, n: int) -> bool:
    """Whether everything is right, found in one go; otherwise the fields are gone through."""
    vectors = [getattr(problem, name) for name in VECTORS]
    if problem.covariance.shape != (n, n) or any(one.shape != (n,) for one in vectors):
        return False
    if problem.exit_odd_lot.shape != (n,):
        return False
    scalars = [float(getattr(problem, name)) for name in SCALARS]
    rows = np.array(vectors, dtype=np.float64)
    return bool(
        np.isfinite(rows).all()
        and all(map(math.isfinite, scalars))
        and all_finite(problem.covariance)
        and (np.abs(rows[_SIZED_ROWS]) <= _LARGEST).all()
        and np.abs(problem.covariance).max(initial=0.0) <= _LARGEST
        and abs(problem.cash) <= _LARGEST
        and (rows[_NONNEGATIVE_ROWS] >= 0).all()
        and all(scalars[i] >= 0 for i in _NONNEGATIVE_SCALARS)
        and all(getattr(problem, name) > 0 for name in _POSITIVE)
        and not (problem.working_sells > 0).any()
    )


def _check_shape(name: str, value: NDArray[Any], shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise ProblemError(
            name, f"has shape {value.shape}", remedy=f"give {shape}, ordered as instruments"
        )


def positive_semidefinite(covariance: Floats) -> tuple[Floats, bool]:
    """(n, n) symmetric covariance without negative eigenvalues, and whether it had to be mended.

    A covariance that already is one comes back bit for bit; negative eigenvalues are set to zero.
    """
    symmetric = covariance
    if not np.array_equal(covariance, covariance.T):
        symmetric = (covariance + covariance.T) / 2
    jitter = 1e-12 * max(float(np.max(np.diag(symmetric), initial=0.0)), np.finfo(float).tiny)
    try:
        lifted = symmetric.copy()
        np.einsum("ii->i", lifted)[:] += jitter
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(symmetric)
        mended = (vectors * np.maximum(values, 0.0)) @ vectors.T
        return (mended + mended.T) / 2, True
    return symmetric, symmetric is not covariance
