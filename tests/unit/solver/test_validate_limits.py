from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import WeightLimit
from coordinator.solver import CvxAllocator, ProblemError, SolverSettings
from tests.support.limit_reference import limit

from .conftest import Make

ALLOCATOR = CvxAllocator(SolverSettings())
LINEAR = limit("linear", [[1.0, 0.0], [0.0, 1.0]], n=2, upper=0.5)
CASH = limit("cash", n=2, lower=0.1)
TURNOVER = limit("turnover", n=2, upper=0.1)
GROSS = limit("gross", [1.0, 1.0], n=2, upper=0.5)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        (LINEAR, "kind", "convex"),
        (LINEAR, "tier", -1),
        (LINEAR, "tier", 1.5),
        (LINEAR, "tier", True),
        (LINEAR, "rows", np.ones((2, 3))),
        (LINEAR, "rows", np.ones((1, 2))),
        (LINEAR, "rows", [["a", "b"], ["c", "d"]]),
        (LINEAR, "rows", None),
        (LINEAR, "upper", [[1.0], [1.0, 2.0]]),
        (LINEAR, "name", None),
        (LINEAR, "kind", np.array(["linear"])),
        (LINEAR, "tier", 10**400),
        (LINEAR, "rows", np.array([[1.0, np.nan], [0.0, 1.0]])),
        (LINEAR, "rows", np.array([[1.0, np.inf], [0.0, 1.0]])),
        (LINEAR, "lower", np.zeros(3)),
        (LINEAR, "upper", np.array([0.1, np.nan])),
        (LINEAR, "upper", np.array([0.1, -np.inf])),
        (LINEAR, "lower", np.array([0.1, np.inf])),
        (LINEAR, "labels", ("one",)),
        (GROSS, "rows", np.array([[1.0, -1.0]])),
        (GROSS, "lower", np.array([0.1])),
        (TURNOVER, "lower", np.array([0.0])),
        (TURNOVER, "labels", ("one", "two")),
        (CASH, "upper", np.array([0.5])),
        (limit("volatility", n=2, upper=0.1), "lower", np.array([0.05])),
    ],
)
def test_a_limit_that_is_none_is_refused_naming_it(
    make: Make, given: WeightLimit, field: str, value: Any
) -> None:
    changes: dict[str, Any] = {field: value}
    p = make(2, limits=(GROSS, replace(given, **changes)))
    where = "rows" if field == "labels" and given.kind == "linear" else field
    with pytest.raises(ProblemError, match=rf"limits\[1\]\.{where} ") as caught:
        ALLOCATOR.allocate(p)
    assert caught.value.field == f"limits[1].{where}"


@pytest.mark.parametrize(
    "given",
    [
        limit("linear", [1.0, 1.0], n=2, lower=0.5, upper=0.1),
        limit("linear", [0.0, 0.0], n=2, lower=0.5),
        limit("gross", [1.0, 1.0], n=2, upper=-1.0),
        limit("volatility", n=2, upper=-0.1),
        limit("turnover", n=2, upper=-0.1),
        limit("cash", n=2, lower=1e6),
    ],
    ids=lambda one: one.kind,
)
@pytest.mark.parametrize("tier", [0, 2])
def test_limits_that_cannot_be_kept_are_answered(make: Make, given: WeightLimit, tier: int) -> None:
    answer = ALLOCATOR.allocate(make(2, filled=0.2, cash=0.6, limits=(replace(given, tier=tier),)))
    assert answer.status != "no solver answered", answer.remarks
    assert answer.violation <= answer.violation_before + 1e-9


def test_no_instruments_at_all_are_answered(make: Make) -> None:
    kinds = (limit("cash", n=0, lower=0.1), limit("linear", np.zeros((1, 0)), n=0, upper=0.1))
    answer = ALLOCATOR.allocate(make(0, limits=kinds))
    assert (answer.rung, answer.trades.shape) == ("hold", (0,))
    assert len(answer.limits) == 5
