from __future__ import annotations

from dataclasses import replace

import numpy as np

from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver.words import listed
from tests.support.limit_reference import limit

from .conftest import Make


def test_few_names_are_all_named() -> None:
    assert listed(()) == ""
    assert listed(("one",)) == "one"
    assert listed([str(i) for i in range(12)]).endswith("10, 11")


def test_many_or_long_names_are_counted() -> None:
    assert listed([str(i) for i in range(40)]).endswith("11, and 28 more")
    long = listed(["x" * 250] * 10)
    assert long.endswith("and 5 more")
    assert len(long) < 1600
    assert listed(["x" * 3000] * 3) == "3 limits"


def test_remarks_of_a_portfolio_that_breaks_everything_fit_a_decision(make: Make) -> None:
    rows = limit("linear", np.eye(60), n=60, upper=0.0, name="n" * 120)
    rows = replace(rows, labels=tuple(f"{i}" + "m" * 120 for i in range(60)))
    p = make(60, filled=0.01, cash=0.4, trade_max=0.001, limits=(rows, replace(rows, tier=2)))
    answer = CvxAllocator(SolverSettings()).allocate(p)
    assert any(remark.startswith("gave way") for remark in answer.remarks)
    assert max(len(remark) for remark in answer.remarks) <= 2000
