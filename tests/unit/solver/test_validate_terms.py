"""Charges, sleeves and factors that are none are refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import Charges, RiskEstimate
from coordinator.solver import CvxAllocator, ProblemError, SolverSettings

from .conftest import Make
from .test_charges import sleeves_of

ALLOCATOR = CvxAllocator(SolverSettings())


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("charges.impact", {"impact": np.full(3, -1.0)}),
        ("charges.robustness", {"robustness": np.full(2, 0.1)}),
        ("charges.carry", {"carry": np.full(3, np.nan)}),
        ("charges.tracking", {"tracking": -1.0}),
        ("charges.turnover", {"turnover": np.inf}),
        ("charges.linear_buy", {"linear_buy": np.full(3, -0.1)}),
    ],
)
def test_a_charge_that_is_none_is_refused_by_name(
    make: Make, field: str, given: dict[str, Any]
) -> None:
    with pytest.raises(ProblemError, match=field):
        ALLOCATOR.allocate(replace(make(3), charges=Charges(**given)))


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("sleeves.targets", {"targets": np.ones((2, 4))}),
        ("sleeves.size_max", {"size_max": np.full(4, -1.0)}),
        ("sleeves.wished", {"wished": np.full(4, np.nan)}),
        ("sleeves.wish_weight", {"wish_weight": np.full(3, 1.0)}),
        ("sleeves.house_weight", {"house_weight": -1.0}),
        ("sleeves.house_max", {"house_max": float("nan")}),
    ],
)
def test_sleeves_that_are_none_are_refused_by_name(
    make: Make, field: str, given: dict[str, Any]
) -> None:
    p = make(3)
    sleeves = sleeves_of(p, np.random.default_rng(0), **given)
    with pytest.raises(ProblemError, match=field):
        ALLOCATOR.allocate(replace(p, sleeves=sleeves))


def test_factors_of_another_covariance_are_refused(make: Make) -> None:
    factors = RiskEstimate(np.ones((1, 3)), np.ones(3), 0.0, 1.0, 1)
    with pytest.raises(ProblemError, match="factors"):
        ALLOCATOR.allocate(replace(make(3), factors=factors))
