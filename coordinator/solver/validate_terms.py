"""Refuses charges, sleeves and factors that are none, before they reach a solver.

Place in the flow: asked by `validate`. It must never judge whether a charge is wise.
"""

from __future__ import annotations

import math
from dataclasses import fields
from functools import lru_cache

import numpy as np

from coordinator.core.ports import (
    AllocationProblem,
    Charges,
    Floats,
    RiskEstimate,
    Sleeves,
)
from coordinator.solver.errors import ProblemError

__all__ = ["all_finite", "check_terms"]

_SIGNED = ("linear_buy", "linear_sell", "carry", "benchmark")
_FINITE = "use finite numbers"
_ROUNDING = 1e-12
_LARGEST = 1e12
"""Nothing of NAV is larger: squares of more are no numbers that a solver knows."""
_NEAR = 1e-6
"""How far, as a share, a covariance and its factors may differ: what rounding leaves."""


def all_finite(values: Floats) -> bool:
    """Whether all are numbers: what is none makes a sum that is none, and then is looked for."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(values.sum()) or bool(np.isfinite(values).all())


def check_terms(problem: AllocationProblem) -> None:
    """Raise ProblemError, naming the field, unless shapes, signs and finiteness are right."""
    n = len(problem.instruments)
    if not problem.charges.none:
        _check_charges(problem, n)
    if problem.sleeves is not None:
        _check_sleeves(problem.sleeves, n)
    if problem.factors is not None:
        _check_factors(problem.factors, problem.covariance, n)


def _check_charges(problem: AllocationProblem, n: int) -> None:
    charges = problem.charges
    for one in fields(Charges):
        value, name = getattr(charges, one.name), f"charges.{one.name}"
        if value is None:
            continue
        if one.default is None:
            _check_shape(name, value, (n,))
        _check_finite(name, value)
        _check_size(name, value)
        if one.name not in _SIGNED and np.any(np.asarray(value) < 0):
            raise ProblemError(name, "is negative", remedy="give zero or more")
    nothing = np.zeros(n)
    extra = [nothing if one is None else one for one in (charges.linear_buy, charges.linear_sell)]
    paid = problem.cost_buy + problem.cost_sell
    # Costs taken back whole leave what float arithmetic makes of nothing.
    if np.any(paid + extra[0] + extra[1] < -_ROUNDING * paid):
        raise ProblemError(
            "charges.linear_buy",
            "makes a purchase and a sale together pay",
            remedy="cost_buy + cost_sell + linear_buy + linear_sell is zero or more",
        )


def _check_sleeves(sleeves: Sleeves, n: int) -> None:
    if not _sleeves_pass(sleeves, n):
        _find_sleeves_fault(sleeves, n)


def _sleeves_pass(sleeves: Sleeves, n: int) -> bool:
    """Whether everything is right, found in one go; otherwise the fields are gone through."""
    s, wished, weight, most = (
        len(sleeves.names), sleeves.wished, sleeves.wish_weight, sleeves.size_max,
    )  # fmt: skip
    if sleeves.targets.shape != (n, s) or any(one.shape != (s,) for one in (wished, weight, most)):
        return False
    # NaN is within no bound.
    sizes = np.concatenate([np.abs(sleeves.targets).reshape(-1), np.abs(wished), weight])
    return bool(
        (sizes <= _LARGEST).all()
        and (weight >= 0.0).all()
        and (most >= 0.0).all()
        and 0.0 <= sleeves.house_weight <= _LARGEST
        and sleeves.house_max >= 0.0
    )


def _find_sleeves_fault(sleeves: Sleeves, n: int) -> None:
    """Go through the fields and raise for the first that is wrong."""
    s = len(sleeves.names)
    _check_shape("sleeves.targets", sleeves.targets, (n, s))
    for name in ("size_max", "wished", "wish_weight"):
        value = getattr(sleeves, name)
        _check_shape(f"sleeves.{name}", value, (s,))
        if np.any(np.isnan(value)) or (name != "size_max" and not np.all(np.isfinite(value))):
            raise ProblemError(f"sleeves.{name}", "holds NaN or infinity", remedy=_FINITE)
        if name != "wished" and np.any(value < 0):
            raise ProblemError(f"sleeves.{name}", "is negative", remedy="give zero or more")
    _check_finite("sleeves.targets", sleeves.targets)
    for name in ("targets", "wished", "wish_weight", "house_weight"):
        _check_size(f"sleeves.{name}", getattr(sleeves, name))
    _check_finite("sleeves.house_weight", sleeves.house_weight)
    if sleeves.house_weight < 0:
        raise ProblemError("sleeves.house_weight", "is negative", remedy="give zero or more")
    if np.isnan(sleeves.house_max) or sleeves.house_max < 0:
        raise ProblemError("sleeves.house_max", "is NaN or negative", remedy="give zero or more")


def _check_factors(factors: RiskEstimate, covariance: Floats, n: int) -> None:
    rows = factors.rows
    _check_shape("factors.rows", rows, (rows.shape[0] if rows.ndim else 0, n))
    _check_shape("factors.rest", factors.rest, (n,))
    for name, value in (("rows", rows), ("rest", factors.rest)):
        if not all_finite(value):
            _check_finite(f"factors.{name}", value)
    if (factors.rest < 0.0).any():
        raise ProblemError("factors.rest", "is negative", remedy="give zero or more")
    # One vector tells two matrices apart: all pairs would take longer than a solve.
    probe = _probe(n)
    told = rows.T @ (rows @ probe) + factors.rest * probe
    known = covariance @ probe
    near = _NEAR * max(np.abs(known).max(initial=0.0), 1e-300)
    if not np.abs(told - known).max(initial=0.0) <= near:  # what is no number is not near
        raise ProblemError(
            "factors",
            "are not those of the covariance",
            remedy="give covariance = factors.covariance()",
        )


@lru_cache(maxsize=64)
def _probe(n: int) -> Floats:
    found: Floats = np.cos(np.arange(n, dtype=np.float64))
    found.setflags(write=False)
    return found


def _check_shape(name: str, value: Floats, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise ProblemError(
            name, f"has shape {value.shape}", remedy=f"give {shape}, ordered as instruments"
        )


def _check_size(name: str, value: Floats | float) -> None:
    if np.any(np.abs(np.asarray(value)) > _LARGEST):
        raise ProblemError(name, f"is beyond {_LARGEST:g}", remedy="mind its unit: of NAV")


def _check_finite(name: str, value: Floats | float) -> None:
    if not np.all(np.isfinite(value)):
        raise ProblemError(name, "holds NaN or infinity", remedy=_FINITE)
