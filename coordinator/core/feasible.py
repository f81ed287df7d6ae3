"""Feasible: by how much linear rows have to give way so that all can hold, and which are to blame.

Place in the flow: asked by `mandates` when one arrives that wants something held. A function of its
arguments: HiGHS' dual simplex begins from nothing, in one thread and under an iteration limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats

__all__ = ["Line", "Strain", "least_strain"]

BLAME_MIN = 1e-9
"""Multipliers closer to 0 than this blame nobody."""
ITERATIONS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Line:
    """One row: values at columns, at most bound. rigid: it never gives way."""

    columns: Sequence[int] | NDArray[np.intp]
    values: Sequence[float] | Floats
    bound: float
    rigid: bool = False


@dataclass(frozen=True, slots=True)
class Strain:
    """The least t with which every row that is not rigid holds as row x <= bound + t.

    rows: places of the rows that no smaller t lets hold together; lower, upper: places of the
    columns whose bounds have a part in that (Farkas' multipliers that are not 0).
    """

    least: float
    rows: tuple[int, ...]
    lower: tuple[int, ...]
    upper: tuple[int, ...]


def least_strain(lines: Sequence[Line], *, lower: Floats, upper: Floats) -> Strain | None:
    """How far the rows are from holding together; None where the solver gives no answer.

    lower, upper: (k,) bounds of the columns, lower <= upper; infinite ones bound nothing.
    """
    # The package takes a quarter of a second to import, and few mandates need it.
    from scipy.optimize import linprog  # noqa: PLC0415 - as the comment says
    from scipy.sparse import csr_array  # noqa: PLC0415 - as the comment says

    k = len(lower)
    columns = [np.append(np.asarray(one.columns, dtype=np.intp), k) for one in lines]
    values = [np.append(np.asarray(one.values), 0.0 if one.rigid else -1.0) for one in lines]
    starts = np.concatenate(([0], np.cumsum([len(one) for one in columns])))
    rows = csr_array(
        (np.concatenate(values), np.concatenate(columns), starts), shape=(len(lines), k + 1)
    )
    found = linprog(
        np.append(np.zeros(k), 1.0),
        A_ub=rows,
        b_ub=np.array([one.bound for one in lines]),
        bounds=np.column_stack([np.append(lower, 0.0), np.append(upper, np.inf)]),
        method="highs-ds",
        options={"maxiter": ITERATIONS_MAX},
    )
    if found.status != 0:
        return None
    return Strain(
        float(found.fun),
        _places(found.ineqlin.marginals),
        _places(found.lower.marginals[:k]),
        _places(found.upper.marginals[:k]),
    )


def _places(multipliers: Floats) -> tuple[int, ...]:
    return tuple(np.flatnonzero(np.abs(multipliers) > BLAME_MIN).tolist())
