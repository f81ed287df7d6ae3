"""Refuses what is no further limit, before it reaches a solver.

Place in the flow: part of `validate.check_problem`. It must never judge whether limits can be kept:
contradictory ones are normal input.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from coordinator.core.ports import HOUSE_TIER, LimitKind, WeightLimit
from coordinator.solver.errors import ProblemError
from coordinator.solver.plain import OF_WEIGHTS

__all__ = ["check_limits"]

_KINDS = get_args(LimitKind)
_TIER_MAX = HOUSE_TIER - 1
"""The house book's bound gives way before all others."""


def check_limits(limits: tuple[WeightLimit, ...], n: int) -> None:
    """Raise ProblemError, naming limit and field, unless each limit is one over n instruments."""
    for at, limit in enumerate(limits):
        where = f"limits[{at}]"
        if limit.kind not in _KINDS:
            raise ProblemError(
                f"{where}.kind", f"is {limit.kind!r}", remedy=f"give one of {', '.join(_KINDS)}"
            )
        if type(limit.tier) is not int or not 0 <= limit.tier <= _TIER_MAX:
            raise ProblemError(
                f"{where}.tier",
                f"is {limit.tier!r}",
                remedy=f"give 0 for hard, 1 to {_TIER_MAX} for soft",
            )
        _check_shapes(where, limit, n)
        _check_numbers(where, limit)


def _check_shapes(where: str, limit: WeightLimit, n: int) -> None:
    k = len(limit.labels)
    if limit.kind not in OF_WEIGHTS and k != 1:
        raise ProblemError(
            f"{where}.labels", f"names {k} rows", remedy=f"give one row for {limit.kind}"
        )
    for name, shape in (("rows", (k, n)), ("lower", (k,)), ("upper", (k,))):
        found = getattr(limit, name)
        if not isinstance(found, np.ndarray) or found.shape != shape:
            got = getattr(found, "shape", type(found).__name__)
            raise ProblemError(
                f"{where}.{name}", f"has shape {got}", remedy=f"give {shape}, rows as labels"
            )


def _check_numbers(where: str, limit: WeightLimit) -> None:
    if not np.isfinite(limit.rows).all():
        raise ProblemError(f"{where}.rows", "holds NaN or infinity", remedy="give finite numbers")
    if limit.kind == "gross" and (limit.rows < 0.0).any():
        raise ProblemError(f"{where}.rows", "is negative", remedy="give zero or more for gross")
    # A bound of the wrong infinity could never be kept, by nothing that is a number.
    for name, wrong in (("lower", np.inf), ("upper", -np.inf)):
        bounds = getattr(limit, name)
        if np.isnan(bounds).any() or (bounds == wrong).any():
            raise ProblemError(
                f"{where}.{name}", f"holds NaN or {wrong}", remedy=f"give {-wrong} for none"
            )
    if limit.kind == "cash" and np.isfinite(limit.upper).any():
        raise ProblemError(f"{where}.upper", "bounds cash from above", remedy="give inf")
    if limit.kind not in ("linear", "cash") and np.isfinite(limit.lower).any():
        raise ProblemError(f"{where}.lower", f"bounds {limit.kind} from below", remedy="give -inf")
