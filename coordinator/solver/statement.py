"""States an allocation problem from arrays, for a notebook: whatever is left out is not there.

Place in the flow: for whoever uses the solver as a library, without any log. The engine states its
problems itself. It must never guess a number that matters: what has no neutral value is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from coordinator.core.ports import (
    NO_CHARGES,
    AllocationProblem,
    Charges,
    Floats,
    LimitKind,
    RiskEstimate,
    Sleeves,
    WeightLimit,
)
from coordinator.solver.errors import ProblemError
from coordinator.solver.plain import OF_WEIGHTS, plain_array, plain_limits, plain_names

__all__ = ["limit_of", "problem_of"]

_UNBOUNDED = 1e3
"""A bound that no weight reaches, fraction of NAV: solvers want finite ones."""


def problem_of(  # noqa: PLR0913 - a problem has that many numbers, most of them optional
    mu: ArrayLike,
    covariance: ArrayLike | None = None,
    *,
    risk_aversion: float,
    factors: RiskEstimate | None = None,
    instruments: Sequence[str] | None = None,
    nav: float = 1.0,
    weights: ArrayLike = 0.0,
    cash: float | None = None,
    working_buys: ArrayLike = 0.0,
    working_sells: ArrayLike = 0.0,
    cost_buy: ArrayLike = 0.0,
    cost_sell: ArrayLike = 0.0,
    position_min: ArrayLike = 0.0,
    position_max: ArrayLike = 1.0,
    gross_max: float = 1.0,
    cash_floor: float = 0.0,
    turnover_max: float = _UNBOUNDED,
    trade_max: ArrayLike = _UNBOUNDED,
    trade_min: float = 0.0,
    lot_weight: ArrayLike = 0.0,
    exit_odd_lot: ArrayLike = True,
    limits: Iterable[WeightLimit] = (),
    charges: Charges = NO_CHARGES,
    sleeves: Sleeves | None = None,
) -> AllocationProblem:
    """An allocation problem; fields as `AllocationProblem`'s, scalars stand for all instruments.

    mu: (n,) expected returns over the horizon. covariance: (n, n) over the same horizon, or
    factors, rows' rows + diag(rest), in its place. weights: held now. cash: held now; default: what
    the weights leave. By default long-only, without borrowing, costs, lots or working orders.
    Raises ProblemError, naming the field, where shapes do not fit.
    """
    expected = plain_array("mu", mu).copy()
    if expected.ndim != 1:
        raise ProblemError("mu", f"has shape {expected.shape}", remedy="give (n,)")
    n = len(expected)
    names = tuple(f"x{i}" for i in range(n))
    if instruments is not None:
        names = plain_names("instruments", instruments)
    if len(names) != n or len(set(names)) != n:
        told = f"are {len(names)}, {len(set(names))} of them different"
        raise ProblemError("instruments", told, remedy=f"give {n} different names")
    held = _vector("weights", weights, n)
    vectors = {
        "working_buys": working_buys, "working_sells": working_sells, "cost_buy": cost_buy,
        "cost_sell": cost_sell, "position_min": position_min, "position_max": position_max,
        "trade_max": trade_max, "lot_weight": lot_weight,
    }  # fmt: skip
    return AllocationProblem(
        instruments=names, nav=nav, mu=expected, risk_aversion=risk_aversion, filled=held,
        covariance=_covariance(covariance, factors, n),
        cash=1.0 - float(held.sum()) if cash is None else cash,
        exit_odd_lot=_vector("exit_odd_lot", exit_odd_lot, n).astype(np.bool_),
        gross_max=gross_max, cash_floor=cash_floor, turnover_max=turnover_max, trade_min=trade_min,
        limits=plain_limits(limits, n), charges=_spread(charges, n), sleeves=sleeves,
        factors=factors,
        **{name: _vector(name, value, n) for name, value in vectors.items()},
    )  # fmt: skip


def limit_of(
    name: str,
    kind: LimitKind,
    *,
    upper: ArrayLike = np.inf,
    lower: ArrayLike = -np.inf,
    rows: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    tier: int = 0,
) -> WeightLimit:
    """A further limit; fields as `WeightLimit`'s, a number stands for all of its rows.

    rows: (n,) or (k, n), of "linear" and "gross" limits; the others have none. labels: one a row;
    default: their numbers, and none for a single one. tier: 0 is a hard limit. Raises ProblemError,
    naming the field, where rows are missing or numbers are none.
    """
    if kind not in get_args(LimitKind):
        known = ", ".join(get_args(LimitKind))
        raise ProblemError(f"{name}.kind", f"is {kind!r}", remedy=f"give one of {known}")
    given = np.zeros((1, 0)) if rows is None else np.atleast_2d(plain_array(f"{name}.rows", rows))
    table = given.shape == (len(given), given.shape[-1])
    if (kind in OF_WEIGHTS) != bool(given.size) or not table:
        told = f"have shape {given.shape}" if given.size else "are missing"
        remedy = f"give (n,) or (k, n) for {kind}" if kind in OF_WEIGHTS else f"{kind} has none"
        raise ProblemError(f"{name}.rows", told, remedy=remedy)
    k, bounds = len(given), {"upper": upper, "lower": lower}
    names = [""] if k == 1 else [str(row) for row in range(k)]
    return WeightLimit(
        name=name, kind=kind, rows=given, tier=tier,
        labels=tuple(names) if labels is None else plain_names(f"{name}.labels", labels),
        **{field: _vector(f"{name}.{field}", value, k, like="rows")
           for field, value in bounds.items()},
    )  # fmt: skip


def _spread(charges: Charges, n: int) -> Charges:
    """The charges with single numbers standing for all instruments."""
    if not isinstance(charges, Charges):
        raise ProblemError("charges", f"is {type(charges).__name__}", remedy="give Charges")
    given = {one.name: getattr(charges, one.name) for one in fields(Charges) if one.default is None}
    spread: dict[str, Any] = {
        name: _vector(f"charges.{name}", value, n)
        for name, value in given.items()
        if value is not None
    }
    return replace(charges, **spread) if spread else charges


def _covariance(covariance: ArrayLike | None, factors: RiskEstimate | None, n: int) -> Floats:
    """(n, n), not to be written to, so that solving twice judges it once."""
    if covariance is None and factors is None:
        raise ProblemError("covariance", "is missing", remedy=f"give ({n}, {n}), or factors")
    if factors is not None and factors.rows.shape[1:] != (n,):
        told = f"has shape {factors.rows.shape}"
        raise ProblemError("factors.rows", told, remedy=f"give (m, {n}), ordered as instruments")
    found = factors.covariance() if covariance is None and factors is not None else covariance
    whole = plain_array("covariance", found).copy()
    if whole.shape != (n, n):
        raise ProblemError("covariance", f"has shape {whole.shape}", remedy=f"give ({n}, {n})")
    whole.setflags(write=False)
    return whole


def _vector(name: str, value: Any, n: int, like: str = "mu") -> Floats:
    given = plain_array(name, value)
    if given.shape not in ((), (n,)):
        raise ProblemError(
            name, f"has shape {given.shape}", remedy=f"give a number, or ({n},) as {like}"
        )
    return np.broadcast_to(given, (n,)).copy()
