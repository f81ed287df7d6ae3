"""Segments handed to PIQP with the covariance in factors: many names cost little more than few.

Place in the flow: `segment_qp` asks here where a problem has its factors and enough names that they
are worth it. With y = F z the variance is y'y + z'Dz: a diagonal and a few dense rows, where the
whole covariance is a dense square. The answer is the same to the solver's tolerance. Paper symbols:
F the factors' rows, D the rest, T targets.
"""

from __future__ import annotations

import numpy as np
import piqp
from numpy.typing import NDArray
from scipy import sparse

from coordinator.core.ports import AllocationProblem, Floats, RiskEstimate, Sleeves
from coordinator.solver.pinned import pin
from coordinator.solver.segments import Segments, size_units
from coordinator.solver.settings import SolverSettings
from coordinator.solver.worth import curvature_added, variance_weight

__all__ = ["set_up_factors", "suits_factors"]

_PARTS_MIN = 90
"""Of fewer parts the dense square is quicker."""
_SHARE_MAX = 0.4
"""Factors, strategies and rows together, as a share of the parts: more, and nothing is saved."""


def suits_factors(problem: AllocationProblem, parts: int, rows: int) -> bool:
    """Whether the problem has factors, few enough beside so many parts."""
    if problem.factors is None or parts < _PARTS_MIN:
        return False
    dense = len(problem.factors.rows) + rows
    if problem.sleeves is not None:
        dense += len(problem.sleeves.names)
    return dense <= _SHARE_MAX * parts


def set_up_factors(
    problem: AllocationProblem,
    parts: Segments,
    kept: NDArray[np.intp],
    left: Floats,
    scale: float,
    slopes: Floats,
    settings: SolverSettings,
    bent: Floats | None = None,
) -> piqp.SparseSolver:
    """A solver of parts' lengths, then (m,) y, that has seen nothing but this problem.

    Arguments as of `segment_qp.set_up`; slopes are per unit of each part.
    """
    factors = _factors(problem)
    name, k, m = parts.name, len(parts.name), len(factors.rows)
    solver = piqp.SparseSolver()
    pin(solver, settings, settings.quick_tolerance)
    seen = np.zeros((m, k))
    of_trade = name < len(parts.start)
    seen[:, of_trade] = factors.rows[:, name[of_trade]]
    unbounded = np.full(m, np.inf)
    solver.setup(
        P=_curvature(problem, factors, parts, scale, bent),
        c=np.concatenate([scale * (parts.cost - slopes[name]), np.zeros(m)]),
        A=_columns(seen, minus=True),
        b=np.zeros(m),
        G=_columns(parts.uses[kept], more=m),
        h_u=left,
        x_l=np.concatenate([parts.low, -unbounded]),
        x_u=np.concatenate([parts.high, unbounded]),
    )
    return solver


def _factors(problem: AllocationProblem) -> RiskEstimate:
    if problem.factors is None:
        message = "set_up_factors is for problems that suit it"
        raise ValueError(message)
    return problem.factors


def _columns(block: Floats, *, more: int = 0, minus: bool = False) -> sparse.csc_matrix:
    """A dense block as a sparse matrix; behind it so many empty columns, or -1 on a diagonal."""
    rows, columns = block.shape
    values, at = np.ascontiguousarray(block.T).reshape(-1), np.tile(np.arange(rows), columns)
    ends = np.arange(columns + 1) * rows
    behind = np.full(more, columns * rows)
    if minus:
        values = np.concatenate([values, np.full(rows, -1.0)])
        at = np.concatenate([at, np.arange(rows)])
        behind = columns * rows + 1 + np.arange(rows)
    shape = rows, columns + len(behind)
    return sparse.csc_matrix((values, at, np.concatenate([ends, behind])), shape=shape)


def _curvature(
    problem: AllocationProblem,
    factors: RiskEstimate,
    parts: Segments,
    scale: float,
    bent: Floats | None,
) -> sparse.csc_matrix:
    """(k + m, k + m), the upper triangle: parts of one name, strategies with all, y."""
    name, n, k, m = parts.name, len(parts.start), len(parts.name), len(factors.rows)
    weight, sleeves = variance_weight(problem), problem.sleeves
    alone = weight * factors.rest
    for added in (curvature_added(problem), bent):
        alone = alone if added is None else alone + added
    if sleeves is not None:
        alone = alone + sleeves.house_weight
    trades = int((name < n).sum())
    one, other = _same(name[:trades])
    values, rows, columns = [alone[name[one]]], [one], [other]
    if sleeves is not None and trades < k:
        found = _of_sizes(sleeves, name[:trades], trades)
        values.append(found[0])
        rows.append(found[1])
        columns.append(found[2])
    values.append(np.full(m, weight))
    rows.append(k + np.arange(m))
    columns.append(k + np.arange(m))
    entries = scale * np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return sparse.coo_matrix(entries, shape=(k + m, k + m)).tocsc()


def _same(name: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of parts of one name, each part with itself too, the earlier one first."""
    order = np.argsort(name, kind="stable")
    one, other = [order], [order]
    step = 1
    while step < len(order):
        first, second = order[:-step], order[step:]
        alike = name[first] == name[second]
        if not alike.any():
            break
        one.append(first[alike])
        other.append(second[alike])
        step += 1
    rows, columns = np.concatenate(one), np.concatenate(other)
    return np.minimum(rows, columns), np.maximum(rows, columns)


def _of_sizes(
    sleeves: Sleeves, name: NDArray[np.intp], trades: int
) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """The entries of sizes with trades and among themselves: -delta T, delta T'T + 2 pi."""
    units = size_units(sleeves)
    targets, s = sleeves.targets * units, len(units)
    delta = sleeves.house_weight
    among = delta * (targets.T @ targets) + np.diag(2.0 * sleeves.wish_weight * units**2)
    block = np.concatenate([-delta * targets[name], among])
    rows, columns = np.divmod(np.arange(block.size), s)
    upper = rows <= trades + columns
    return block.reshape(-1)[upper], rows[upper], trades + columns[upper]
