"""Small allocation problems for the solver's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.core.ports import AllocationProblem

Make = Callable[..., AllocationProblem]


def build(n: int = 3, **changes: Any) -> AllocationProblem:
    """A calm, long-only problem of n names; numbers are broadcast where a field is a vector."""
    rng = np.random.default_rng(n)
    factors = rng.normal(size=(n, 2)) * 0.02
    zeros = np.zeros(n)
    base = AllocationProblem(
        instruments=tuple(f"I{i:03d}" for i in range(n)),
        nav=1e6,
        mu=rng.normal(size=n) * 0.01,
        covariance=factors @ factors.T + np.diag(rng.uniform(5e-4, 3e-3, n)),
        risk_aversion=5.0,
        filled=zeros,
        working_buys=zeros,
        working_sells=zeros,
        cash=1.0,
        lot_weight=zeros,
        exit_odd_lot=np.ones(n, dtype=bool),
        cost_buy=zeros + 0.001,
        cost_sell=zeros + 0.002,
        trade_max=zeros + 1.0,
        position_min=zeros,
        position_max=zeros + 1.0,
        gross_max=1.0,
        cash_floor=0.0,
        turnover_max=1.0,
        trade_min=0.0,
    )
    vectors = {name for name in changes if isinstance(getattr(base, name), np.ndarray)}
    given: dict[str, Any] = {
        name: _spread(value, getattr(base, name)) if name in vectors else value
        for name, value in changes.items()
    }
    return replace(base, **given)


def _spread(value: Any, like: NDArray[Any]) -> NDArray[Any]:
    """The value in the shape and of the type of the field it replaces."""
    given = np.asarray(value, dtype=like.dtype)
    return given if given.shape == like.shape else given + np.zeros_like(like)


@pytest.fixture
def make() -> Make:
    return build
