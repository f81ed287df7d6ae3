"""What a caller gives as rows of float64 and Python numbers, or a refusal by the field's name.

Place in the flow: first step of `CvxAllocator.allocate`, before `validate` judges shapes and signs.
What is plain already, as the engine's is, comes back itself. It must never change a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from coordinator.core.ports import (
    NO_CHARGES,
    AllocationProblem,
    Charges,
    Floats,
    RiskEstimate,
    Sleeves,
    WeightLimit,
)
from coordinator.solver.errors import ProblemError

__all__ = [
    "OF_WEIGHTS",
    "SCALARS",
    "VECTORS",
    "plain_array",
    "plain_limits",
    "plain_names",
    "plain_problem",
]

VECTORS = (
    "mu",
    "filled",
    "working_buys",
    "working_sells",
    "lot_weight",
    "cost_buy",
    "cost_sell",
    "trade_max",
    "position_min",
    "position_max",
)
"""Fields of a problem that are (n,) numbers."""
SCALARS = (
    "nav",
    "risk_aversion",
    "cash",
    "gross_max",
    "cash_floor",
    "turnover_max",
    "trade_min",
)
"""Fields of a problem that are one number."""

OF_WEIGHTS = ("linear", "gross")
"""Kinds of further limits that have rows of coefficients."""

_CHARGED = tuple(one.name for one in fields(Charges) if one.default is None)
_WEIGHTS = tuple(one.name for one in fields(Charges) if one.default is not None)

_Made = TypeVar("_Made", AllocationProblem, Charges, RiskEstimate, Sleeves, WeightLimit)


def plain_problem(problem: AllocationProblem) -> AllocationProblem:
    """The same problem, so that its bits do not depend on how its numbers lie in memory.

    Raises ProblemError where a field is of another kind than it has to be.
    """
    _check_kind("problem", problem, AllocationProblem)
    changed = _plain("", problem, (*VECTORS, "covariance"), SCALARS)
    names = problem.instruments
    if type(names) is not tuple:
        names = changed["instruments"] = plain_names("instruments", names)
    odd = problem.exit_odd_lot
    if getattr(odd, "dtype", None) != np.bool_:
        told = plain_array("exit_odd_lot", odd)
        if np.isnan(told).any():
            raise ProblemError("exit_odd_lot", "holds NaN", remedy="give True or False")
        changed["exit_odd_lot"] = told.astype(np.bool_)
    parts = {
        "charges": _charges(problem.charges),
        "sleeves": _sleeves(problem.sleeves),
        "factors": _factors(problem.factors),
        "limits": plain_limits(problem.limits, len(names)),
    }
    changed |= {name: it for name, it in parts.items() if it is not getattr(problem, name)}
    return replace(problem, **changed) if changed else problem


def plain_array(name: str, value: Any) -> Floats:
    """A row or table of float64 as it lies whole in memory; itself where it is that already.

    Raises ProblemError, naming the field, for what is no array of real numbers.
    """
    if type(value) is np.ndarray and value.dtype == np.float64 and _lies_whole(value):
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ProblemError(name, "has masked entries", remedy="fill them")
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "biuf":
            raise ProblemError(name, f"holds {given.dtype}", remedy="give real numbers, as float64")
        return np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ProblemError):
            raise
        raise ProblemError(
            name, f"is no array of numbers: {error}", remedy="give float64"
        ) from error


def _lies_whole(value: Floats) -> bool:
    """Whether it lies in memory as others do: arithmetic on another way has other last digits."""
    flags = value.flags
    return bool(flags.c_contiguous and flags.aligned)


def _number(name: str, value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ProblemError(name, "is no number", remedy="give a float")
    try:
        return float(value)
    except OverflowError as error:
        raise ProblemError(name, "is beyond all floats", remedy="give a float") from error


def _plain(
    where: str, given: _Made, arrays: Iterable[str], numbers: Iterable[str]
) -> dict[str, Any]:
    """The named fields that are not plain, as they are when they are."""
    changed: dict[str, Any] = {}
    for name in arrays:
        value = getattr(given, name)
        found = plain_array(where + name, value)
        if found is not value:
            changed[name] = found
    for name in numbers:
        value = getattr(given, name)
        number = _number(where + name, value)
        if number is not value:
            changed[name] = number
    return changed


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ProblemError(name, f"is {type(value).__name__}", remedy=f"give {kind.__name__}")


def plain_names(name: str, value: Any) -> tuple[str, ...]:
    """Names as a tuple; one name alone is no list of its letters."""
    found = None if isinstance(value, str | bytes) else _all_of(value)
    if found is None or not all(isinstance(one, str) for one in found):
        raise ProblemError(name, "are no names", remedy="give a list of strings")
    return found if found is value else tuple(str(one) for one in found)


def _all_of(value: Any) -> tuple[Any, ...] | None:
    """What an iterable holds; None for what is none."""
    try:
        return tuple(value)
    except TypeError:
        return None


def _charges(charges: Charges) -> Charges:
    """The same, plain; a single number is no array: `problem_of` spreads those."""
    if charges is NO_CHARGES:
        return charges
    _check_kind("charges", charges, Charges)
    arrays = [name for name in _CHARGED if getattr(charges, name) is not None]
    changed = _plain("charges.", charges, arrays, _WEIGHTS)
    return replace(charges, **changed) if changed else charges


def _sleeves(sleeves: Sleeves | None) -> Sleeves | None:
    if sleeves is None:
        return None
    _check_kind("sleeves", sleeves, Sleeves)
    arrays, numbers = (
        ("targets", "size_max", "wished", "wish_weight"),
        ("house_weight", "house_max"),
    )
    changed = _plain("sleeves.", sleeves, arrays, numbers)
    names = plain_names("sleeves.names", sleeves.names)
    if names is not sleeves.names:
        changed["names"] = names
    return replace(sleeves, **changed) if changed else sleeves


def _factors(factors: RiskEstimate | None) -> RiskEstimate | None:
    if factors is None:
        return None
    _check_kind("factors", factors, RiskEstimate)
    changed = _plain("factors.", factors, ("rows", "rest"), ())
    return replace(factors, **changed) if changed else factors


def plain_limits(limits: Any, n: int) -> tuple[WeightLimit, ...]:
    """Further limits over n instruments as a tuple.

    Raises ProblemError, naming limit and field, for what is none.
    """
    given = None if isinstance(limits, str | bytes) else _all_of(limits)
    if given is None:
        raise ProblemError("limits", f"is {type(limits).__name__}", remedy="give a list of them")
    found = tuple(_limit(f"limits[{at}]", one, n) for at, one in enumerate(given))
    same = all(one is other for one, other in zip(found, given, strict=True))
    return given if same else found


def _limit(where: str, limit: WeightLimit, n: int) -> WeightLimit:
    _check_kind(where, limit, WeightLimit)
    if not isinstance(limit.name, str):
        raise ProblemError(f"{where}.name", "is no name", remedy="give a string")
    if not isinstance(limit.kind, str):
        raise ProblemError(f"{where}.kind", "is no kind", remedy="give a string")
    changed = _plain(f"{where}.", limit, ("rows", "lower", "upper"), ())
    if limit.kind not in OF_WEIGHTS and np.shape(limit.rows) == (1, 0):
        changed["rows"] = np.zeros((1, n))  # they have no meaning
    labels = plain_names(f"{where}.labels", limit.labels)
    if labels is not limit.labels:
        changed["labels"] = labels
    return replace(limit, **changed) if changed else limit
