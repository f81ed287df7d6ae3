from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, LimitReading
from coordinator.solver import CvxAllocator, SolverSettings

from .conftest import Make

ALLOCATOR = CvxAllocator(SolverSettings())


def reading(p: AllocationProblem, limit: str, instrument: str | None = None) -> LimitReading:
    found = [
        r for r in ALLOCATOR.allocate(p).limits if (r.limit, r.instrument) == (limit, instrument)
    ]
    assert len(found) == 1, (limit, instrument)
    return found[0]


def gain_per_unit(p: AllocationProblem, limit: str, i: int | None, step: float) -> float:
    """Central difference of the continuous optimum in one bound."""
    values = []
    for sign in (1, -1):
        bound = getattr(p, limit)
        moved = bound + sign * step if i is None else bound + sign * step * np.eye(len(bound))[i]
        values.append(ALLOCATOR.allocate(replace(p, **{limit: moved})).objective_continuous)
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(
    ("limit", "i", "changes"),
    [
        ("turnover_max", None, {"turnover_max": 0.1}),
        ("gross_max", None, {"gross_max": 0.3, "cash": 2.0}),
        ("cash_floor", None, {"cash": 0.3, "cash_floor": 0.1}),
        ("position_max", 0, {"position_max": [0.02, 1, 1, 1], "mu": [0.03, 0.01, -0.01, 0.0]}),
        ("position_min", 2, {"position_min": [0, 0, -0.02, 0], "mu": [0.03, 0.01, -0.05, 0.0]}),
        ("trade_max", 0, {"trade_max": [0.03, 1, 1, 1], "mu": [0.03, 0.01, -0.01, 0.0]}),
    ],
)
def test_shadow_price_is_what_one_more_unit_of_bound_gains(
    make: Make, limit: str, i: int | None, changes: dict[str, object]
) -> None:
    p = make(4, **{"mu": [0.03, 0.02, 0.01, -0.01], "gross_max": 5.0, "cash": 3.0, **changes})
    price = reading(p, limit, None if i is None else p.instruments[i]).shadow_price
    expected = gain_per_unit(p, limit, i, 1e-4)
    assert abs(expected) > 1e-4
    assert price == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_limits_on_sums_are_always_read_and_cost_nothing_when_slack(make: Make) -> None:
    answer = ALLOCATOR.allocate(make(3, mu=0.0, gross_max=9.0, cash=5.0))
    assert [(r.limit, r.shadow_price) for r in answer.limits if r.instrument is None] == [
        ("gross_max", 0.0),
        ("cash_floor", 0.0),
        ("turnover_max", 0.0),
    ]


def test_a_halted_name_shows_what_trading_it_would_be_worth(make: Make) -> None:
    p = make(2, mu=[0.05, 0.0], trade_max=[0.0, 1.0])
    assert reading(p, "trade_max", "I000").shadow_price == pytest.approx(0.049, rel=1e-3)
