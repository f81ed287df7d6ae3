"""Limit on the volatility of the portfolio that the trades lead to: a cone."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats

__all__ = ["root_of", "volatility_limit", "volatility_slope", "volatility_used"]


def volatility_limit(
    trades: cp.Variable, root: cp.Parameter, start: cp.Parameter, room: cp.Expression
) -> cp.SOC:
    """The root of w' Sigma w stays within room, w what is held, working and traded.

    trades: (n,) signed fractions of NAV. root: (n, n) R with R'R = Sigma. start: (n,) R w0, the
    part of what is held and working. room: scalar, over the horizon. Its dual is the price of
    volatility and, per entry of R w, where the price pulls. Source: MATH, stage B.
    """
    return cp.SOC(room, root @ trades + start)


def root_of(covariance: Floats) -> Floats:
    """(n, n) R with R'R = covariance, singular or not."""
    values, vectors = np.linalg.eigh(covariance)
    result: Floats = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return result


def volatility_used(problem: AllocationProblem, trades: Floats) -> float:
    """The root of w' Sigma w over the horizon, w = filled + working + trades."""
    w = problem.start + trades
    return float(np.sqrt(max(float(w @ (problem.covariance @ w)), 0.0)))


def volatility_slope(problem: AllocationProblem, trades: Floats) -> Floats:
    """(n,) change of the volatility per unit of trade; zeros where there is no volatility."""
    w = problem.start + trades
    pulled = problem.covariance @ w
    size = float(np.sqrt(max(float(w @ pulled), 0.0)))
    result: Floats = pulled / size if size > 0.0 else np.zeros_like(pulled)
    return result
